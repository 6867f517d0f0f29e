"""How a city is trained on: a policy of one site, whose score is what the whole city costs in an hour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.edge.arguments import city_of
from envs.edge.baselines import SITE_BASELINES, best_constant, threshold_sleep
from envs.edge.codec import NUM_FEATURES, feature_names
from envs.edge.episodes import steps_of
from envs.edge.rows import SiteRowsVecEnv
from envs.edge.tables import ROUTE, ROUTE_BATCH, ROUTE_LOOSE
from envs.errors import EnvironmentConfigError
from envs.scores import VALIDATION_SEEDS, Actor, Metric

USD_PER_HOUR = Metric(
    name="usd_per_hour",
    description="what the city costs in an hour, USD: energy with its carbon, waiting and late answers",
    higher_is_better=False,
    baseline="the nearest site, tuned",
    baseline_key="nearest",
)


SEARCHED = (
    *("zone_requests_10min", "area_requests_10min", "quieter_loose_10min", "city_loose_10min"),
    *("hub_load", "cloud_load", "center_ms"),
)
"""What a searched policy reads of a site, mostly averages, which do not flap. More weights take longer to search."""
MOVED = (ROUTE, ROUTE_LOOSE, ROUTE_BATCH)
"""What it decides: a look-ahead wins next to nothing by the other components."""


class EdgeTraining:
    """Training on a city; `train.num_envs` counts cities, whose sites are rows of the batch.

    Args:
        env: id of the environment.
        kwargs: its argument `scenario`.
        episodes: of one validation.

    Raises:
        EnvironmentConfigError: there is another argument.
    """

    metric = USD_PER_HOUR

    def __init__(self, env: str, kwargs: Mapping[str, Any], episodes: int) -> None:
        for name in kwargs:
            if name != "scenario":
                raise EnvironmentConfigError(f"env_kwargs: {env} has no argument {name!r} in training; it has scenario")
        self.city, self.episodes = city_of(kwargs.get("scenario")), episodes
        self._validation: SiteRowsVecEnv | None = None
        self._start: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        self._tuned = dict[str, tuple[dict[str, Any], Actor]]()

    def make_vec(self, num_envs: int, seed: int) -> SiteRowsVecEnv:
        """A batch of cities, whose sites are its rows."""
        return SiteRowsVecEnv(self.city, num_envs, seed)

    def score(self, actor: Actor) -> float:
        """The mean cost of an hour, USD, over the validation episodes."""
        return float(self.episode_scores(actor).mean())

    def episode_scores(self, actor: Actor) -> NDArray[np.float64]:
        """[episodes] cost of an hour of each validation episode under a policy of one site, USD."""
        if self._validation is None:
            self._validation = SiteRowsVecEnv(self.city, self.episodes, VALIDATION_SEEDS)
        vec = self._validation
        observations = vec.begin([VALIDATION_SEEDS + index for index in range(self.episodes)])
        actor.reset(vec.num_envs)
        usd = np.zeros(self.episodes)
        for _ in range(steps_of(self.city)):
            observations, _, _, _ = vec.step(actor.act(observations, None))  # type: ignore[assignment]
            usd += vec.batch.costs.sum(axis=1)
        return usd / (self.city.config.episode_seconds / 3600.0)

    def searched_inputs(self) -> NDArray[np.int64]:
        """Those of `SEARCHED`."""
        return np.array([feature_names().index(name) for name in SEARCHED])

    def searched_components(self) -> NDArray[np.int64]:
        """Those of `MOVED`."""
        return np.array(MOVED)

    def tuned_rule(self, name: str) -> tuple[dict[str, Any], Actor]:
        """The constants of a rule that cost least on the validation episodes, and the rule with them."""
        if name not in self._tuned:
            self._tuned[name] = SITE_BASELINES[name].tuned(self)
        return self._tuned[name]

    def start_action(self) -> NDArray[np.float64]:
        """The best action of `best-constant` for every site; or what `threshold-sleep` begins with, if better."""
        return self._begin()[0]

    def start_weights(self) -> NDArray[np.float64]:
        """No weights on top of that constant; or those of `threshold-sleep`."""
        return self._begin()[1]

    def _begin(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both rules are tuned on the validation episodes, and the better one is chosen."""
        if self._start is None:
            constants, constant = self.tuned_rule("best-constant")
            action = np.array([float(constants[name]) for name in best_constant.BASELINE.grid])
            weights = np.zeros((len(action), 1 + NUM_FEATURES))
            chosen, rule = self.tuned_rule("threshold-sleep")
            if self.score(rule) < self.score(constant):
                action, weights = threshold_sleep.as_line(**chosen)
            self._start = action, weights
        return self._start

    def baseline_score(self) -> float:
        """That of the nearest site."""
        return self.score(self.tuned_rule("nearest")[1])
