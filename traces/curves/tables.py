"""Tables of measured speed and power, each with a method that gives integers for the simulator's kernels.

Rows are workloads, the keys in the trace's `workload` column. The methods take the workloads of a trace,
`names, codes = trace.codes("workload")`, and return a row for each name and one more at the end for jobs without one,
whose code is -1. Both that row and the rows of workloads that were not measured are medians over those that were.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traces.curves.arrays import (
    Matrix,
    check_complete,
    check_matrix,
    check_names,
    check_positions,
    column_medians,
    interpolate_rows,
    pick_rows,
    position,
    to_ppm,
)
from traces.errors import TraceValueError


@dataclass(frozen=True, slots=True, eq=False)
class SpeedTable:
    """How fast GPU models are, by workload, on one GPU.

    Attributes:
        workloads: W names.
        gpu_models: M names, such as V100.
        relative_speed: [W, M] float64, > 0, NaN where not measured. Only ratios within a row mean anything.
        source: where the numbers come from.
    """

    workloads: tuple[str, ...]
    gpu_models: tuple[str, ...]
    relative_speed: Matrix
    source: str

    def __post_init__(self) -> None:
        check_names(self.workloads, "workload", self.source)
        check_names(self.gpu_models, "GPU model", self.source)
        check_matrix(self.relative_speed, self.workloads, self.gpu_models, self.source)

    def speed_ppm(self, workloads: Sequence[str], gpu_models: Sequence[str], reference: str) -> NDArray[np.int64]:
        """Speeds over that on the reference model, on which the trace's durations were measured.

        Args:
            workloads: N names; a workload that is not in the table, or not on one of the models, gets the median.
            gpu_models: K names of the pools' models.
            reference: the model whose speed is 1,000,000.

        Returns:
            [N + 1, K] int64, parts per million.

        Raises:
            TraceValueError: the table does not have a model.
        """
        base = position(reference, self.gpu_models, "GPU model", self.source)
        columns = [position(model, self.gpu_models, "GPU model", self.source) for model in gpu_models]
        ratio = (self.relative_speed / self.relative_speed[:, [base]])[:, columns]
        default = column_medians(ratio)
        if np.isnan(default).any():
            model = gpu_models[int(np.isnan(default).argmax())]
            raise TraceValueError(f"{self.source}: no workload was measured on both {model} and {reference}")
        picked = pick_rows(ratio, self.workloads, workloads, default)
        return to_ppm(np.where(np.isnan(picked), default, picked))


@dataclass(frozen=True, slots=True, eq=False)
class ScalingTable:
    """How much faster workloads run on more GPUs.

    Attributes:
        workloads: W names.
        gpus: G numbers of GPUs, ascending from 1.
        speedup: [W, G] float64, > 0: throughput over that on 1 GPU, which is 1.0; NaN where not measured.
        source: where the numbers come from.
    """

    workloads: tuple[str, ...]
    gpus: tuple[int, ...]
    speedup: Matrix
    source: str

    def __post_init__(self) -> None:
        check_names(self.workloads, "workload", self.source)
        check_positions(self.gpus, "numbers of GPUs", self.source, first=1)
        check_matrix(self.speedup, self.workloads, self.gpus, self.source)
        check_complete(self.speedup[:, 0], self.workloads, "1 GPU", self.source)

    def scaling_ppm(self, workloads: Sequence[str], max_gpus: int) -> NDArray[np.int64]:
        """Throughput at each width over that on 1 GPU; between measured widths linear, above the last level.

        A job that requested `a` GPUs and gets `w` runs at `ppm[code, w] / ppm[code, a]` of its speed.

        Args:
            workloads: N names; a workload that is not in the table gets the median curve.
            max_gpus: largest width.

        Returns:
            [N + 1, max_gpus + 1] int64, parts per million; column 0 is 0, column 1 is 1,000,000.
        """
        return _by_count(self.speedup, self.gpus, self.workloads, workloads, max_gpus)


@dataclass(frozen=True, slots=True, eq=False)
class SpreadTable:
    """How much slower workloads run when their GPUs are on several nodes.

    Attributes:
        workloads: W names.
        nodes: N numbers of nodes, ascending from 1.
        relative_speed: [W, N] float64, > 0: throughput over that of the same GPUs on one node, which is 1.0;
            NaN where not measured.
        source: where the numbers come from.
    """

    workloads: tuple[str, ...]
    nodes: tuple[int, ...]
    relative_speed: Matrix
    source: str

    def __post_init__(self) -> None:
        check_names(self.workloads, "workload", self.source)
        check_positions(self.nodes, "numbers of nodes", self.source, first=1)
        check_matrix(self.relative_speed, self.workloads, self.nodes, self.source)
        check_complete(self.relative_speed[:, 0], self.workloads, "1 node", self.source)

    def spread_ppm(self, workloads: Sequence[str], max_nodes: int) -> NDArray[np.int64]:
        """Speeds on several nodes over that on one; level above the largest number of nodes measured.

        Args:
            workloads: N names; a workload that is not in the table gets the median.
            max_nodes: most nodes of a job.

        Returns:
            [N + 1, max_nodes + 1] int64, parts per million; column 0 is 0, column 1 is 1,000,000.
        """
        return _by_count(self.relative_speed, self.nodes, self.workloads, workloads, max_nodes)


@dataclass(frozen=True, slots=True, eq=False)
class PowerCapTable:
    """Speed and power of a GPU model under a power limit, by workload.

    Attributes:
        gpu_model: the model.
        workloads: W names.
        cap_watts: L power limits, watts, ascending; the last is the GPU's own limit ("no cap").
        relative_speed: [W, L] float64, > 0: over that without a cap, in the last column; NaN: not measured.
        relative_watts: [W, L] float64, > 0: average power while busy, likewise.
        source: where the numbers come from.
    """

    gpu_model: str
    workloads: tuple[str, ...]
    cap_watts: tuple[int, ...]
    relative_speed: Matrix
    relative_watts: Matrix
    source: str

    def __post_init__(self) -> None:
        check_names(self.workloads, "workload", self.source)
        check_positions(self.cap_watts, "power limits", self.source)
        for values in (self.relative_speed, self.relative_watts):
            check_matrix(values, self.workloads, self.cap_watts, self.source)
            check_complete(values[:, -1], self.workloads, f"{self.cap_watts[-1]} W", self.source)

    def cap_ppm(
        self, workloads: Sequence[str], cap_fractions: Sequence[float]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Speed and busy power at cap levels, over those without a cap; linear between measured limits.

        Args:
            workloads: N names; a workload that is not in the table gets the medians.
            cap_fractions: L levels, each a power limit over the GPU's own, such as `(1.0, 0.8, 0.6)`.

        Returns:
            Speed and busy watts, [N + 1, L] int64 each, parts per million.

        Raises:
            TraceValueError: a level is above 1 or below the lowest limit measured.
        """
        lowest = self.cap_watts[0] / self.cap_watts[-1]
        for level in cap_fractions:
            if not lowest - 1e-9 <= level <= 1:
                fix = f"measured are {lowest:.3g} to 1 of {self.cap_watts[-1]} W"
                raise TraceValueError(f"{self.source}: there is no power cap {level:g}; {fix}")
        watts = [level * self.cap_watts[-1] for level in cap_fractions]
        speed, power = (
            to_ppm(interpolate_rows(self._rows(values, workloads), self.cap_watts, watts))
            for values in (self.relative_speed, self.relative_watts)
        )
        return speed, power

    def _rows(self, values: Matrix, workloads: Sequence[str]) -> Matrix:
        return pick_rows(values, self.workloads, workloads, column_medians(values))


def _by_count(
    values: Matrix, counts: Sequence[int], names: Sequence[str], workloads: Sequence[str], largest: int
) -> NDArray[np.int64]:
    """Curves at 0 (which is 0), 1, ... `largest`, int64, shape (len(workloads) + 1, largest + 1), ppm."""
    if largest < 1:
        raise TraceValueError(f"a curve needs at least one GPU or node, not {largest}")
    picked = pick_rows(values, names, workloads, column_medians(values))
    ppm = np.zeros((len(picked), largest + 1), np.int64)
    ppm[:, 1:] = to_ppm(interpolate_rows(picked, counts, list(range(1, largest + 1))))
    return ppm
