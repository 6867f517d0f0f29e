"""Checks of job columns that can name the file, the row, the column, the value and the mend."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from traces.arrow import filled, is_null, to_numpy
from traces.errors import TraceValueError

MAX_SECONDS = 4e9
"""Largest time or duration, seconds (126 years): a column with more is in milliseconds or nanoseconds."""

MAX_GPUS = 1e6
"""Largest number of GPUs that one job may ask."""

MAX_PRIORITY = 2**31 - 1
"""Largest size of a priority; Kubernetes keeps them in 32 bits too."""


_INTERVALS = {
    "predicted_duration_seconds": "estimates of run times",
    "checkpoint_interval_seconds": "checkpoint intervals",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from, so that an error speaks of the user's file and not of our table.

    Attributes:
        name: File or object that holds the rows, as the user wrote it.
        columns: Our column name -> name in the original file, where they differ.
        rows: int64, shape (rows,). 1-based data row of the original file for each row; None: 1, 2, 3...
    """

    name: str = "trace"
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: NDArray[np.int64] | None = None

    def row_number(self, index: int) -> int:
        """Return the 1-based data row in the original file of the row at the 0-based `index`."""
        return index + 1 if self.rows is None else int(self.rows[index])

    def error(self, index: int, column: str, problem: str) -> TraceValueError:
        """Return the error for the cell at row `index` (0-based) of our `column`."""
        name = self.columns.get(column, column)
        return TraceValueError(f"{self.name}: row {self.row_number(index)}, column {name}: {problem}")


def first(mask: NDArray[np.bool_]) -> int | None:
    """Return the index of the first True of `mask` (bool, shape (rows,)), None where there is none."""
    index = int(mask.argmax()) if mask.size else 0
    return index if mask.size and mask[index] else None


def check_present(values: pa.ChunkedArray, column: str, origin: Origin) -> None:
    """Raise unless every cell of a required column holds a value.

    Raises:
        TraceValueError: A cell is empty.
    """
    if values.null_count:
        index = int(is_null(values).argmax())
        raise origin.error(index, column, "is empty; every job needs a value here: fill it in or remove the row")


def check_seconds(
    values: NDArray[np.float64],
    column: str,
    origin: Origin,
    *,
    positive: bool,
    noun: str,
    zero_mend: str = "remove jobs that never ran",
) -> None:
    """Raise unless every value is a finite number of seconds, at least 0 (or above 0 where `positive`).

    Args:
        values: float64, shape (rows,), seconds.
        column: Our name of the column.
        origin: Where the rows come from.
        positive: Whether 0 is refused as well.
        noun: What the values are, in the plural, for the message.
        zero_mend: What to do about a 0 that is refused, for the message.

    Raises:
        TraceValueError: Names the first value that breaks the rule.
    """
    rule = f"{noun} must be {'>' if positive else '>='} 0 seconds"
    index = first(~np.isfinite(values))
    if index is not None:
        raise origin.error(index, column, f"{values[index]} is not a finite number; {rule}")
    index = first(values <= 0 if positive else values < 0)
    if index is not None:
        state = "negative" if values[index] < 0 else "zero"
        mend = "" if state == "negative" else f", so {zero_mend}"
        raise origin.error(index, column, f"{values[index]} is {state}; {rule}{mend}")
    index = first(values > MAX_SECONDS)
    if index is not None:
        limit = f"above {MAX_SECONDS:.0e} seconds; is the column in milliseconds? {noun} are in seconds"
        raise origin.error(index, column, f"{values[index]} is {limit}")


def check_gpu_milli(values: NDArray[np.int64], column: str, origin: Origin) -> None:
    """Raise unless every job asks a share of one GPU (1 to 999) or whole GPUs (a multiple of 1000).

    Args:
        values: int64, shape (rows,), thousandths of a GPU.
        column: Our name of the column.
        origin: Where the rows come from.

    Raises:
        TraceValueError: Names the first value that breaks the rule.
    """
    index = first(values <= 0)
    if index is not None:
        raise origin.error(index, column, f"{values[index]} is not above 0; a job asks at least 1/1000 GPU")
    index = first((values > 1000) & (values % 1000 != 0))
    if index is not None:
        rule = "above one GPU only whole GPUs (multiples of 1000 thousandths) can be asked"
        raise origin.error(index, column, f"{values[index]} is not a whole number of GPUs; {rule}")
    index = first(values > MAX_GPUS * 1000)
    if index is not None:
        rule = f"more than {MAX_GPUS:.0f} GPUs; the unit is 1/1000 GPU"
        raise origin.error(index, column, f"{values[index]} is {rule}")


def check_optional(
    columns: Mapping[str, pa.ChunkedArray],
    submit_time_seconds: NDArray[np.float64],
    gpu_milli: NDArray[np.int64],
    origin: Origin,
) -> None:
    """Raise unless the values of the nullable columns keep the invariants of `traces.Trace`; nulls always do.

    Args:
        columns: Column -> values, shape (rows,) each; columns without a value are passed over.
        submit_time_seconds: float64, shape (rows,), seconds, valid.
        gpu_milli: int64, shape (rows,), thousandths of a GPU, valid.
        origin: Where the rows come from.

    Raises:
        TraceValueError: Names the first value that breaks a rule.
    """
    given = {name: values for name, values in columns.items() if values.null_count < len(values)}
    for name, noun in _INTERVALS.items():
        if name in given:
            values = filled(given[name], np.ones(len(gpu_milli)))
            check_seconds(values, name, origin, positive=True, noun=noun, zero_mend="leave the cell empty")
    for name in ("latest_start_seconds", "deadline_seconds"):
        if name in given:
            _check_not_before(given[name], submit_time_seconds, name, origin)
    for name in ("min_gpus", "max_gpus"):
        if name in given:
            _check_width(given[name], gpu_milli, name, origin)
    for name in {"cpu_milli", "memory_mib"} & given.keys():
        _check_not_negative(given[name], name, origin)
    if "priority" in given:
        priority: NDArray[np.int64] = filled(given["priority"], np.zeros_like(gpu_milli))
        index = first((priority > MAX_PRIORITY) | (priority < -MAX_PRIORITY))
        if index is not None:
            problem = f"{priority[index]} is outside of {-MAX_PRIORITY} to {MAX_PRIORITY}; priorities have 32 bits"
            raise origin.error(index, "priority", problem)
    for name in ("workload", "image"):
        if name in given and pc.min(pc.binary_length(given[name])).as_py() == 0:
            index = given[name].to_pylist().index("")
            raise origin.error(index, name, "is an empty text; leave the cell null where it is unknown")


def _check_not_negative(values: pa.ChunkedArray, column: str, origin: Origin) -> None:
    amounts: NDArray[np.int64] = filled(values, np.zeros(len(values), np.int64))
    index = first(amounts < 0)
    if index is not None:
        raise origin.error(index, column, f"{amounts[index]} is below 0; leave the cell empty where it is unknown")


def _check_not_before(values: pa.ChunkedArray, submit: NDArray[np.float64], column: str, origin: Origin) -> None:
    is_deadline = column == "deadline_seconds"
    times: NDArray[np.float64] = filled(values, submit + 1)
    check_seconds(times, column, origin, positive=False, noun="deadlines" if is_deadline else "latest starts")
    index = first(times <= submit if is_deadline else times < submit)
    if index is not None:
        mend = "it is a time of the trace, as submit times are, not a length"
        state = "not after" if is_deadline else "before"
        raise origin.error(index, column, f"{times[index]} is {state} the submit time {submit[index]}; {mend}")


def _check_width(values: pa.ChunkedArray, gpu_milli: NDArray[np.int64], column: str, origin: Origin) -> None:
    gpus: NDArray[np.int64] = filled(values, gpu_milli // 1000)
    index = first((gpu_milli < 1000) & ~is_null(values))
    if index is not None:
        problem = f"{gpus[index]} for a job that asks a share of one GPU; leave the cell empty: only whole GPUs stretch"
        raise origin.error(index, column, problem)
    low, high = (1, gpu_milli // 1000) if column == "min_gpus" else (gpu_milli // 1000, int(MAX_GPUS))
    index = first((gpu_milli >= 1000) & ((gpus < low) | (gpus > high)))
    if index is not None:
        asked = gpu_milli[index] // 1000
        rule = f"from 1 to the {asked} GPUs asked" if column == "min_gpus" else f"at least the {asked} GPUs asked"
        limit = f" and at most {MAX_GPUS:.0f}" if column == "max_gpus" else ""
        raise origin.error(index, column, f"{gpus[index]} is no width of this job; it must be {rule}{limit}")


def check_unique(values: pa.ChunkedArray, column: str, origin: Origin) -> None:
    """Raise unless every string of `values` occurs once.

    Raises:
        TraceValueError: Names the second occurrence and the row of the first.
    """
    if pc.count_distinct(values).as_py() == len(values):
        return
    seen: dict[str, int] = {}
    for index, value in enumerate(values.to_pylist()):
        earlier = seen.setdefault(value, index)
        if earlier != index:
            where = f"already the value of row {origin.row_number(earlier)}"
            raise origin.error(index, column, f"{value!r} is {where}; values must be unique: rename or remove one")


def gpus_to_milli(values: pa.ChunkedArray, column: str, origin: Origin) -> NDArray[np.int64]:
    """Convert GPUs to thousandths of a GPU, and check them in the unit of the original file.

    Args:
        values: float64, shape (rows,), GPUs; shares are rounded to the next thousandth, at least one.
        column: Our name of the column.
        origin: Where the rows come from.

    Returns:
        int64, shape (rows,), thousandths of a GPU.

    Raises:
        TraceValueError: A cell is empty, not finite, not above 0, or above 1 and not whole.
    """
    check_present(values, column, origin)
    gpus: NDArray[np.float64] = to_numpy(values)
    index = first(~(np.isfinite(gpus) & (gpus > 0) & (gpus <= MAX_GPUS)))
    if index is not None:
        rule = f"a job asks more than 0 and at most {MAX_GPUS:.0f} GPUs"
        raise origin.error(index, column, f"{gpus[index]:g} is not a number of GPUs; {rule}")
    index = first((gpus > 1) & (gpus != np.floor(gpus)))
    if index is not None:
        rule = "above one GPU only whole GPUs can be asked"
        raise origin.error(index, column, f"{gpus[index]:g} is not a whole number of GPUs; {rule}")
    milli: NDArray[np.int64] = np.maximum(np.floor(gpus * 1000 + 0.5), 1).astype(np.int64)
    return milli
