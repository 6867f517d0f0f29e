"""The Gymnasium spaces of a codec layout."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.errors import InvalidActionError
from envs.gpu_cluster.codec import CodecLayout, observation_size

ActionSpace = spaces.Discrete | spaces.MultiDiscrete


def observation_space(layout: CodecLayout) -> spaces.Box:
    """Box [0, 1], float32, of `observation_size(layout)`."""
    return spaces.Box(0.0, 1.0, (observation_size(layout),), np.float32)


def action_space(layout: CodecLayout) -> ActionSpace:
    """`MultiDiscrete(layout.action_sizes)`; `Discrete` where the action has one component only."""
    sizes = layout.action_sizes
    return spaces.Discrete(sizes[0]) if len(sizes) == 1 else spaces.MultiDiscrete(np.array(sizes, np.int64))


def check_actions(actions: NDArray[np.int64], sizes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bring actions to the shape that the simulator takes.

    Args:
        actions: [N, components], or [N] where the action has one component only.
        sizes: [components] uint64, `layout.action_sizes` as an array.

    Returns:
        [N, components] int64.

    Raises:
        InvalidActionError: a component is outside its range.
    """
    actions = np.ascontiguousarray(actions, np.int64).reshape(-1, sizes.size)
    outside = actions.view(np.uint64) >= sizes  # a negative number is a huge one then
    if np.count_nonzero(outside):
        row, component = np.argwhere(outside)[0]
        raise InvalidActionError(
            f"component {component} of the action is {actions[row, component]}; it must be 0 to {sizes[component] - 1}"
        )
    return actions
