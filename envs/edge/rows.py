"""Cities for training in which each site is a row: one policy of a row plays all sites of all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from envs.edge.batch import CityBatch
from envs.edge.city import City
from envs.edge.episodes import draw_start_ms, steps_of
from envs.edge.spaces import site_action_space, site_observation_space
from envs.vec_env import TrainingVecEnv


class SiteRowsVecEnv(TrainingVecEnv):
    """Sets of cities whose sites are rows; the reward of every row is the mean of all sites of its city.

    All sites share one purse, as a zone that is routed to a hub costs there: a reward of its own would teach a site to
    push its load to others. A set is an episode in each of the cities, and their sites are its rows, one city after the
    other.

    Args:
        cities: loaded scenarios, whose episodes have as many steps.
        sets: in the batch.
        seed: of the episodes.
    """

    def __init__(self, cities: Sequence[City], sets: int, seed: int) -> None:
        self.render_mode = None
        sizes = [city.num_sites for city in cities]
        self._rows_per_set = sum(sizes)
        super().__init__(sets * self._rows_per_set, site_observation_space(), site_action_space())
        self._batches = [CityBatch(city, sets) for city in cities]
        self._ends, self._steps = np.cumsum(sizes)[:-1], steps_of(cities[0])
        self._cities, self._sets, self._seed, self._anew_at = cities, sets, seed, 0
        self._left = 0
        self._returns = np.zeros((sets, len(cities)))
        self._actions: Any = None
        self._started = time.monotonic()
        self.seed(seed)
        self._generators = [np.random.default_rng([seed, number]) for number in range(sets)]

    def reset(self) -> NDArray[np.float32]:
        """Begin a new episode in every city."""
        self._begin()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self.observations()

    def begin(self, seeds: Sequence[int | None]) -> NDArray[np.float32]:
        """Begin new episodes, drawn from a seed for each set."""
        self._generators = [np.random.default_rng(seed) for seed in seeds]
        return self.reset()

    def begin_anew(self, steps: int) -> None:
        """Begin new episodes everywhere, drawn from the seed and the number of steps alone."""
        self._anew_at = steps
        self.begin(np.random.SeedSequence((self._seed, steps)).generate_state(self._sets).tolist())

    def _begin(self) -> None:
        starts = [[draw_start_ms(city, generator) for city in self._cities] for generator in self._generators]
        for batch, moments in zip(self._batches, np.array(starts).T, strict=True):
            batch.begin(np.arange(self._sets), np.ascontiguousarray(moments))
        self._left, self._returns[:] = self._steps, 0.0

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions of the next step, [rows, 6]."""
        self._actions = np.asarray(actions, np.int64).reshape(self._sets, self._rows_per_set, -1)

    def step_wait(self) -> VecEnvStepReturn:
        """Step every city; all episodes are equally long, so they end, and begin anew, together."""
        for batch, actions in zip(self._batches, np.split(self._actions, self._ends, axis=1), strict=True):
            batch.step(np.ascontiguousarray(actions))
        self._left -= 1
        self._returns += np.stack([batch.rewards.sum(axis=1) for batch in self._batches], axis=1)
        means = [
            np.broadcast_to(batch.rewards.mean(axis=1, keepdims=True), batch.rewards.shape) for batch in self._batches
        ]
        rewards = np.concatenate(means, axis=1).ravel().astype(np.float32)
        over = self._left == 0
        dones = np.full(self.num_envs, over)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if over:
            elapsed, last = round(time.monotonic() - self._started, 6), self.observations()
            sizes = [batch.rewards.shape[1] for batch in self._batches]
            for row, usd in enumerate(np.repeat(self._returns, sizes, axis=1).ravel().tolist()):
                infos[row] = {
                    "terminal_observation": last[row],
                    "TimeLimit.truncated": True,
                    "episode": {"r": usd, "l": self._steps, "t": elapsed},
                }
            self._begin()
        return self.observations(), rewards, dones, infos

    @property
    def step_seconds(self) -> NDArray[np.float64]:
        """[rows] ones: a step is the unit of time."""
        return np.ones(self.num_envs)

    def observations(self) -> NDArray[np.float32]:
        """[rows, features] what every site sees; a copy."""
        rows = np.concatenate([batch.observations for batch in self._batches], axis=1)
        return rows.reshape(self.num_envs, -1)

    def usd(self) -> NDArray[np.float64]:
        """[sets] what the last step cost a city of each set on average, USD."""
        found: NDArray[np.float64] = np.mean([batch.costs.sum(axis=1) for batch in self._batches], axis=0)
        return found

    def state_dict(self) -> dict[str, Any]:
        """The steps at which all episodes began anew, from which they are drawn again."""
        return {"arrays": {}, "generator": {"anew_at": self._anew_at}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin the episodes that began when the state was saved."""
        self.begin_anew(int(state["generator"]["anew_at"]))

    def close(self) -> None:
        """Do nothing."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the rows asked for.

        Raises:
            AttributeError: they have none of this name.
        """
        if attr_name != "render_mode":
            raise AttributeError(f"the sites of a city have no {attr_name}")
        return [None for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: cities are as they were made.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"{attr_name} cannot be set: cities are as env_kwargs made them")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Refuse: sites have no methods.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"the sites of a city have no {method_name}")

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """Whether the rows do what a wrapper does: `Monitor`, as the infos have `episode`, and no other."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]
