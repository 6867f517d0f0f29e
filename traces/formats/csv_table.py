"""Any CSV table of jobs: the options say which column is what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa

from traces.arrow import from_numpy, to_numpy
from traces.errors import TraceURIError
from traces.registry import Format
from traces.tables import check_cells, read_csv
from traces.times import from_timestamps, seconds_since
from traces.trace import Trace, TraceMetadata
from traces.validation import Origin, check_present, gpus_to_milli


@dataclass(frozen=True, slots=True)
class Options:
    """Options of csv: names of columns, and what the table does not say."""

    submit: str = field(
        default="submit_time_seconds", metadata={"help": "column of submit times: seconds, or timestamps"}
    )
    duration: str = field(default="duration_seconds", metadata={"help": "column of run times, seconds"})
    gpus: str = field(default="gpus", metadata={"help": "column of GPUs of the whole job; below 1: a share of one"})
    job_id: str | None = field(default=None, metadata={"help": "column of job ids; else made from the rows"})
    user: str | None = field(default=None, metadata={"help": "column of users"})
    group: str | None = field(default=None, metadata={"help": "column of groups (virtual clusters, teams)"})
    status: str | None = field(default=None, metadata={"help": "column of final states"})
    priority: str | None = field(default=None, metadata={"help": "column of priorities, higher is more urgent"})
    predicted_duration: str | None = field(
        default=None, metadata={"help": "column of estimates of the run time, seconds"}
    )
    latest_start: str | None = field(
        default=None, metadata={"help": "column of times until which a start may be deferred, as submit times"}
    )
    deadline: str | None = field(default=None, metadata={"help": "column of deadlines, as submit times"})
    min_gpus: str | None = field(default=None, metadata={"help": "column of the fewest GPUs of an elastic job"})
    max_gpus: str | None = field(default=None, metadata={"help": "column of the most GPUs of an elastic job"})
    workload: str | None = field(default=None, metadata={"help": "column of job classes, the keys of speed tables"})
    checkpoint_interval: str | None = field(
        default=None, metadata={"help": "column of seconds between checkpoints; empty: cannot be checkpointed"}
    )
    image: str | None = field(default=None, metadata={"help": "column of container images"})
    start_time: datetime | None = field(
        default=None, metadata={"help": "local time of second 0 (2021-03-04T00:00), where submit times are seconds"}
    )


def load(path: str, options: Options) -> Trace:
    """Return the jobs of a CSV table, plain or compressed, whose columns the options name.

    Submit times are seconds (kept as they are), or timestamps such as 2017-10-09 07:01:55, whose earliest becomes
    second 0; latest starts and deadlines likewise. Rows that ask 0 GPUs are CPU jobs: they are dropped and counted.

    Raises:
        TraceError: The file cannot be read or breaks a rule.
    """
    given = {ours: getattr(options, option) for ours, (option, _) in _OPTIONAL.items()}
    optional = {ours: theirs for ours, theirs in given.items() if theirs is not None}
    types = {theirs: _OPTIONAL[ours][1] for ours, theirs in optional.items()}
    table = read_csv(path, {**types, options.submit: None, options.duration: pa.float64(), options.gpus: pa.float64()})
    names = {
        **optional,
        "submit_time_seconds": options.submit,
        "duration_seconds": options.duration,
        "gpu_milli": options.gpus,
    }
    submit, start_time = _submit_times(table[options.submit], options, Origin(path, names))
    check_present(table[options.gpus], "gpu_milli", Origin(path, names))
    keep = to_numpy(table[options.gpus]) != 0
    origin = Origin(path, names, np.flatnonzero(keep) + 1)
    extra = {ours: _extra(table[theirs], ours, start_time, Origin(path, names)) for ours, theirs in optional.items()}
    rows = from_numpy(np.flatnonzero(keep))
    submit, table = submit.take(rows), table.take(rows)
    dropped = {} if keep.all() else {"it asks no GPU": int((~keep).sum())}
    return Trace.from_columns(
        submit_time_seconds=submit,
        duration_seconds=table[options.duration],
        gpu_milli=gpus_to_milli(table[options.gpus], "gpu_milli", origin),
        metadata=TraceMetadata(f"CSV table {path}", start_time=start_time, dropped=dropped),
        origin=origin,
        **{ours: values.take(rows) for ours, values in extra.items()},
    )


_OPTIONAL: Mapping[str, tuple[str, pa.DataType | None]] = {
    "job_id": ("job_id", pa.string()),
    "user": ("user", pa.string()),
    "group": ("group", pa.string()),
    "status": ("status", pa.string()),
    "priority": ("priority", pa.int64()),
    "predicted_duration_seconds": ("predicted_duration", pa.float64()),
    "latest_start_seconds": ("latest_start", None),
    "deadline_seconds": ("deadline", None),
    "min_gpus": ("min_gpus", pa.int64()),
    "max_gpus": ("max_gpus", pa.int64()),
    "workload": ("workload", pa.string()),
    "checkpoint_interval_seconds": ("checkpoint_interval", pa.float64()),
    "image": ("image", pa.string()),
}
"""Our column -> option that names the user's, and its dtype; None: a time, in seconds or as a timestamp."""


def _extra(
    values: pa.ChunkedArray, column: str, start_time: datetime | None, origin: Origin
) -> pa.ChunkedArray | pa.Array:
    """Return the values of an optional column; times in seconds from second 0."""
    if _OPTIONAL[column][1] is not None or pa.types.is_null(values.type):
        return values
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s"))
    if not pa.types.is_timestamp(values.type):
        check_cells(values.cast(pa.string()), pa.float64(), column, origin)
        return values.cast(pa.float64())
    if start_time is None:
        mend = "option start_time must say when second 0 was"
        raise TraceURIError(f"{origin.name}: column {origin.columns[column]} holds timestamps; {mend}")
    return seconds_since(values, start_time)


def _submit_times(values: pa.ChunkedArray, options: Options, origin: Origin) -> tuple[pa.ChunkedArray, datetime | None]:
    """Return submit times in seconds, and the local time of second 0 where it is known."""
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(values.type):
        if options.start_time is not None:
            problem = f"column {options.submit} holds timestamps, which say it themselves; leave the option out"
            raise TraceURIError(f"{origin.name}: option start_time: {problem}")
        seconds, start_time = from_timestamps(values, "submit_time_seconds", origin)
        return pa.chunked_array([from_numpy(seconds)]), start_time
    if not pa.types.is_integer(values.type) and not pa.types.is_floating(values.type):
        # Arrow found no dtype for the whole column: the first cell tells what it was meant to be.
        texts = values.cast(pa.string())
        example = next((cell.as_py() for cell in texts if cell.is_valid), "")
        looks_like_time = pa.types.is_string(values.type) and not example.replace(".", "", 1).isdigit()
        dtype = pa.timestamp("s") if looks_like_time else pa.float64()
        check_cells(texts, dtype, "submit_time_seconds", origin)
    return values.cast(pa.float64()), options.start_time


FORMAT = Format(
    description="any CSV table of jobs; options name its columns",
    licence="unknown",
    example="csv:jobs.csv?submit=created&duration=runtime&gpus=num_gpus",
    options=Options,
    load=load,
)
