"""Many pools in one Gymnasium `VectorEnv`, for `gymnasium.make_vec`: one compiled call steps them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from envs.actions import ActionCheck
from envs.serverless.arguments import (
    DEFAULT_WORKLOAD,
    ConfigArgument,
    WorkloadArgument,
    draw_window,
    problem_from_arguments,
)
from envs.serverless.codec import ACTION_SIZES, FEATURES
from envs.serverless.simulator import ServerlessSimulator
from envs.vector_env import CompiledVectorEnv, EpisodeGenerators


class ServerlessVectorEnv(CompiledVectorEnv):
    """What `gymnasium.make_vec("autoscaler/Serverless-v0", num_envs=N)` makes; see `ServerlessEnv` for what it means.

    Args:
        num_envs: pools.
        workload: as for `ServerlessEnv`, like `config`.
        config: settings.
        render_mode: None; a batch is not rendered.
        autoreset_mode: what happens after the end of an episode, see `CompiledVectorEnv`.
        threads: how many share the pools, None: as many cores as have pools enough. Results do not depend on it.

    Raises:
        UserError: as `ServerlessEnv`; or there is no such mode.
    """

    def __init__(
        self,
        num_envs: int = 1,
        workload: WorkloadArgument = DEFAULT_WORKLOAD,
        config: ConfigArgument = None,
        render_mode: None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int | None = None,
    ) -> None:
        random = EpisodeGenerators(num_envs)
        self._simulator = ServerlessSimulator(problem_from_arguments(workload, config), num_envs, threads)
        self.config = self._simulator.problem.config
        observed = spaces.Box(0.0, 1.0, (len(FEATURES),), np.float32)
        decided = spaces.MultiDiscrete(np.array(ACTION_SIZES, np.int64))
        super().__init__(random, observed, decided, render_mode, (), autoreset_mode)
        self._check = ActionCheck(ACTION_SIZES, num_envs)

    def _begin(self, indices: list[int], options: Mapping[str, Any]) -> None:
        for index in indices:
            bounds = draw_window(self._simulator.problem, options, self._random.generators[index])
            self._simulator.begin(index, *bounds)

    def _advance(self, actions: Any) -> None:
        self._simulator.step(self._check(actions))

    def _observations(self) -> NDArray[np.float32]:
        return self._simulator.observations.copy()

    def _rewards(self) -> NDArray[np.float64]:
        return self._simulator.rewards.copy()

    def _ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return np.zeros(self.num_envs, np.bool_), self._simulator.done

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {"time_seconds": self._simulator.time_seconds}
