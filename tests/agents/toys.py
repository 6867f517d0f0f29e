"""A batch of toy environments whose steps take different times; no simulator is needed."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv


class TimedEnv(gymnasium.Env[np.ndarray, Any]):
    """Steps of 30 to 180 s; truncated after 7 steps, terminated at random before."""

    def __init__(self, action_space: spaces.Space[Any]) -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (3,), np.float32)
        self.action_space = action_space
        self.step_seconds = 0.0
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        self.step_seconds = float(self.np_random.integers(30, 181))
        terminated = bool(self.np_random.random() < 0.05)
        truncated = self._steps == 7 and not terminated
        return self._observation(), float(self.np_random.normal()), terminated, truncated, {}

    def _observation(self) -> np.ndarray:
        return self.np_random.random(3).astype(np.float32)


class TimedVecEnv(DummyVecEnv):
    """A batch of them.

    Args:
        num_envs: environments.
        action_space: of each.
    """

    def __init__(self, num_envs: int, action_space: spaces.Space[Any]) -> None:
        super().__init__([lambda: TimedEnv(action_space)] * num_envs)

    @property
    def step_seconds(self) -> np.ndarray:
        """[num_envs] float64."""
        return np.array([env.unwrapped.step_seconds for env in self.envs])  # type: ignore[attr-defined]
