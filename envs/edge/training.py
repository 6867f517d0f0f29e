"""How cities are trained on: a policy of one site, whose score is what a whole city costs in an hour."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.edge.arguments import city_config, city_of, varied
from envs.edge.baselines import SITE_BASELINES
from envs.edge.codec import feature_names
from envs.edge.episodes import steps_of
from envs.edge.rows import SiteRowsVecEnv
from envs.edge.tables import CENTER, CLOUD, COMPONENTS, HUB, OWN, ROUTE, ROUTE_LOOSE
from envs.errors import EnvironmentConfigError
from envs.scores import VALIDATION_SEEDS, Actor, Metric

USD_PER_HOUR = Metric(
    name="usd_per_hour",
    description="what the city costs in an hour, USD: energy with its carbon, waiting and late answers",
    higher_is_better=False,
    baseline="the nearest site",
    baseline_key="nearest",
)


SEARCHED = ("area_requests_10min", "city_loose_10min", "cloud_load", "center_ms")
"""What a searched policy reads of a site, mostly averages, which do not flap. More weights take longer to search."""
MOVED = {ROUTE: (CENTER, HUB, OWN), ROUTE_LOOSE: (CENTER, HUB, CLOUD)}
"""What it decides, from where few requests go to where many do: each route and the next one are both good somewhere,
and what is between others is not the worst of them."""


class EdgeTraining:
    """Training on one city or several; `train.num_envs` counts sets of them, whose sites are rows of the batch.

    Args:
        env: id of the environment.
        kwargs: its argument `scenario`; and `variations`, changes of it that make a further city each.
        episodes: of one validation, in each city.

    Raises:
        EnvironmentConfigError: there is another argument, or episodes of the cities differ in length.
    """

    metric = USD_PER_HOUR

    def __init__(self, env: str, kwargs: Mapping[str, Any], episodes: int) -> None:
        for name in kwargs:
            if name not in ("scenario", "variations"):
                raise EnvironmentConfigError(
                    f"env_kwargs: {env} has no argument {name!r} in training; it has scenario and variations"
                )
        given = city_config(kwargs.get("scenario"))
        self.cities = [city_of(config) for config in (given, *varied(given, kwargs.get("variations") or ()))]
        lengths = sorted({steps_of(city) for city in self.cities})
        if len(lengths) > 1:
            raise EnvironmentConfigError(
                f"variations: episodes have {lengths[0]} to {lengths[-1]} steps; make them equal"
            )
        self.episodes = episodes
        self._validation: SiteRowsVecEnv | None = None
        self._tuned = dict[str, tuple[dict[str, Any], Actor]]()

    def make_vec(self, num_envs: int, seed: int) -> SiteRowsVecEnv:
        """Sets of all cities, whose sites are its rows."""
        return SiteRowsVecEnv(self.cities, num_envs, seed)

    def score(self, actor: Actor, at_most: float = math.inf) -> float:
        """The mean cost of an hour, USD, over the validation episodes; they end early where it is above `at_most`."""
        return float(self.episode_scores(actor, at_most).mean())

    def episode_scores(self, actor: Actor, at_most: float = math.inf) -> NDArray[np.float64]:
        """[episodes] cost of an hour of each validation episode under a policy of one site, mean of the cities, USD.

        Costs only rise, so that all episodes end where their mean is above `at_most`, at what they cost by then.
        """
        if self._validation is None:
            self._validation = SiteRowsVecEnv(self.cities, self.episodes, VALIDATION_SEEDS)
        vec = self._validation
        observations = vec.begin([VALIDATION_SEEDS + index for index in range(self.episodes)])
        actor.reset(vec.num_envs)
        usd, hours = np.zeros(self.episodes), self.cities[0].config.episode_seconds / 3600.0
        for _ in range(steps_of(self.cities[0])):
            observations, _, _, _ = vec.step(actor.act(observations, None))  # type: ignore[assignment]
            usd += vec.usd()
            if usd.mean() > at_most * hours:
                break
        return usd / hours

    def searched_inputs(self) -> NDArray[np.int64]:
        """Those of `SEARCHED`."""
        return np.array([feature_names().index(name) for name in SEARCHED])

    def searched_components(self) -> dict[int, tuple[int, ...]]:
        """Those of `MOVED`; what the search begins at comes last where it is none of the choices."""
        start = self.start_action().astype(int).tolist()
        return {at: order if start[at] in order else (*order, start[at]) for at, order in MOVED.items()}

    def tuned_rule(self, name: str) -> tuple[dict[str, Any], Actor]:
        """The constants of a rule that cost least on the validation episodes, and the rule with them."""
        if name not in self._tuned:
            self._tuned[name] = SITE_BASELINES[name].tuned(self)
        return self._tuned[name]

    def start_action(self) -> NDArray[np.float64]:
        """The best action of `best-constant` for every site."""
        constants, _ = self.tuned_rule("best-constant")
        return np.array([float(constants[name]) for name in COMPONENTS])

    def baseline_score(self) -> float:
        """That of the nearest site."""
        return self.score(SITE_BASELINES["nearest"].default())
