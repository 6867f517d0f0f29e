"""Rollout buffers that discount by simulated time: steps of this environment last from seconds to minutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer
from stable_baselines3.common.buffers import RolloutBuffer


class _TimeDiscount(RolloutBuffer):
    """Generalised advantage estimation with gamma ** (step_seconds / unit_seconds) in place of gamma.

    Args:
        args: of Stable-Baselines3's buffer.
        step_seconds: called after each step: [n_envs] simulated seconds that it took.
        unit_seconds: time after which a reward is discounted by gamma.
        kwargs: of Stable-Baselines3's buffer.
    """

    def __init__(
        self, *args: Any, step_seconds: Callable[[], NDArray[np.float64]], unit_seconds: float, **kwargs: Any
    ) -> None:
        self._step_seconds, self._unit_seconds = step_seconds, unit_seconds
        super().__init__(*args, **kwargs)

    def reset(self) -> None:
        """Empty the buffer."""
        self._discounts = np.zeros((self.buffer_size, self.n_envs), np.float32)
        super().reset()

    def add(self, *args: Any, **kwargs: Any) -> None:
        """Add a step, with the time that it took."""
        self._discounts[self.pos] = self.gamma ** (self._step_seconds() / self._unit_seconds)
        super().add(*args, **kwargs)

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: NDArray[np.bool_]) -> None:
        """Fill `advantages` and `returns`."""
        next_values = last_values.clone().cpu().numpy().flatten()
        next_running = 1.0 - dones.astype(np.float32)
        advantage = np.zeros(self.n_envs, np.float32)
        for step in reversed(range(self.buffer_size)):
            discount = self._discounts[step] * next_running
            delta = self.rewards[step] + discount * next_values - self.values[step]
            advantage = delta + discount * self.gae_lambda * advantage
            self.advantages[step] = advantage
            next_values, next_running = self.values[step], 1.0 - self.episode_starts[step]
        self.returns = self.advantages + self.values


class TimeDiscountBuffer(_TimeDiscount):
    """For PPO."""


class MaskableTimeDiscountBuffer(_TimeDiscount, MaskableRolloutBuffer):
    """For MaskablePPO."""
