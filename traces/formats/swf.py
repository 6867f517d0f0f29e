"""The Standard Workload Format of the Parallel Workloads Archive."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from configs.checks import check_number
from traces import jobs
from traces.errors import TraceURIError
from traces.format import Format
from traces.inputs import Input
from traces.rows import Rows, read_rows
from traces.tables import TextOptions, as_input
from traces.trace import Trace, TraceMetadata

_FIELDS = (
    *("job", "submit", "wait", "run_time", "processors", "cpu_time", "memory", "requested_processors"),
    *("requested_time", "requested_memory", "status", "user", "group", "executable", "queue", "partition"),
    *("preceding_job", "think_time"),
)
_STATES = {0.0: "failed", 1.0: "completed", 5.0: "cancelled"}
_HEADER = re.compile(r"^;\s*(UnixStartTime|TimeZoneString|TimeZone|Computer|Installation):\s*(.*?)\s*$", re.MULTILINE)
_BLANKS = re.compile(rb"[ \t]+")
_COMMENTS = re.compile(rb"^[ \t]*(;[^\n]*)?\r?\n", re.MULTILINE)
_ENDS = re.compile(rb"^ | (?=\r?$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of swf."""

    processors_per_gpu: float = field(
        default=1.0, metadata={"help": "processors that stand for one GPU; the GPUs of a job are rounded up"}
    )
    strict: bool = field(
        default=False, metadata={"help": "a row that cannot be used is an error, else it is left out and counted"}
    )

    def __post_init__(self) -> None:
        check_number("processors_per_gpu", self.processors_per_gpu, TraceURIError, above=0, high=1e6)


def load(path: str, options: Options) -> Trace:
    """The jobs of a workload; second 0 is that of the file, whose local time its header may say.

    The format has 18 fields, -1 where one is unknown. It counts processors, which the archive's machines mostly had no
    GPUs beside: each stands for one GPU, or several for one (`processors_per_gpu`).

    - Processors are those allocated, else those requested. Requested time is the user's estimate. Memory is KiB for
      each processor. The group is the field of that name, else the queue.
    - Rows of status 2, 3 and 4 are parts of a job whose sum is a row of its own: dropped and counted, as are jobs that
      never ran (run time -1 or 0).

    Source: Chapin et al., "Benchmarks and Standards for the Evaluation of Parallel Job Schedulers" (JSSPP 1999).

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    source = as_input(path)
    header = dict(_HEADER.findall(source.head(1 << 18).decode("utf-8-sig", errors="replace")))
    text = TextOptions(separator="auto", strict=options.strict)
    columns = {name: pa.float64() for name in _FIELDS} | {"job": pa.string()}
    rows = _rows(source.with_lines(_cells), columns, text)
    rows.drop(np.isin(jobs.numbers(rows, "status", -1), (2, 3, 4)), "it is a part of a job that another row sums up")
    rows.drop(jobs.numbers(rows, "duration_seconds", -1) <= 0, jobs.NEVER_RAN)
    requested = jobs.numbers(rows, "requested_processors", -1)
    processors = jobs.numbers(rows, "processors", -1)
    processors = np.where(processors > 0, processors, requested)
    rows.drop(processors <= 0, "it says no number of processors")
    processors = processors[processors > 0]
    memory = jobs.numbers(rows, "requested_memory", -1)
    rows.set("gpu_milli", np.ceil(processors / options.processors_per_gpu))
    rows.origin = replace(rows.origin, columns={**rows.origin.columns, "gpu_milli": "processors"})
    with np.errstate(over="ignore"):  # more than any number is none
        rows.set("memory_mib", jobs.whole(memory * processors / 1024, memory > 0))
    estimate = jobs.numbers(rows, "requested_time", -1)
    rows.set("predicted_duration_seconds", jobs.floats([each if each > 0 else None for each in estimate.tolist()]))
    states = [_STATES.get(each) for each in jobs.numbers(rows, "status", -1).tolist()]
    rows.set("status", jobs.optional(states))
    rows.set("user", _named(rows, "user"))
    groups = jobs.numbers(rows, "group", -1)
    rows.set("group", _named(rows, "group" if (groups >= 0).any() else "queue"))
    rows.convert_gpus("gpu_milli")
    kept = ("job_id", "submit_time_seconds", "duration_seconds", "gpu_milli", "memory_mib", "user", "group", "status")
    rows.table = rows.table.select([*kept, "predicted_duration_seconds"])
    machine = header.get("Computer") or header.get("Installation") or "a parallel computer"
    return rows.trace(TraceMetadata(f"Standard Workload Format, {machine}", FORMAT.licence, _start(header)))


def _rows(source: Input, columns: dict[str, pa.DataType], options: TextOptions) -> Rows:
    renamed = {"job_id": "job", "submit_time_seconds": "submit", "duration_seconds": "run_time"}
    names = renamed | {name: name for name in _FIELDS if name not in renamed.values()}
    return read_rows(source, columns, names, options, header=_FIELDS)


def _cells(lines: bytes) -> bytes:
    """Lines of cells with a comma between them, without comments and empty lines."""
    return _ENDS.sub(b"", _BLANKS.sub(b" ", _COMMENTS.sub(b"", lines))).replace(b" ", b",")


def _named(rows: Rows, column: str) -> pa.ChunkedArray:
    """Numbers as texts; null where they are -1."""
    values = jobs.numbers(rows, column, -1)
    numbers = jobs.whole(values, values >= 0)
    return numbers.cast(pa.string())


def _start(header: dict[str, str]) -> datetime | None:
    """The local time of second 0; UTC where the header does not say a zone, None where it does not say the time."""
    try:
        moment = datetime.fromtimestamp(int(header["UnixStartTime"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        return None
    try:
        return moment.astimezone(ZoneInfo(header["TimeZoneString"])).replace(tzinfo=None)
    except (KeyError, ValueError, OSError):
        pass
    try:
        return (moment + timedelta(seconds=int(header["TimeZone"]))).replace(tzinfo=None)
    except (KeyError, ValueError, OverflowError):
        return moment.replace(tzinfo=None)


def _detect(name: str, text: str) -> str:
    if name.endswith(".swf"):
        return "its name ends in .swf"
    lines = [line for line in text.splitlines()[:-1] if line.strip() and not line.lstrip().startswith(";")][:5]
    return "its rows have 18 numbers" if lines and all(_is_row(line) for line in lines) else ""


def _is_row(line: str) -> bool:
    return len(line.split()) == len(_FIELDS) and re.fullmatch(r"[\s\d.eE+-]+", line) is not None


FORMAT = Format(
    name="swf",
    kind="jobs",
    description="Standard Workload Format of the Parallel Workloads Archive; processors stand for GPUs",
    options=Options,
    load=load,
    licence="as the log's (the archive asks to acknowledge the owner)",
    citation="Chapin et al., Benchmarks and Standards for the Evaluation of Parallel Job Schedulers, JSSPP 1999",
    example="swf:log.swf.gz?processors_per_gpu=16",
    url="https://www.cs.huji.ac.il/labs/parallel/workload/",
    detect=_detect,
)
