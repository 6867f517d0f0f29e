"""Players: how a test draws the actions of an episode, from anything at all to what reaches rare paths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec import CodecLayout

STYLES = ("anything", "valid", "levers", "crowded")
"""`anything`: also choices outside the mask. `valid`: any of the mask. `levers`: every lever whenever it may be used,
with nodes that stay on and jobs that start at once, so that there is something to move, to narrow and to cap.
`crowded`: the same with nodes that go at once and jobs that are held back, so that the queue is long."""

KEEP_SETPOINT = 0.95
NO_LEVER = 0.2
RUN = 0.9


class Player:
    """Draws actions in one style.

    Args:
        layout: of the actions.
        style: one of `STYLES`.
        generator: of the draws.
    """

    def __init__(self, layout: CodecLayout, style: str, generator: np.random.Generator) -> None:
        self.style = style
        self.generator = generator
        self._sizes = np.array(layout.action_sizes)
        self._edges = np.cumsum(self._sizes)[:-1]
        self._pools, self._slots = layout.max_pools, layout.window_slots
        self._setpoints = generator.integers(self._sizes[: self._pools])
        self._slow = [index for index, (seconds, _) in enumerate(layout.setpoints) if seconds >= 600.0]

    def act(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """An action; all styles but `anything` obey the mask."""
        if self.style == "anything":
            return self.generator.integers(self._sizes)
        choices = np.split(mask, self._edges)
        drawn = [self.generator.choice(np.flatnonzero(valid)) for valid in choices]
        if self.style == "valid":
            return np.array(drawn)
        levers = [self._lever(valid) for valid in choices[self._pools + self._slots :]]
        slots = drawn[self._pools : self._pools + self._slots]
        if self.style == "levers":
            slots = [self._run(valid) for valid in choices[self._pools : self._pools + self._slots]]
        setpoints = [self._setpoint(pool, valid) for pool, valid in enumerate(choices[: self._pools])]
        return np.array([*setpoints, *slots, *levers])

    def _setpoint(self, pool: int, valid: NDArray[np.bool_]) -> int:
        if self.generator.random() > KEEP_SETPOINT:
            options = self._slow if self.style == "levers" else [0]
            self._setpoints[pool] = self.generator.choice(options)
        return int(self._setpoints[pool]) if valid[self._setpoints[pool]] else 0

    def _run(self, valid: NDArray[np.bool_]) -> int:
        """A pool for a job where one is allowed."""
        pools = np.flatnonzero(valid[1:]) + 1
        return (
            int(self.generator.choice(pools)) if pools.size and self.generator.random() < 0.9 else int(valid.argmax())
        )

    def _lever(self, valid: NDArray[np.bool_]) -> int:
        used = np.flatnonzero(valid[1:]) + 1
        return int(self.generator.choice(used)) if used.size and self.generator.random() > NO_LEVER else 0
