"""Any CSV table of jobs: the options say which column is what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa

from traces import jobs
from traces.arrow import is_null, to_numpy
from traces.errors import TraceURIError
from traces.format import Format, has_columns
from traces.rows import Rows, read_rows
from traces.tables import TextOptions
from traces.times import from_timestamps, seconds_since
from traces.trace import Trace, TraceMetadata
from traces.validation import near


@dataclass(frozen=True, slots=True)
class Options(TextOptions):
    """Options of csv: names of columns, and what the table does not say."""

    submit: str = field(
        default="submit_time_seconds", metadata={"help": "column of submit times: seconds, or timestamps"}
    )
    duration: str | None = field(
        default=None, metadata={"help": "column of run times, seconds; else duration_seconds, or start and end say it"}
    )
    start: str | None = field(default=None, metadata={"help": "column of start times, as submit times; with end"})
    end: str | None = field(default=None, metadata={"help": "column of end times, as submit times; with start"})
    gpus: str = field(default="gpus", metadata={"help": "column of GPUs of the whole job; below 1: a share of one"})
    job_id: str | None = field(default=None, metadata={"help": "column of job ids; else made from the rows"})
    gpu_model: str | None = field(default=None, metadata={"help": "column of the GPU models that a job runs on"})
    cpu_milli: str | None = field(default=None, metadata={"help": "column of thousandths of a CPU of the whole job"})
    memory_mib: str | None = field(default=None, metadata={"help": "column of memory of the whole job, MiB"})
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
    flexibility_tier: str | None = field(default=None, metadata={"help": "column of flexibility tiers, 0 to 3"})
    data_gb: str | None = field(default=None, metadata={"help": "column of the data that a job reads, GB"})
    data_region: str | None = field(default=None, metadata={"help": "column of the regions where these data are"})
    start_time: datetime | None = field(
        default=None, metadata={"help": "local time of second 0 (2021-03-04T00:00), where submit times are seconds"}
    )


def load(path: str, options: Options) -> Trace:
    """The jobs of a text table, plain or compressed, whose columns the options name.

    Submit times are seconds (kept as they are), or timestamps such as 2017-10-09 07:01:55, whose earliest becomes
    second 0; latest starts and deadlines likewise. Rows that request 0 GPUs are CPU jobs: they are dropped and counted.
    Where `start` and `end` name columns, a run time is the time between them; a job that has no start never ran, and
    one that has no end still ran: both are dropped and counted.

    Raises:
        TraceURIError: only one of start and end is named, or a run time beside them.
        TraceError: the file cannot be read, or breaks a rule and `strict` is on.
    """
    span = _span(path, options)
    given = {ours: getattr(options, option) for ours, (option, _) in _OPTIONAL.items()}
    optional = {ours: theirs for ours, theirs in given.items() if theirs is not None}
    types = {theirs: _OPTIONAL[ours][1] for ours, theirs in optional.items()}
    columns = {**types, **dict.fromkeys((options.submit, *span.values())), options.gpus: pa.float64()}
    required = {"submit_time_seconds": options.submit, "gpu_milli": options.gpus, **span}
    if not span:
        required["duration_seconds"] = options.duration or "duration_seconds"
        columns[required["duration_seconds"]] = pa.float64()
    rows = read_rows(path, columns, {**optional, **required}, options)
    rows.require("submit_time_seconds")
    if span:
        _subtract(rows)
    start_time = _convert_submit_times(rows, options)
    for ours in optional:
        if _OPTIONAL[ours][1] is None:
            _convert_times(rows, ours, start_time)
    rows.require("gpu_milli")
    rows.drop(to_numpy(rows["gpu_milli"]) == 0, "it requests no GPU")
    rows.convert_gpus("gpu_milli")
    if options.gpu_model is not None:
        rows.set("gpu_models", jobs.lists(rows["gpu_models"].to_pylist()))
    return rows.trace(TraceMetadata(f"CSV table {path}", start_time=start_time))


def _span(path: str, options: Options) -> dict[str, str]:
    """The columns of starts and ends, where the options name them."""
    if (options.start is None) != (options.end is None):
        raise TraceURIError(f"{path}: options start and end name the two columns of a run; give both")
    if options.start is None or options.end is None:
        return {}
    if options.duration is not None:
        raise TraceURIError(f"{path}: a run time is either a column (duration) or the time from start to end; drop one")
    return {_START: options.start, _END: options.end}


def _subtract(rows: Rows) -> None:
    """Make starts and ends run times."""
    for column, reason in ((_START, jobs.NEVER_RAN), (_END, jobs.STILL_RAN)):
        if pa.types.is_date(rows[column].type):
            rows.set(column, rows[column].cast(pa.timestamp("s")))
        rows.drop(is_null(rows[column]), reason)
    kinds = [pa.types.is_timestamp(rows[column].type) for column in (_START, _END)]
    if kinds[0] != kinds[1]:
        raise TraceURIError(f"{rows.origin.name}: starts and ends are of two kinds, timestamps and numbers; use one")
    if kinds[0]:
        seconds = [rows[column].cast(pa.timestamp("us", rows[column].type.tz)) for column in (_START, _END)]
        values = (to_numpy(seconds[1].cast(pa.int64())) - to_numpy(seconds[0].cast(pa.int64()))) / 1e6
    else:
        values = np.asarray(to_numpy(rows[_END]) - to_numpy(rows[_START]), np.float64)
    rows.set("duration_seconds", values)
    rows.table = rows.table.drop_columns([_START, _END])


_START, _END = "start", "end"

_OPTIONAL: Mapping[str, tuple[str, pa.DataType | None]] = {
    "job_id": ("job_id", pa.string()),
    "gpu_models": ("gpu_model", pa.string()),
    "cpu_milli": ("cpu_milli", pa.int64()),
    "memory_mib": ("memory_mib", pa.int64()),
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
    "flexibility": ("flexibility_tier", pa.int64()),
    "image": ("image", pa.string()),
    "data_gb": ("data_gb", pa.float64()),
    "data_region": ("data_region", pa.string()),
}
"""Our column -> option that names the user's, and its dtype; None: a time, in seconds or as a timestamp."""


def _convert_times(rows: Rows, column: str, start_time: datetime | None) -> None:
    """Make the times of an optional column seconds from second 0."""
    values = rows[column]
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s"))
    if not pa.types.is_timestamp(values.type):
        rows.set(column, values.cast(pa.float64()))
        return
    if start_time is None:
        fix = "option start_time must say when second 0 was"
        raise TraceURIError(f"{rows.origin.name}: column {rows.origin.columns[column]} holds timestamps; {fix}")
    rows.set(column, seconds_since(values, start_time))


def _convert_submit_times(rows: Rows, options: Options) -> datetime | None:
    """Make submit times seconds; returns the local time of second 0 where it is known."""
    values = rows["submit_time_seconds"]
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s"))
    if not pa.types.is_timestamp(values.type):
        rows.set("submit_time_seconds", values.cast(pa.float64()))
        return options.start_time
    if options.start_time is not None:
        problem = f"column {options.submit} holds timestamps, which say it themselves; leave the option out"
        raise TraceURIError(f"{rows.origin.name}: option start_time: {problem}")
    rows.set("submit_time_seconds", values)
    rows.check(near(values, "submit_time_seconds"))
    seconds, start_time = from_timestamps(rows["submit_time_seconds"])
    rows.set("submit_time_seconds", seconds)
    return start_time


FORMAT = Format(
    name="csv",
    kind="jobs",
    description="any text table of jobs; options name its columns",
    options=Options,
    load=load,
    licence="unknown",
    citation="",
    example="csv:jobs.csv?submit=created&duration=runtime&gpus=num_gpus",
    detect=has_columns("submit_time_seconds", "duration_seconds", "gpus"),
)
