"""Any CSV table of jobs: the options say which column is what."""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa

from traces.arrow import from_numpy, to_numpy
from traces.errors import TraceURIError
from traces.registry import Format
from traces.tables import check_cells, read_csv
from traces.times import from_timestamps
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
    start_time: datetime | None = field(
        default=None, metadata={"help": "local time of second 0 (2021-03-04T00:00), where submit times are seconds"}
    )


def load(path: str, options: Options) -> Trace:
    """Return the jobs of a CSV table, plain or compressed, whose columns the options name.

    Submit times are seconds (kept as they are), or timestamps such as 2017-10-09 07:01:55, whose earliest becomes
    second 0. Rows that ask 0 GPUs are CPU jobs: they are dropped and counted.

    Raises:
        TraceError: The file cannot be read or breaks a rule.
    """
    optional = {"job_id": options.job_id, "user": options.user, "group": options.group, "status": options.status}
    texts = {ours: theirs for ours, theirs in optional.items() if theirs is not None}
    types = dict.fromkeys(texts.values(), pa.string())
    table = read_csv(path, {**types, options.submit: None, options.duration: pa.float64(), options.gpus: pa.float64()})
    names = {
        **texts,
        "submit_time_seconds": options.submit,
        "duration_seconds": options.duration,
        "gpu_milli": options.gpus,
    }
    submit, start_time = _submit_times(table[options.submit], options, Origin(path, names))
    check_present(table[options.gpus], "gpu_milli", Origin(path, names))
    keep = to_numpy(table[options.gpus]) != 0
    origin = Origin(path, names, np.flatnonzero(keep) + 1)
    table = table.append_column("", submit).take(from_numpy(np.flatnonzero(keep)))
    dropped = {} if keep.all() else {"it asks no GPU": int((~keep).sum())}
    return Trace.from_columns(
        submit_time_seconds=table.column(-1),
        duration_seconds=table[options.duration],
        gpu_milli=gpus_to_milli(table[options.gpus], "gpu_milli", origin),
        metadata=TraceMetadata(f"CSV table {path}", start_time=start_time, dropped=dropped),
        origin=origin,
        **{ours: table[theirs] for ours, theirs in texts.items()},
    )


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
