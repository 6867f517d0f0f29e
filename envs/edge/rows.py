"""A batch of cities for training in which each site is a row: one policy of a row plays all sites of any city."""

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
    """Cities whose sites are rows; the reward of every row is the mean of all sites of its city.

    All sites share one purse, as a zone that is routed to a hub costs there: a reward of its own would teach a site to
    push its load to others.

    Args:
        city: the loaded scenario.
        cities: in the batch.
        seed: of the episodes.

    Attributes:
        rows_per_city: sites of a city.
        batch: the worlds.
    """

    def __init__(self, city: City, cities: int, seed: int) -> None:
        self.render_mode = None
        self.rows_per_city = city.num_sites
        super().__init__(cities * city.num_sites, site_observation_space(), site_action_space())
        self.batch = CityBatch(city, cities)
        self._city, self._cities, self._seed, self._anew_at = city, cities, seed, 0
        self._left = 0
        self._returns = np.zeros(cities)
        self._actions: Any = None
        self._started = time.monotonic()
        self.seed(seed)
        self._generators = [np.random.default_rng([seed, number]) for number in range(cities)]

    def reset(self) -> NDArray[np.float32]:
        """Begin a new episode in every city."""
        self._begin()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self.observations()

    def begin(self, seeds: Sequence[int | None]) -> NDArray[np.float32]:
        """Begin new episodes, each drawn from its seed: one for each city."""
        self._generators = [np.random.default_rng(seed) for seed in seeds]
        return self.reset()

    def begin_anew(self, steps: int) -> None:
        """Begin new episodes everywhere, drawn from the seed and the number of steps alone."""
        self._anew_at = steps
        self.begin(np.random.SeedSequence((self._seed, steps)).generate_state(self._cities).tolist())

    def _begin(self) -> None:
        starts = [draw_start_ms(self._city, generator) for generator in self._generators]
        self.batch.begin(np.arange(self._cities), np.array(starts))
        self._left, self._returns[:] = steps_of(self._city), 0.0

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions of the next step, [rows, 6]."""
        self._actions = np.ascontiguousarray(actions, np.int64).reshape(self._cities, self.rows_per_city, -1)

    def step_wait(self) -> VecEnvStepReturn:
        """Step every city; all episodes are equally long, so they end, and begin anew, together."""
        self.batch.step(self._actions)
        self._left -= 1
        means = self.batch.rewards.mean(axis=1)
        self._returns += self.batch.rewards.sum(axis=1)
        rewards = np.repeat(means, self.rows_per_city).astype(np.float32)
        over = self._left == 0
        dones = np.full(self.num_envs, over)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if over:
            elapsed, last, steps = round(time.monotonic() - self._started, 6), self.observations(), steps_of(self._city)
            for row in range(self.num_envs):
                usd = float(self._returns[row // self.rows_per_city])
                infos[row] = {
                    "terminal_observation": last[row],
                    "TimeLimit.truncated": True,
                    "episode": {"r": usd, "l": steps, "t": elapsed},
                }
            self._begin()
        return self.observations(), rewards, dones, infos

    @property
    def step_seconds(self) -> NDArray[np.float64]:
        """[rows] ones: a step is the unit of time."""
        return np.ones(self.num_envs)

    def observations(self) -> NDArray[np.float32]:
        """[rows, features] what every site sees; a copy."""
        return self.batch.observations.reshape(self.num_envs, -1).copy()

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
