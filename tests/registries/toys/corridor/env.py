"""An environment: walk along a corridor to its end."""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray


class CorridorEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """Walk along a corridor of some cells; each step costs 1, and a gust may push back.

    Args:
        cells: length of the corridor.
    """

    def __init__(self, cells: int = 8) -> None:
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self._cells, self._at = cells, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin at the entrance."""
        super().reset(seed=seed, options=options)
        self._at = 0
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Stay (0) or go on (1)."""
        gust = self.np_random.random() < 0.1
        self._at = max(self._at + int(action) - int(gust), 0)
        return self._observe(), -1.0, self._at >= self._cells, False, {}

    def _observe(self) -> NDArray[np.float32]:
        return np.array([self._at / self._cells], np.float32)
