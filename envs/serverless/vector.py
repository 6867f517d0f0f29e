"""Many pools in one Gymnasium `VectorEnv`, for `gymnasium.make_vec`: one compiled call steps them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.actions import ActionCheck
from envs.autoreset import ResetNeededError
from envs.autoreset import autoreset_mode as resolved_mode
from envs.errors import EnvironmentConfigError
from envs.serverless.arguments import (
    DEFAULT_WORKLOAD,
    ConfigArgument,
    WorkloadArgument,
    draw_window,
    problem_from_arguments,
)
from envs.serverless.codec import ACTION_SIZES, FEATURES
from envs.serverless.simulator import ServerlessSimulator

StepResult = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class ServerlessVectorEnv(VectorEnv[NDArray[np.float32], Any, NDArray[Any]]):
    """What `gymnasium.make_vec("autoscaler/Serverless-v0", num_envs=N)` makes; see `ServerlessEnv` for what it means.

    Args:
        num_envs: pools.
        workload: as for `ServerlessEnv`, like `config`.
        config: settings.
        render_mode: None; a batch is not rendered.
        autoreset_mode: an `AutoresetMode` or its name: "NextStep": the step after the end of an episode ignores the
            action and begins the next one. "SameStep": the step that ends it does, and `info` has `final_obs` and
            `final_info`. "Disabled": `reset` with the option `reset_mask`.
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
        self.autoreset_mode = resolved_mode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.num_envs, self.render_mode = num_envs, render_mode
        self._simulator = ServerlessSimulator(problem_from_arguments(workload, config), num_envs, threads)
        self.config = self._simulator.problem.config
        self.single_observation_space = spaces.Box(0.0, 1.0, (len(FEATURES),), np.float32)
        self.single_action_space = spaces.MultiDiscrete(np.array(ACTION_SIZES, np.int64))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._check = ActionCheck(ACTION_SIZES, num_envs)
        self._generators = [np.random.default_rng() for _ in range(num_envs)]
        self._over = np.ones(num_envs, np.bool_)
        self._has_begun = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode in every environment, or in those of the option `reset_mask`.

        Args:
            seed: of the first environment, the others count on from it; or one for each.
            options: as for `ServerlessEnv`, and `reset_mask`, [num_envs] bool.

        Raises:
            EnvironmentConfigError: an option has no meaning, or there is not one seed for each.
        """
        window = dict(options or {})
        mask = np.asarray(window.pop("reset_mask", np.ones(self.num_envs, np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise EnvironmentConfigError(f"the option reset_mask must be an array of {self.num_envs} bool")
        seeds = self._seeds(seed)
        for index in np.flatnonzero(mask).tolist():
            if seeds[index] is not None:
                # As `gymnasium.Env.reset` makes it, so that a batch is what single environments are.
                self._generators[index] = np.random.Generator(np.random.PCG64(seeds[index]))
            self._begin(index, window)
        return self._simulator.observations.copy(), self._infos()

    def step(self, actions: Any) -> StepResult:
        """Step every environment.

        Raises:
            InvalidActionError: an action is outside the action space.
            ResetNeededError: no episode is running in one and none begins by itself.
        """
        simulator, mode = self._simulator, self.autoreset_mode
        if not self._has_begun.all() or (mode is AutoresetMode.DISABLED and self._over.any()):
            first = int(np.argmax(self._over))
            raise ResetNeededError(f"no episode is running in environment {first}: call reset() first")
        simulator.step(self._check(actions))
        rewards = simulator.rewards.copy()
        over = simulator.done
        if mode is AutoresetMode.NEXT_STEP:
            begins = np.flatnonzero(self._over).tolist()
            for index in begins:
                self._begin(index, {})
            rewards[begins], over[begins] = 0.0, False
        self._over = over.copy()
        final: dict[str, Any] = {}
        if mode is AutoresetMode.SAME_STEP and over.any():
            final = self._final(over)
            for index in np.flatnonzero(over).tolist():
                self._begin(index, {})
        return simulator.observations.copy(), rewards, np.zeros_like(over), over, {**final, **self._infos()}

    def _begin(self, index: int, window: dict[str, Any]) -> None:
        bounds = draw_window(self._simulator.problem, window, self._generators[index])
        self._simulator.begin(index, *bounds)
        self._over[index], self._has_begun[index] = False, True

    def _infos(self) -> dict[str, Any]:
        has = np.ones(self.num_envs, np.bool_)
        return {"time_seconds": self._simulator.time_seconds, "_time_seconds": has}

    def _final(self, over: NDArray[np.bool_]) -> dict[str, Any]:
        observations = np.full(self.num_envs, None, dtype=object)
        for index in np.flatnonzero(over).tolist():
            observations[index] = self._simulator.observations[index].copy()
        infos = {"time_seconds": np.where(over, self._simulator.time_seconds, 0.0), "_time_seconds": over}
        return {"final_obs": observations, "_final_obs": over, "final_info": infos, "_final_info": over}

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + index for index in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise EnvironmentConfigError(f"there are {len(seed)} seeds for {self.num_envs} environments; give one each")
        return list(seed)
