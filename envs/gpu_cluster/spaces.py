"""The Gymnasium spaces of a codec layout, and the check of actions."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from configs.errors import UserError
from envs.errors import InvalidActionError
from envs.gpu_cluster.codec import CodecLayout, observation_size

ActionSpace = spaces.Discrete | spaces.MultiDiscrete


class ResetNeededError(UserError, gymnasium.error.ResetNeeded):
    """A step before the first reset, or after the end of an episode.

    It stands here and not in `envs.errors`, which imports no Gymnasium.
    """


def observation_space(layout: CodecLayout) -> spaces.Box:
    """Box [0, 1], float32, of `observation_size(layout)`."""
    return spaces.Box(0.0, 1.0, (observation_size(layout),), np.float32)


def action_space(layout: CodecLayout) -> ActionSpace:
    """`MultiDiscrete(layout.action_sizes)`; `Discrete` where the action has one component only."""
    sizes = layout.action_sizes
    return spaces.Discrete(sizes[0]) if len(sizes) == 1 else spaces.MultiDiscrete(np.array(sizes, np.int64))


def check_actions(actions: Any, sizes: NDArray[np.uint64], num_envs: int | None = None) -> NDArray[np.int64]:
    """Bring actions to the shape that the simulator takes.

    Args:
        actions: integers: [components] of one environment, [num_envs, components] of a batch; where the action has one
            component only, that axis may be missing.
        sizes: [components] uint64, `layout.action_sizes` as an array.
        num_envs: environments of the batch; None: one environment, without an axis of its own.

    Returns:
        [1 or num_envs, components] int64.

    Raises:
        InvalidActionError: the shape is another one, the values are no integers, or one is outside its range.
    """
    try:
        given = np.asarray(actions)
    except ValueError as error:
        raise InvalidActionError(f"the action is no array: {error}") from error
    shape: tuple[int, ...] = (sizes.size,) if num_envs is None else (num_envs, sizes.size)
    if given.shape != shape and not (sizes.size == 1 and given.shape == shape[:-1]):
        raise InvalidActionError(f"the action has shape {given.shape}; it must be {_describe_shape(shape)}")
    if given.dtype.kind not in "iu":
        raise InvalidActionError(
            f"the action is of dtype {given.dtype}, such as {given.flat[0]!r}; its choices are integers, and none is "
            "rounded"
        )
    checked = np.ascontiguousarray(given, np.int64).reshape(-1, sizes.size)
    outside = checked.view(np.uint64) >= sizes  # a negative number is a huge one then
    if np.count_nonzero(outside):
        row, component = np.argwhere(outside)[0]
        value = given.reshape(checked.shape)[row, component]
        where = "" if num_envs is None else f" of environment {row}"
        raise InvalidActionError(
            f"component {component} of the action{where} is {value}; it must be 0 to {sizes[component] - 1}"
        )
    return checked


def _describe_shape(shape: tuple[int, ...]) -> str:
    """A shape as users may write it."""
    if shape == (1,):
        return "() or (1,): one choice"
    if shape[-1] == 1:
        return f"({shape[0]},): one choice an environment"
    meaning = "components" if len(shape) == 1 else "environments, components"
    return f"{shape} ({meaning})"
