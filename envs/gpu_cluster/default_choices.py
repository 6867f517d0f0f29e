"""Actions of a codec layout in which setpoints or levers are chosen, and the rest is the default that policies see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec import LEVERS, CodecLayout, lever_columns, observation_names


class DefaultChoices:
    """Places each job in its default pool, which the codec marks in the observation, and pulls levers by constants.

    Args:
        layout: the codec layout.
        levers: the choice of each of `LEVERS`; empty: nothing.
    """

    def __init__(self, layout: CodecLayout, levers: Sequence[int] = ()) -> None:
        self._setpoints = (layout.max_pools, len(layout.setpoints))
        names = {entry: index for index, entry in enumerate(observation_names(layout))}
        pools, slots = range(layout.max_pools), range(layout.window_slots)
        shape = (layout.window_slots, layout.max_pools)
        default = [names[f"slot{slot}.pool{pool}.default"] for slot in slots for pool in pools]
        self.default_at = np.array(default, dtype=np.int64).reshape(shape)
        constants = dict(zip((lever.name for lever in LEVERS), levers or [0] * len(LEVERS), strict=True))
        masks_at, self._levers = layout.mask_size - sum(layout.lever_sizes) * layout.max_pools, []
        for name, size in zip(lever_columns(layout), layout.lever_sizes, strict=True):
            self._levers.append((name, size, masks_at, constants[name]))
            masks_at += size * layout.max_pools

    def action(
        self,
        wanted: NDArray[np.int64],
        observations: NDArray[np.float32],
        action_masks: NDArray[np.bool_],
        levers: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> NDArray[np.int64]:
        """The whole action; a choice that is not valid becomes the first that is.

        Args:
            wanted: [B, pools] int64, the setpoint of each pool.
            observations: [B, observation size] float32.
            action_masks: [B, mask size] bool.
            levers: by name in `LEVERS`: [B, pools] int64, choices that take the place of the constant.

        Returns:
            [B, components] int64.
        """
        pools, setpoints = self._setpoints
        # Another one is the only valid one where a pool is absent, or another policy's setpoint is still held.
        parts = [_valid(wanted, action_masks[:, : pools * setpoints].reshape(-1, pools, setpoints))]
        default = observations[:, self.default_at] > 0.0
        parts.append(np.where(default.any(axis=2), default.argmax(axis=2) + 1, 0))
        for name, size, at, constant in self._levers:
            chosen = (levers or {}).get(name)
            choice = np.full_like(wanted, constant) if chosen is None else chosen
            parts.append(_valid(choice, action_masks[:, at : at + pools * size].reshape(-1, pools, size)))
        return np.concatenate(parts, axis=1).astype(np.int64)


def _valid(wanted: NDArray[np.int64], masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[B, pools] int64: choices where masks [B, pools, choices] have them, else the first that they have."""
    is_valid = np.take_along_axis(masks, wanted[:, :, None], axis=2)[:, :, 0]
    return np.where(is_valid, wanted, masks.argmax(axis=2))
