"""The learning curve of a run folder: one JSON line per entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter


class CurveWriter(KVWriter):
    """Appends one JSON line per entry of the learning curve; what depends on the wall clock is left out.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._path.stat().st_size

    def truncate(self, size: int) -> None:
        """Forget what came after a checkpoint."""
        with self._path.open("r+b") as file:
            file.truncate(size)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Append an entry."""
        numbers = {
            key: float(value)
            for key, value in sorted(key_values.items())
            if not key.startswith("time/") and isinstance(value, (int, float, np.number))
        }
        if not numbers:
            return
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **numbers}) + "\n")

    def close(self) -> None:
        """Do nothing: the file is closed after each line."""
