"""Many worlds of one city in one Gymnasium `VectorEnv`, for `gymnasium.make_vec`: one compiled call steps them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from envs.actions import ActionCheck
from envs.edge.arguments import ScenarioArgument, city_of
from envs.edge.batch import CityBatch
from envs.edge.codec import ACTION_SIZES
from envs.edge.episodes import start_ms, steps_of
from envs.edge.spaces import city_action_space, city_observation_space
from envs.edge.tables import COST_TERMS
from envs.vector_env import CompiledVectorEnv, EpisodeGenerators


class EdgeCityVectorEnv(CompiledVectorEnv):
    """What `gymnasium.make_vec("autoscaler/EdgeCity-v0", num_envs=N)` makes; see `EdgeCityEnv` for what it means.

    Args:
        num_envs: worlds.
        scenario: as for `EdgeCityEnv`.
        render_mode: None or "ansi".
        autoreset_mode: what happens after the end of an episode, see `CompiledVectorEnv`.
        threads: how many share the worlds, None: as many as numba may use. Results do not depend on it.

    Attributes:
        batch: the worlds.

    Raises:
        UserError: as `EdgeCityEnv`; or there is no such mode.
    """

    def __init__(
        self,
        num_envs: int = 1,
        scenario: ScenarioArgument = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int | None = None,
    ) -> None:
        random = EpisodeGenerators(num_envs)
        self.city = city_of(scenario)
        self.batch = CityBatch(self.city, num_envs, threads)
        sites = self.city.num_sites
        spaces = city_observation_space(sites), city_action_space(sites)
        super().__init__(random, *spaces, render_mode, ("ansi",), autoreset_mode)
        self._check = ActionCheck(ACTION_SIZES * sites, num_envs)
        self._left = np.zeros(num_envs, np.int64)

    def render(self) -> tuple[Any, ...] | None:
        """One line for each world."""
        if self.render_mode is None:
            return None
        return tuple(self.batch.describe(world) for world in range(self.num_envs))

    def _begin(self, indices: list[int], options: Mapping[str, Any]) -> None:
        generators = self._random.generators
        starts = [start_ms(self.city, options, generators[world]) for world in indices]
        self.batch.begin(np.array(indices), np.array(starts))
        self._left[indices] = steps_of(self.city)

    def _advance(self, actions: Any) -> None:
        self.batch.step(self._check(actions).reshape(self.num_envs, self.city.num_sites, -1))
        self._left -= 1

    def _observations(self) -> NDArray[np.float32]:
        return self.batch.observations.copy()

    def _rewards(self) -> NDArray[np.float64]:
        rewards: NDArray[np.float64] = -self.batch.costs.sum(axis=1)
        return rewards

    def _ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return np.zeros(self.num_envs, np.bool_), self._left == 0

    def _columns(self) -> dict[str, NDArray[Any]]:
        columns = dict(zip(COST_TERMS, self.batch.costs.T.copy(), strict=True))
        warms_up = (self.batch.warm_up_left > 0).astype(np.float64)
        moment = {"time_seconds": self.batch.time_ms / 1000, "warms_up": warms_up}
        return {**columns, **moment, "site_rewards": self.batch.rewards.copy()}
