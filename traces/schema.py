"""The columns of a trace, and the table that is made of them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces.arrow import from_numpy, labels, to_numpy
from traces.errors import TraceValueError
from traces.validation import Origin, check_gpu_milli, check_optional, check_present, check_seconds, check_unique

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
    ]
)
"""Arrow schema of `Trace.table`; the columns are described in `Trace`."""

REQUIRED = tuple(column.name for column in SCHEMA if not column.nullable)
"""Names of the columns that hold a value for every job."""

OPTIONAL = tuple(column.name for column in SCHEMA if column.nullable)
"""Names of the columns that may be null, in the order of `SCHEMA`."""


def make_table(given: Mapping[str, Column | None], length: int, origin: Origin) -> pa.Table:
    """Return the table of `SCHEMA`: validated, sorted by submit time (stable), each column in one chunk.

    Args:
        given: Every column of `SCHEMA`; None: all null, and for job_id ``job-<row>``.
        length: Number of jobs.
        origin: File, rows and column names for messages.

    Raises:
        TraceValueError: Names the row, the column, the value and the mend.
    """
    given = dict(given)
    if given["job_id"] is None:
        rows = np.arange(1, length + 1) if origin.rows is None else origin.rows
        given["job_id"] = labels("job-", rows)
    columns = {column.name: _arrow(given[column.name], column, length, origin) for column in SCHEMA}
    for name in REQUIRED:
        check_present(columns[name], name, origin)
    check_unique(columns["job_id"], "job_id", origin)
    submit, duration = to_numpy(columns["submit_time_seconds"]), to_numpy(columns["duration_seconds"])
    check_seconds(submit, "submit_time_seconds", origin, positive=False, noun="submit times")
    check_seconds(duration, "duration_seconds", origin, positive=True, noun="durations")
    gpu_milli = to_numpy(columns["gpu_milli"])
    check_gpu_milli(gpu_milli, "gpu_milli", origin)
    check_optional(columns, submit, gpu_milli, origin)
    return _sorted(pa.table(columns, schema=SCHEMA))


def _arrow(values: Column | None, column: pa.Field, length: int, origin: Origin) -> pa.ChunkedArray:
    """Return values in the dtype of `column`, all null where `values` is None."""
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
        # Arrow's own sort is not stable, numpy's is when asked.
        table = table.take(from_numpy(np.argsort(submit, kind="stable")))
    return table.combine_chunks()
