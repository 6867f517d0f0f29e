"""Rules for columns of jobs and nodes, which can name the file, the row, the column, the value and the fix.

A rule yields a `Violation` for each way in which rows break it. `check` makes the first of them an error;
`traces.rows.Rows` may leave such rows out instead.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from traces.arrow import filled, is_null, to_numpy
from traces.errors import TraceValueError

MAX_SECONDS = 4e9
"""Largest time or duration, seconds (126 years): a column with more is in milliseconds or nanoseconds."""

MAX_GPUS = 1e6
"""Largest number of GPUs that one job may request."""

MAX_PRIORITY = 2**31 - 1
"""Largest size of a priority; Kubernetes keeps them in 32 bits too."""


MAX_DATA_GB = 1e6
"""Most data that one job may read, GB."""

MAX_FLEXIBILITY = 3
"""Highest tier of a job's flexibility."""

_INTERVALS = {
    "predicted_duration_seconds": "estimates of run times",
    "checkpoint_interval_seconds": "checkpoint intervals",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from, so that an error speaks of the user's file and not of our table.

    Attributes:
        name: file or object that holds the rows, as the user wrote it.
        columns: our column name -> name in the original file, where they differ.
        rows: [rows] int64, the 1-based data row of the original file of each row; None: 1, 2, 3...
    """

    name: str = "trace"
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: NDArray[np.int64] | None = None

    def row_number(self, index: int) -> int:
        """The 1-based data row in the original file of the row at the 0-based `index`."""
        return index + 1 if self.rows is None else int(self.rows[index])

    def error(self, index: int, column: str, problem: str) -> TraceValueError:
        """The error for the cell at row `index` (0-based) of our `column`."""
        name = self.columns.get(column, column)
        return TraceValueError(f"{self.name}: row {self.row_number(index)}, column {name}: {problem}")


@dataclass(frozen=True, slots=True)
class Violation:
    """Rows that break a rule in one way.

    Attributes:
        column: our name of the column.
        rows: [rows] bool, which rows.
        reason: the way, the same for all of them, as it follows the name of the column: "is negative".
        problem: index of a row -> what is wrong there, and how to fix it.
    """

    column: str
    rows: NDArray[np.bool_]
    reason: str
    problem: Callable[[int], str]

    @property
    def first(self) -> int | None:
        """Index of the first such row, None where there is none."""
        index = int(self.rows.argmax()) if self.rows.size else 0
        return index if self.rows.size and self.rows[index] else None


Violations = Iterator[Violation]


def check(violations: Iterable[Violation], origin: Origin) -> None:
    """Refuse rows that break a rule.

    Raises:
        TraceValueError: names the first row that breaks the first broken rule.
    """
    for violation in violations:
        if violation.first is not None:
            raise origin.error(violation.first, violation.column, violation.problem(violation.first))


def present(values: pa.ChunkedArray, column: str) -> Violations:
    """Every cell of a required column holds a value."""
    fix = "is empty; every job needs a value here: fill it in or remove the row"
    yield Violation(column, is_null(values), "is empty", lambda _: fix)


def seconds(
    values: NDArray[np.float64], column: str, *, positive: bool, noun: str, zero_fix: str = "remove jobs that never ran"
) -> Violations:
    """Every value is a finite number of seconds, at least 0 (or above 0 where `positive`).

    Args:
        values: [rows] float64, seconds.
        column: our name of the column.
        positive: whether 0 is refused as well.
        noun: what the values are, in the plural, for the message.
        zero_fix: what to do about a 0 that is refused, for the message.
    """
    rule = f"{noun} must be {'>' if positive else '>='} 0 seconds"

    def problem(text: str) -> Callable[[int], str]:
        return lambda index: f"{values[index]} {text}"

    is_finite = np.isfinite(values)
    yield Violation(column, ~is_finite, "is not a finite number", problem(f"is not a finite number; {rule}"))
    yield Violation(column, is_finite & (values < 0), "is negative", problem(f"is negative; {rule}"))
    if positive:
        yield Violation(column, values == 0, "is zero", problem(f"is zero; {rule}, so {zero_fix}"))
    limit = f"is above {MAX_SECONDS:.0e} seconds; is the column in milliseconds? {noun} are in seconds"
    yield Violation(column, is_finite & (values > MAX_SECONDS), f"is above {MAX_SECONDS:.0e} seconds", problem(limit))


def near(values: pa.ChunkedArray, column: str) -> Violations:
    """Every timestamp is within `MAX_SECONDS` of most others: one of the year 1 or 9999 is a mistake.

    Args:
        values: [rows] Arrow timestamps, null where there is none.
        column: our name of the column.
    """
    known = values.drop_null()
    if not len(known):
        return
    micros = to_numpy(values.cast(pa.timestamp("us", values.type.tz), safe=False).cast(pa.int64()).drop_null())
    middle = float(np.median(micros))
    far = np.zeros(len(values), np.bool_)
    far[~is_null(values)] = np.abs(micros - middle) > MAX_SECONDS * 1e6
    reason = f"is more than {MAX_SECONDS / 31_557_600:.0f} years from most others"
    yield Violation(column, far, reason, lambda index: f"{values[index]} {reason}; fix or remove this row")


def gpu_milli(values: NDArray[np.int64], column: str) -> Violations:
    """Every job requests a share of one GPU (1 to 999) or whole GPUs (a multiple of 1000).

    Args:
        values: [rows] int64, thousandths of a GPU.
        column: our name of the column.
    """
    rule = "is not above 0; a job requests at least 1/1000 GPU"
    yield Violation(column, values <= 0, "is not above 0", lambda index: f"{values[index]} {rule}")
    whole = "is not a whole number of GPUs"
    shares = f"{whole}; above one GPU only whole GPUs (multiples of 1000 thousandths) can be requested"
    yield Violation(column, (values > 1000) & (values % 1000 != 0), whole, lambda index: f"{values[index]} {shares}")
    many = f"is more than {MAX_GPUS:.0f} GPUs"
    yield Violation(
        column, values > MAX_GPUS * 1000, many, lambda index: f"{values[index]} {many}; the unit is 1/1000 GPU"
    )


def gpu_count(gpus: NDArray[np.float64], column: str) -> Violations:
    """Every job requests a share of one GPU or whole GPUs, in the unit of the original file.

    Args:
        gpus: [rows] float64, GPUs.
        column: our name of the column.
    """
    is_number = np.isfinite(gpus) & (gpus > 0) & (gpus <= MAX_GPUS)
    number, limits = "is not a number of GPUs", f"a job requests more than 0 and at most {MAX_GPUS:.0f} GPUs"
    yield Violation(column, ~is_number, number, lambda index: f"{gpus[index]:g} {number}; {limits}")
    whole, rule = "is not a whole number of GPUs", "above one GPU only whole GPUs can be requested"
    is_part = is_number & (gpus > 1) & (gpus != np.floor(gpus))
    yield Violation(column, is_part, whole, lambda index: f"{gpus[index]:g} {whole}; {rule}")


def to_milli(gpus: NDArray[np.float64]) -> NDArray[np.int64]:
    """GPUs in thousandths, [rows] int64; shares are rounded to the next thousandth, at least one."""
    milli: NDArray[np.int64] = np.maximum(np.floor(gpus * 1000 + 0.5), 1).astype(np.int64)
    return milli


def unique(values: pa.ChunkedArray, column: str, origin: Origin) -> Violations:
    """Every string occurs once; the second occurrence breaks the rule.

    Args:
        values: [rows] strings.
        column: our name of the column.
        origin: for the row of the first occurrence.
    """
    again = np.zeros(len(values), np.bool_)
    if pc.count_distinct(values).as_py() == len(values):
        return
    texts = values.to_pylist()
    earlier: dict[str, int] = {}
    for index, value in enumerate(texts):
        again[index] = earlier.setdefault(value, index) != index

    def problem(index: int) -> str:
        where = f"already the value of row {origin.row_number(earlier[texts[index]])}"
        return f"{texts[index]!r} is {where}; values must be unique: rename or remove one"

    yield Violation(column, again, "is that of an earlier row", problem)


def optional(
    columns: Mapping[str, pa.ChunkedArray], submit_time_seconds: NDArray[np.float64], gpus: NDArray[np.int64]
) -> Violations:
    """The values of the nullable columns keep the invariants of `traces.Trace`; nulls always do.

    Args:
        columns: column -> [rows] values; columns without a value are passed over.
        submit_time_seconds: [rows] float64, seconds.
        gpus: [rows] int64, thousandths of a GPU.
    """
    given = {name: values for name, values in columns.items() if values.null_count < len(values)}
    for name, noun in _INTERVALS.items():
        if name in given:
            values = filled(given[name], np.ones(len(gpus)))
            yield from seconds(values, name, positive=True, noun=noun, zero_fix="leave the cell empty")
    for name in ("latest_start_seconds", "deadline_seconds"):
        if name in given:
            yield from _not_before(given[name], submit_time_seconds, name)
    for name in ("min_gpus", "max_gpus"):
        if name in given:
            yield from _width(given[name], gpus, name)
    for name in ("cpu_milli", "memory_mib"):
        if name in given:
            yield from _not_negative(given[name], name)
    rules: dict[str, tuple[Callable[[NDArray[Any]], Violations], type]] = {
        "priority": (_priority, np.int64),
        "flexibility": (_flexibility, np.int64),
        "energy_kwh": (_energy, np.float64),
        "data_gb": (_data, np.float64),
    }
    for name, (rule, kind) in rules.items():
        if name in given:
            yield from rule(filled(given[name], np.zeros(len(gpus), kind)))
    for name in ("workload", "image", "data_region"):
        if name in given:
            yield from _not_blank(given[name], name)


def _priority(values: NDArray[np.int64]) -> Violations:
    limits = f"is outside of {-MAX_PRIORITY} to {MAX_PRIORITY}"
    outside = (values > MAX_PRIORITY) | (values < -MAX_PRIORITY)
    yield Violation("priority", outside, limits, lambda index: f"{values[index]} {limits}; priorities have 32 bits")


def _energy(values: NDArray[np.float64]) -> Violations:
    fix = "is no energy; leave the cell empty where none was measured"
    yield Violation(
        "energy_kwh", ~(values >= 0) | np.isinf(values), "is no energy", lambda index: f"{values[index]} {fix}"
    )


def _data(values: NDArray[np.float64]) -> Violations:
    limits = f"is no size of data; a job reads 0 to {MAX_DATA_GB:.0f} GB"
    outside = ~((values >= 0) & (values <= MAX_DATA_GB))
    yield Violation("data_gb", outside, "is no size of data", lambda index: f"{values[index]} {limits}")


def _flexibility(tiers: NDArray[np.int64]) -> Violations:
    limits = f"is no flexibility tier; they are 0 to {MAX_FLEXIBILITY}"
    outside = (tiers < 0) | (tiers > MAX_FLEXIBILITY)
    yield Violation("flexibility", outside, "is no flexibility tier", lambda index: f"{tiers[index]} {limits}")


def _not_blank(values: pa.ChunkedArray, column: str) -> Violations:
    lengths = filled(pc.binary_length(values).cast(pa.int64()), np.ones(len(values), np.int64))
    fix = "is an empty text; leave the cell null where it is unknown"
    yield Violation(column, lengths == 0, "is an empty text", lambda _: fix)


def _not_negative(values: pa.ChunkedArray, column: str) -> Violations:
    amounts: NDArray[np.int64] = filled(values, np.zeros(len(values), np.int64))
    fix = "is below 0; leave the cell empty where it is unknown"
    yield Violation(column, amounts < 0, "is below 0", lambda index: f"{amounts[index]} {fix}")


def _not_before(values: pa.ChunkedArray, submit: NDArray[np.float64], column: str) -> Violations:
    is_deadline = column == "deadline_seconds"
    times: NDArray[np.float64] = filled(values, submit + 1)
    yield from seconds(times, column, positive=False, noun="deadlines" if is_deadline else "latest starts")
    state = "is not after" if is_deadline else "is before"
    fix = "it is a time of the trace, as submit times are, not a length"
    yield Violation(
        column,
        times <= submit if is_deadline else times < submit,
        f"{state} the submit time",
        lambda index: f"{times[index]} {state} the submit time {submit[index]}; {fix}",
    )


def _width(values: pa.ChunkedArray, requested: NDArray[np.int64], column: str) -> Violations:
    widths: NDArray[np.int64] = filled(values, requested // 1000)
    shares = (requested < 1000) & ~is_null(values)
    why = "for a job that requests a share of one GPU; leave the cell empty: only whole GPUs stretch"
    yield Violation(column, shares, "is given for a share of one GPU", lambda index: f"{widths[index]} {why}")
    is_least = column == "min_gpus"
    low, high = (1, requested // 1000) if is_least else (requested // 1000, int(MAX_GPUS))

    def problem(index: int) -> str:
        own = requested[index] // 1000
        rule = f"from 1 to the {own} GPUs requested" if is_least else f"at least the {own} GPUs requested"
        limit = "" if is_least else f" and at most {MAX_GPUS:.0f}"
        return f"{widths[index]} is no width of this job; it must be {rule}{limit}"

    outside = (requested >= 1000) & ((widths < low) | (widths > high))
    yield Violation(column, outside, "is no width of the job", problem)
