"""Actions of a codec layout in which setpoints are chosen and all the rest is the default, from what policies see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec import LEVERS, CodecLayout, observation_names


class DefaultChoices:
    """Places each job in its default pool, which the codec marks in the observation, and pulls levers by a constant.

    Args:
        layout: the codec layout.
        levers: the choice of each of `LEVERS`, wherever it is valid; empty: nothing.
    """

    def __init__(self, layout: CodecLayout, levers: Sequence[int] = ()) -> None:
        self._setpoints = (layout.max_pools, len(layout.setpoints))
        names = {entry: index for index, entry in enumerate(observation_names(layout))}
        pools, slots = range(layout.max_pools), range(layout.window_slots)
        shape = (layout.window_slots, layout.max_pools)
        default = [names[f"slot{slot}.pool{pool}.default"] for slot in slots for pool in pools]
        self.default_at = np.array(default, dtype=np.int64).reshape(shape)
        sizes = [size for size in layout.lever_sizes for _ in pools]
        ends = np.cumsum([0, *sizes])
        on = [getattr(layout, lever.switch) for lever in LEVERS]
        wanted = [choice for is_on, choice in zip(on, levers or [0] * len(on), strict=True) if is_on for _ in pools]
        self._levers = np.array(wanted, dtype=np.int64)
        self._valid = layout.mask_size - ends[-1] + ends[:-1] + self._levers

    def action(
        self, wanted: NDArray[np.int64], observations: NDArray[np.float32], action_masks: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """The whole action.

        Args:
            wanted: [B, pools] int64, the setpoint of each pool, where it is valid.
            observations: [B, observation size] float32.
            action_masks: [B, mask size] bool.

        Returns:
            [B, components] int64.
        """
        of_pools = action_masks[:, : self._setpoints[0] * self._setpoints[1]].reshape(-1, *self._setpoints)
        # Another one is the only valid one where a pool is absent, or another policy's setpoint is still held.
        is_valid = np.take_along_axis(of_pools, wanted[:, :, None], axis=2)[:, :, 0]
        setpoints = np.where(is_valid, wanted, of_pools.argmax(axis=2))
        default = observations[:, self.default_at] > 0.0
        placements = np.where(default.any(axis=2), default.argmax(axis=2) + 1, 0)
        levers = np.where(action_masks[:, self._valid], self._levers, 0)
        return np.concatenate([setpoints, placements, levers], axis=1).astype(np.int64)
