"""Rollout and replay buffers that discount by simulated time: a step of this environment lasts seconds or minutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer
from sb3_contrib.common.recurrent.buffers import RecurrentRolloutBuffer
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize


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
    """For PPO, A2C and TRPO."""


class MaskableTimeDiscountBuffer(_TimeDiscount, MaskableRolloutBuffer):
    """For MaskablePPO."""


class RecurrentTimeDiscountBuffer(_TimeDiscount, RecurrentRolloutBuffer):
    """For RecurrentPPO."""


class TimeDiscountReplayBuffer(ReplayBuffer):
    """A replay buffer whose targets discount by gamma ** (step_seconds / unit_seconds), over one step or several.

    Args:
        args: of Stable-Baselines3's buffer.
        step_seconds: called after each step: [n_envs] simulated seconds that it took.
        unit_seconds: time after which a reward is discounted by gamma.
        gamma: the discount.
        n_steps: steps whose rewards a target sums up before it bootstraps.
        kwargs: of Stable-Baselines3's buffer.
    """

    def __init__(
        self,
        *args: Any,
        step_seconds: Callable[[], NDArray[np.float64]],
        unit_seconds: float,
        gamma: float,
        n_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._step_seconds, self._unit_seconds = step_seconds, unit_seconds
        self.gamma, self.n_steps = gamma, n_steps
        self.discounts = np.zeros((self.buffer_size, self.n_envs), np.float32)

    def add(self, *args: Any, **kwargs: Any) -> None:
        """Add a step, with the time that it took."""
        self.discounts[self.pos] = self.gamma ** (self._step_seconds() / self._unit_seconds)
        super().add(*args, **kwargs)

    def _get_samples(self, batch_inds: NDArray[np.int64], env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Transitions from chosen steps of clusters drawn at random.

        The sum of rewards ends with the episode, and at the newest step of the buffer, after which come the oldest.
        """
        envs = np.random.randint(0, self.n_envs, size=len(batch_inds))  # noqa: NPY002 (as Stable-Baselines3 draws)
        newest = (self.pos - 1) % self.buffer_size
        last, running = batch_inds.copy(), np.ones(len(batch_inds), np.bool_)
        returns, discounts = np.zeros(len(batch_inds), np.float32), np.ones(len(batch_inds), np.float32)
        for step in range(self.n_steps):
            at = (batch_inds + step) % self.buffer_size
            returns += np.where(running, discounts * self.rewards[at, envs], 0.0).astype(np.float32)
            discounts = np.where(running, discounts * self.discounts[at, envs], discounts)
            last = np.where(running, at, last)
            running &= (self.dones[at, envs] == 0.0) & (at != newest)
        ended = self.dones[last, envs] * (1.0 - self.timeouts[last, envs])
        return ReplayBufferSamples(
            observations=self.to_torch(self.observations[batch_inds, envs]),
            actions=self.to_torch(self.actions[batch_inds, envs]),
            next_observations=self.to_torch(self.next_observations[last, envs]),
            dones=self.to_torch(ended.reshape(-1, 1)),
            rewards=self.to_torch(returns.reshape(-1, 1)),
            discounts=self.to_torch(discounts.reshape(-1, 1)),
        )
