"""Setpoints as a Box, for algorithms with continuous actions: a time-out and a reserve of each pool in [-1, 1].

Each is rounded to the nearest choice of the codec, so an action is one that the discrete space has too. Jobs go to
their default pools, and levers do nothing: where reserves in nodes are on, the box chooses none.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.codec.setpoint_policy import OUTPUTS, RESERVES, TIMEOUTS, nearest_setpoint
from envs.gpu_cluster.default_choices import DefaultChoices
from envs.gpu_cluster.vector import GpuClusterVecEnv

LARGEST = np.array([TIMEOUTS - 1.0, float(RESERVES)])
"""Time-out and reserve as indices where the action is 1; -1 is 0, and the last reserve is `ALWAYS_ON`."""


def setpoint_box(layout: CodecLayout) -> spaces.Box:
    """Box [-1, 1], float32, of time-out and reserve of each pool, one pool after the other."""
    return spaces.Box(-1.0, 1.0, (OUTPUTS * layout.max_pools,), np.float32)


def setpoints_of(actions: NDArray[Any]) -> NDArray[np.int64]:
    """[..., pools] int64, the setpoints nearest to actions [..., 2 * pools] of the box."""
    outputs = (np.asarray(actions, np.float64).reshape(*actions.shape[:-1], -1, OUTPUTS) + 1.0) / 2.0 * LARGEST
    found: NDArray[np.int64] = nearest_setpoint(outputs[..., 0], outputs[..., 1]).astype(np.int64)
    return found


class SetpointBoxVecEnv(GpuClusterVecEnv):
    """`GpuClusterVecEnv` whose actions are those of `setpoint_box`; its arguments are the same."""

    @staticmethod
    def make_action_space(layout: CodecLayout) -> spaces.Box:
        """The space of `setpoint_box`."""
        return setpoint_box(layout)

    @cached_property
    def _choices(self) -> DefaultChoices:
        return DefaultChoices(self.problem.config.codec)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions of the next step: [num_envs, 2 * pools] float."""
        simulator = self._batch.simulator
        whole = self._choices.action(setpoints_of(actions), simulator.observations, simulator.action_masks)
        super().step_async(whole)
