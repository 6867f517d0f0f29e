"""The columns of a trace, and the table that is made of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from configs.errors import did_you_mean
from traces.arrow import from_numpy, labels, to_numpy
from traces.errors import TraceValueError
from traces.validation import Origin, Violations, check, gpu_milli, optional, present, seconds, unique

Column: TypeAlias = NDArray[Any] | pa.Array | pa.ChunkedArray | Sequence[Any]

SCHEMA = pa.schema(
    [
        pa.field("job_id", pa.string(), nullable=False),
        pa.field("submit_time_seconds", pa.float64(), nullable=False),
        pa.field("duration_seconds", pa.float64(), nullable=False),
        pa.field("gpu_milli", pa.int64(), nullable=False),
        pa.field("user", pa.string()),
        pa.field("group", pa.string()),
        pa.field("gpu_models", pa.list_(pa.string())),
        pa.field("cpu_milli", pa.int64()),
        pa.field("memory_mib", pa.int64()),
        pa.field("status", pa.string()),
        pa.field("priority", pa.int64()),
        pa.field("predicted_duration_seconds", pa.float64()),
        pa.field("latest_start_seconds", pa.float64()),
        pa.field("deadline_seconds", pa.float64()),
        pa.field("min_gpus", pa.int64()),
        pa.field("max_gpus", pa.int64()),
        pa.field("workload", pa.string()),
        pa.field("checkpoint_interval_seconds", pa.float64()),
        pa.field("image", pa.string()),
        pa.field("flexibility", pa.int64()),
        pa.field("energy_kwh", pa.float64()),
        pa.field("data_gb", pa.float64()),
        pa.field("data_region", pa.string()),
    ]
)
"""Arrow schema of `Trace.table`; the columns are described in `Trace`."""

REQUIRED = tuple(column.name for column in SCHEMA if not column.nullable)
"""Names of the columns that hold a value for every job."""

OPTIONAL = tuple(column.name for column in SCHEMA if column.nullable)
"""Names of the columns that may be null, in the order of `SCHEMA`."""


def make_table(columns: Mapping[str, Column | None], origin: Origin) -> pa.Table:
    """The table of `SCHEMA`: validated, sorted by submit time (stable), each column in one chunk.

    Args:
        columns: by name of `SCHEMA`; one that is missing or None is null, and job_id `job-<row>`.
        origin: file, rows and column names for messages.

    Raises:
        TraceValueError: a column is unknown or missing, or names the row, the column, the value and the fix.
    """
    for name in columns:
        if name not in SCHEMA.names:
            raise TraceValueError(f"{origin.name}: a trace has no column {name!r}{did_you_mean(name, SCHEMA.names)}")
    given = {name: values for name, values in columns.items() if values is not None}
    for name in REQUIRED:
        if name not in given and name != "job_id":
            raise TraceValueError(f"{origin.name}: no column {name}; every trace needs {', '.join(REQUIRED[1:])}")
    length = len(given["submit_time_seconds"])
    wanted = [column for column in SCHEMA if column.name in given or column.nullable]
    table = pa.table({column.name: _arrow(given.get(column.name), column, length, origin) for column in wanted})
    for rules in ROW_RULES:
        check(rules(table, origin), origin)
    if "job_id" not in given:  # not before: that they are unique is known, and slow to find out
        numbers = np.arange(1, length + 1) if origin.rows is None else origin.rows
        table = table.add_column(0, "job_id", pa.chunked_array([labels("job-", numbers)]))
    return _sorted(table.select(SCHEMA.names).cast(SCHEMA))


def _required_values(table: pa.Table, _origin: Origin) -> Violations:
    for name in REQUIRED:
        if name in table.column_names:
            yield from present(table[name], name)


def _invariants(table: pa.Table, origin: Origin) -> Violations:
    """The rules of a table without nulls in required columns."""
    if "job_id" in table.column_names:
        yield from unique(table["job_id"], "job_id", origin)
    submit, duration = to_numpy(table["submit_time_seconds"]), to_numpy(table["duration_seconds"])
    gpus = to_numpy(table["gpu_milli"])
    yield from seconds(submit, "submit_time_seconds", positive=False, noun="submit times")
    yield from seconds(duration, "duration_seconds", positive=True, noun="durations")
    yield from gpu_milli(gpus, "gpu_milli")
    yield from optional({name: table[name] for name in OPTIONAL if name in table.column_names}, submit, gpus)


ROW_RULES: tuple[Callable[[pa.Table, Origin], Violations], ...] = (_required_values, _invariants)
"""The rules of a table of jobs, in the order in which they can be checked."""


def _arrow(values: Column | None, column: pa.Field, length: int, origin: Origin) -> pa.ChunkedArray:
    """Values in the dtype of `column`, all null where `values` is None."""
    name = origin.columns.get(column.name, column.name)
    if values is None:
        return pa.chunked_array([pa.nulls(length, column.type)])
    if len(values) != length:
        problem = f"column {name} has {len(values)} rows, the submit times {length}"
        raise TraceValueError(f"{origin.name}: {problem}; columns of a trace have the same length")
    try:
        if isinstance(values, pa.ChunkedArray):
            return values.cast(column.type)
        if isinstance(values, np.ndarray) and values.dtype in (np.float64, np.int64):
            # A copy: the caller may go on writing to its array, and a trace never changes.
            return pa.chunked_array([from_numpy(values.copy()).cast(column.type)])
        return pa.chunked_array([pa.array(values).cast(column.type) if len(values) else pa.array([], column.type)])
    except (pa.ArrowException, OverflowError, TypeError) as error:
        reason = str(error).splitlines()[0]
        problem = f"column {name} cannot be read as {column.type}: {reason}"
        raise TraceValueError(f"{origin.name}: {problem}") from error


def _sorted(table: pa.Table) -> pa.Table:
    submit = to_numpy(table.column("submit_time_seconds"))
    if not np.all(submit[1:] >= submit[:-1]):
        # Arrow's own sort is not stable, numpy has a stable one.
        table = table.take(from_numpy(np.argsort(submit, kind="stable")))
    return table.combine_chunks()
