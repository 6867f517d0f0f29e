"""Strong scaling that ElasticFlow measured on 1 to 64 GPUs."""

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from traces.curves.names import workload_name
from traces.curves.tables import ScalingTable
from traces.errors import TraceFileError, TraceValueError
from traces.tables import read_csv, read_header

BATCH_COLUMN = "global_batch_size"


def load_elasticflow_scaling(folder: str, batch: Literal["smallest", "largest"] = "largest") -> ScalingTable:
    """The speed-up of each network at one global batch size, from a folder such as `throughputs_A100`.

    Each file `<network>.csv` has a row for each global batch size and a column for each number of GPUs, in iterations
    per second; 0, nan and an empty cell are runs that were not measured. The batch stays the same at every width, so
    this is strong scaling: what an elastic job gains that must not change its training.

    Args:
        folder: the folder.
        batch: which batch size to take of each network; a larger one scales better.

    Source: Gu et al., "ElasticFlow" (ASPLOS 2023); github.com/pkusys/ElasticFlow, Apache-2.0.

    Raises:
        TraceFileError: the folder or a file cannot be read.
        TraceValueError: a file holds something else.
    """
    files = sorted(Path(folder).glob("*.csv"))
    if not files:
        raise TraceFileError(f"{folder}: has no .csv file; give a folder such as throughputs_A100")
    curves: dict[str, dict[int, float]] = {}
    for file in files:
        gpus, values = _one(str(file), batch)
        curves[workload_name(file.stem)] = {
            count: value for count, value in zip(gpus, values, strict=True) if np.isfinite(value) and value > 0
        }
        if 1 not in curves[workload_name(file.stem)]:
            raise TraceValueError(f"{file}: has no throughput on 1 GPU, to which the others relate; remove the file")
    widths = tuple(sorted({count for curve in curves.values() for count in curve}))
    names = tuple(sorted(curves))
    speedup = np.array([[curves[name].get(count, np.nan) / curves[name][1] for count in widths] for name in names])
    return ScalingTable(names, widths, speedup, f"ElasticFlow {folder}")


def _one(path: str, batch: str) -> tuple[list[int], list[float]]:
    """Numbers of GPUs and iterations per second in the row of the smallest or largest batch."""
    columns = [name for name in read_header(path) if name != BATCH_COLUMN]
    for name in columns:
        if not name.isdigit() or int(name) < 1:
            raise TraceValueError(f"{path}: column {name!r} is no number of GPUs")
    table = read_csv(path, {BATCH_COLUMN: pa.int64(), **dict.fromkeys(columns, pa.float64())})
    if not table.num_rows:
        raise TraceValueError(f"{path}: has no batch size; check that it is the right file")
    rows = table.to_pylist()
    row = (min if batch == "smallest" else max)(rows, key=lambda cells: cells[BATCH_COLUMN] or 0)
    return [int(name) for name in columns], [np.nan if row[name] is None else row[name] for name in columns]
