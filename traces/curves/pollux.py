"""Step times that Pollux measured by placement: scaling, and the cost of spreading GPUs over nodes."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces.arrow import to_numpy
from traces.curves.arrays import column_medians
from traces.curves.names import workload_name
from traces.curves.tables import ScalingTable, SpreadTable
from traces.errors import TraceFileError
from traces.tables import read_csv
from traces.validation import Origin, check, present, seconds

GPUS_PER_NODE = 4
"""GPUs of a node of that cluster, NVIDIA T4."""

_Points = dict[tuple[int, int, int], list[float]]
"""(nodes, GPUs, batch of each GPU) -> samples per second."""


def load_pollux_spread(folder: str) -> SpreadTable:
    """The speed on several nodes over that on one, from a folder with `<application>/placements.csv`.

    A placement is written as the GPUs on each node: 4 is one node, 22 and 112 are 4 GPUs on two and three. Compared are
    runs with the same GPUs and the same batch, for jobs that fit on one node (up to 4 GPUs); the value is the median
    over GPUs and batches. On that cluster two nodes are slower than three or four for most applications: the table says
    what was measured.

    Source: Qiao et al., "Pollux" (OSDI 2021); github.com/petuum/adaptdl, branch osdi21-artifact, Apache-2.0.

    Raises:
        TraceFileError: the folder or a file cannot be read.
        TraceValueError: a cell is not valid.
    """
    nodes = tuple(range(1, GPUS_PER_NODE + 1))
    rows: dict[str, list[float]] = {}
    for application in _applications(folder):
        runs = _medians(_placements(application / "placements.csv"))
        ratios: list[list[float]] = []
        for (count, gpus, batch), speed in runs.items():
            if count == 1:
                ratios.append([runs.get((other, gpus, batch), np.nan) / speed for other in nodes])
        rows[workload_name(application.name)] = column_medians(np.array(ratios).reshape(-1, len(nodes))).tolist()
    names = tuple(sorted(rows))
    return SpreadTable(names, nodes, np.array([rows[name] for name in names]), f"Pollux {folder}")


def load_pollux_scaling(folder: str) -> ScalingTable:
    """The speed-up in samples per second on as few nodes as possible, with the same batch on each GPU.

    This is weak scaling: what an elastic job gains that may grow its batch. From `placements.csv` (up to 4 nodes) and
    `scalability.csv` (up to 16 nodes) of each application; the median over batches.

    Source: as `load_pollux_spread`.

    Raises:
        TraceFileError: the folder or a file cannot be read.
        TraceValueError: a cell is not valid.
    """
    curves: dict[str, dict[int, float]] = {}
    for application in _applications(folder):
        points = _placements(application / "placements.csv")
        for key, speeds in _scalability(application / "scalability.csv").items():
            points.setdefault(key, []).extend(speeds)
        runs = _medians(points)
        ratios: dict[int, list[float]] = defaultdict(list)
        for (nodes, gpus, batch), speed in runs.items():
            if nodes == -(-gpus // GPUS_PER_NODE) and (1, 1, batch) in runs:
                ratios[gpus].append(speed / runs[1, 1, batch])
        curves[workload_name(application.name)] = {gpus: float(np.median(speeds)) for gpus, speeds in ratios.items()}
    widths = tuple(sorted({gpus for curve in curves.values() for gpus in curve}))
    names = tuple(sorted(curves))
    speedup = np.array([[curves[name].get(gpus, np.nan) for gpus in widths] for name in names])
    return ScalingTable(names, widths, speedup.reshape(len(names), len(widths)), f"Pollux {folder}")


@dataclass(frozen=True, slots=True)
class Training:
    """How long one application trains to the end, as it was measured.

    Attributes:
        batches: [B] float64, total batch sizes with which it was trained to the end, ascending.
        iterations: [B] float64, iterations that it took with each.
        speeds: (GPUs, batch of each GPU) -> samples per second, on as few nodes as possible.
    """

    batches: NDArray[np.float64]
    iterations: NDArray[np.float64]
    speeds: Mapping[tuple[int, int], float]

    @property
    def most_gpus(self) -> int:
        """The most GPUs that it was measured on."""
        return max(gpus for gpus, _ in self.speeds)

    def run_seconds(self, gpus: int, batch: float) -> float:
        """The time until it is trained, seconds; NaN: it was not measured on so many GPUs.

        Iterations between two measured batch sizes are interpolated by powers; beyond them they are those of the
        nearest. The speed is that of the measured batch of each GPU that is nearest, by its ratio.

        Args:
            gpus: on which it runs, >= 1.
            batch: of all GPUs together, > 0.
        """
        local = [size for count, size in self.speeds if count == gpus]
        if not local:
            return math.nan
        nearest = min(local, key=lambda size: abs(math.log(size * gpus / batch)))
        iterations = math.exp(np.interp(math.log(batch), np.log(self.batches), np.log(self.iterations)))
        return iterations * batch / self.speeds[gpus, nearest]


def load_pollux_training(folder: str) -> dict[str, Training]:
    """Application, by its name in lower case -> how long it trains.

    From `placements.csv`, `scalability.csv` and the `validation-BATCH.csv` of each application: the last row of each of
    these is the end of its training.

    Source: as `load_pollux_spread`.

    Raises:
        TraceFileError: the folder or a file cannot be read.
        TraceValueError: a cell is not valid.
    """
    found = {}
    for application in _applications(folder):
        points = _placements(application / "placements.csv")
        for key, speeds in _scalability(application / "scalability.csv").items():
            points.setdefault(key, []).extend(speeds)
        runs = _medians(points)
        packed = {
            (gpus, size): speed for (nodes, gpus, size), speed in runs.items() if nodes == -(-gpus // GPUS_PER_NODE)
        }
        ends = sorted((_batch(file), _last_iteration(file)) for file in application.glob("validation-*.csv"))
        if not ends:
            raise TraceFileError(f"{application}: has no validation-BATCH.csv, which says when a training ends")
        batches, iterations = np.array(ends, np.float64).T
        found[application.name.lower()] = Training(batches, iterations, packed)
    return found


def _batch(file: Path) -> int:
    size = file.stem.partition("-")[2]
    if not size.isdigit() or int(size) < 1:
        raise TraceFileError(f"{file}: its name has no batch size; it is validation-128.csv for 128")
    return int(size)


def _last_iteration(file: Path) -> float:
    table = read_csv(str(file), {"iteration": pa.float64()})
    origin = Origin(str(file))
    check(present(table["iteration"], "iteration"), origin)
    iterations = to_numpy(table["iteration"])
    if not len(iterations) or not iterations.max() > 0:
        raise TraceFileError(f"{file}: holds no iteration; fetch the file again")
    return float(iterations.max())


def _applications(folder: str) -> list[Path]:
    found = sorted(path.parent for path in Path(folder).glob("*/placements.csv"))
    if not found:
        raise TraceFileError(f"{folder}: has no <application>/placements.csv; give the folder of the applications")
    return found


def _placements(path: Path) -> _Points:
    table = read_csv(str(path), {"placement": pa.string(), "local_bsz": pa.int64(), "step_time": pa.float64()})
    origin = Origin(str(path))
    check(present(table["placement"], "placement"), origin)
    placements = table["placement"].to_pylist()
    for index, text in enumerate(placements):
        if not text.isdigit() or "0" in text:
            raise origin.error(index, "placement", f"{text!r} is no placement; write the GPUs on each node, such as 22")
    nodes = [len(text) for text in placements]
    return _points(table, nodes, [sum(map(int, text)) for text in placements], origin)


def _scalability(path: Path) -> _Points:
    whole = dict.fromkeys(("num_nodes", "num_replicas", "local_bsz"), pa.int64())
    table = read_csv(str(path), {**whole, "step_time": pa.float64()})
    origin = Origin(str(path))
    for name in ("num_nodes", "num_replicas"):
        check(present(table[name], name), origin)
    return _points(table, table["num_nodes"].to_pylist(), table["num_replicas"].to_pylist(), origin)


def _points(table: pa.Table, nodes: list[int], gpus: list[int], origin: Origin) -> _Points:
    for name in ("local_bsz", "step_time"):
        check(present(table[name], name), origin)
    times = to_numpy(table["step_time"])
    check(seconds(times, "step_time", positive=True, noun="step times", zero_fix="remove the row"), origin)
    points: _Points = defaultdict(list)
    for key in zip(nodes, gpus, table["local_bsz"].to_pylist(), times.tolist(), strict=True):
        count, width, batch, step = key
        points[count, width, batch].append(width * batch / step)
    return points


def _medians(points: _Points) -> dict[tuple[int, int, int], float]:
    return {key: float(np.median(speeds)) for key, speeds in points.items()}
