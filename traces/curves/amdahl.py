"""Scaling curves in two numbers: Amdahl's law with a cost of communication."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from traces.curves.arrays import Matrix
from traces.errors import TraceValueError


@dataclass(frozen=True, slots=True)
class ScalingCurve:
    """Run time on n GPUs over that on one: `serial + (1 - serial) / n + communication * (n - 1)`.

    Attributes:
        serial: share of the run time on one GPU that more GPUs do not shorten, 0 to 1.
        communication: run time that each further GPU adds, over that on one GPU, >= 0.
    """

    serial: float
    communication: float

    def __post_init__(self) -> None:
        if not (0 <= self.serial <= 1 and 0 <= self.communication < np.inf):
            raise TraceValueError(f"{self} needs serial from 0 to 1 and communication >= 0")

    def speedup(self, gpus: Sequence[int]) -> Matrix:
        """Throughput over that on one GPU, [gpus] float64."""
        count = np.array(gpus, dtype=np.float64)
        return np.asarray(1 / (self.serial + (1 - self.serial) / count + self.communication * (count - 1)))

    @classmethod
    def fit(cls, gpus: Sequence[int], speedup: Matrix) -> Self:
        """The curve nearest to measured speed-ups: least squares of the relative error of the run time.

        Args:
            gpus: numbers of GPUs.
            speedup: [gpus] float64, NaN where not measured.
        """
        known = ~np.isnan(speedup)
        count, gain = np.array(gpus, dtype=np.float64)[known], speedup[known]
        # Linear in both numbers; times the speed-up, errors are relative.
        columns = np.stack([1 - 1 / count, count - 1], axis=1) * gain[:, None]
        target = 1 - gain / count
        serial, communication = np.linalg.lstsq(columns, target, rcond=None)[0].tolist()
        if communication < 0:
            serial, communication = _least_squares(columns[:, 0], target), 0.0
        elif serial < 0:
            serial, communication = 0.0, _least_squares(columns[:, 1], target)
        return cls(min(max(serial, 0.0), 1.0), max(communication, 0.0))


def _least_squares(column: Matrix, target: Matrix) -> float:
    size = float(column @ column)
    return float(column @ target) / size if size else 0.0
