"""Alibaba Lingjun 2023: trainings of language models, as jobs and their workers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from traces import jobs
from traces.arrow import is_null, to_numpy
from traces.clock import read_times, seconds_between, set_second_0
from traces.errors import TraceFileError
from traces.format import Format, has_columns
from traces.inputs import Input, find_inputs
from traces.quantities import quantity
from traces.rows import Rows, read_rows
from traces.tables import TextOptions, read_header
from traces.trace import Trace, TraceMetadata
from traces.validation import Violation

LICENCE = "Apache-2.0"
CITATION = "Cao et al., Crux: GPU-Efficient Communication Scheduling for Deep Learning Training, SIGCOMM 2024"
URL = "https://github.com/alibaba/alibaba-lingjun-dataset-2023"

_TIMES: Final = {
    "submit_time_seconds": "gmt_job_submitted",
    "start_time": "gmt_job_running",
    "end_time": "gmt_job_finished",
    "stop_time": "gmt_job_stopped",
}
_NAMES: Final = {"job_id": "job_name", **_TIMES}
_FACTS: Final = {
    "user": "user_id",
    "group": "workspace_id",
    "status": "status",
    "workload": "model",
    "priority": "priority",
    "predicted_duration_seconds": "job_max_running_time_minutes",
}
"""Columns that a table may lack."""

_NUMBERS: Final = ("priority", "job_max_running_time_minutes")
_WORKERS: Final = {name: name for name in ("job_name", "worker_name", "RES")}
_RESOURCES: Final = {
    "gpu_milli": ("nvidia.com/gpu", 1.0),
    "cpu_milli": ("cpu", 1e3),
    "memory_mib": ("memory", 2.0**-20),
}
"""Our column -> the key in a worker's request, and how many of our units one of its is."""

_UNKNOWN_MODELS: Final = ("", "unknown")


@dataclass(frozen=True, slots=True)
class Options(TextOptions):
    """Options of lingjun."""

    estimates: Literal["limit", "none"] = field(
        default="limit", metadata={"help": "what predicts a run time: the limit that a user gave, or nothing"}
    )


def load(path: str, options: Options) -> Trace:
    """The GPU jobs of `job.csv`, with the resources of their workers in `worker.csv`; second 0 is the first submission.

    - A job requests what its workers do together: `RES` is a JSON object such as {"cpu": "32", "memory": "400Gi",
      "nvidia.com/gpu": "8"}. A worker that is listed again, with the same `worker_name`, counts once.
    - Times are wall-clock times in China to the minute, such as 2023/7/15 02:19. A job ran from `gmt_job_running` to
      `gmt_job_finished`, or to `gmt_job_stopped` where that is all there is.
    - `model` is our workload (unknown: none), `workspace_id` our group, `job_max_running_time_minutes` the estimate.
    - Dropped and counted: jobs without workers, whose GPUs are not known, jobs without GPUs, those that never ran or
      still ran, and those that ended in the minute of their start. One job started 11 days before it was submitted: it
      cannot be used.
    - Which switches a host is connected to is in `topo.csv`: `lingjun-nodes`.

    The columns are not described in the release; they are read as its users do.

    Source: Cao et al., "Crux" (SIGCOMM 2024).

    Args:
        path: folder or archive of the release.
        options: as above.

    Raises:
        TraceError: a table cannot be read or breaks a rule.
    """
    found = {each.name: each for each in find_inputs(path)}
    for name in ("job.csv", "worker.csv"):
        if name not in found:
            raise TraceFileError(f"{path}: has no {name}; give the folder or the archive of the release")
    rows = _jobs(found["job.csv"], options)
    workers = read_rows(found["worker.csv"], dict.fromkeys(_WORKERS, pa.string()), _WORKERS, options)
    rows.count_bad_of(workers, "worker.csv")
    _add_resources(rows, workers)
    read_times(rows, tuple(_TIMES))
    rows.drop(is_null(rows["start_time"]), jobs.NEVER_RAN)
    rows.set("end_time", pc.coalesce(rows["end_time"], rows["stop_time"]))
    rows.drop(is_null(rows["end_time"]), jobs.STILL_RAN)
    rows.set("waited", seconds_between(rows, "submit_time_seconds", "start_time"))
    early = jobs.numbers(rows, "waited") < 0
    rows.check([Violation("start_time", early, "is before the submission", lambda _: "is before the submission")])
    rows.set("duration_seconds", seconds_between(rows, "start_time", "end_time"))
    rows.drop(jobs.numbers(rows, "duration_seconds") == 0, "it ended in the minute of its start")
    start = set_second_0(rows)
    rows.convert_gpus("gpu_milli")
    rows.table = rows.table.drop_columns(["start_time", "end_time", "stop_time", "waited"])
    return rows.trace(TraceMetadata("Alibaba Lingjun 2023", LICENCE, start))


def _jobs(source: Input, options: Options) -> Rows:
    """The rows of `job.csv` with our names and units."""
    header = read_header(source)
    facts = {ours: theirs for ours, theirs in _FACTS.items() if theirs in header}
    if options.estimates == "none":
        facts.pop("predicted_duration_seconds", None)
    names = _NAMES | facts
    columns = {theirs: pa.float64() if theirs in _NUMBERS else pa.string() for theirs in names.values()}
    rows = read_rows(source, columns, names, options)
    if "priority" in facts:
        rows.set("priority", jobs.whole(jobs.numbers(rows, "priority", np.nan)))
    if "workload" in facts:
        models = jobs.texts(rows, "workload")
        rows.set("workload", jobs.optional(None if each in _UNKNOWN_MODELS else each for each in models))
    if "predicted_duration_seconds" in facts:
        limits = jobs.numbers(rows, "predicted_duration_seconds") * 60.0
        rows.set("predicted_duration_seconds", jobs.floats(limit if limit > 0 else None for limit in limits.tolist()))
    return rows


def _add_resources(rows: Rows, workers: Rows) -> None:
    """Give each job what its workers request together; drop those that have none."""
    names, requests = jobs.texts(workers, "job_name"), jobs.mapped(workers, "RES", _request)
    once = dict(zip(zip(names, jobs.texts(workers, "worker_name"), strict=True), range(len(names)), strict=True))
    place = {name: index for index, name in enumerate(jobs.texts(rows, "job_id"))}
    totals, count = np.zeros((rows.table.num_rows, len(_RESOURCES))), np.zeros(rows.table.num_rows, np.int64)
    for (name, _), index in once.items():
        if name in place:
            totals[place[name]] += np.nan if requests[index] is None else requests[index]
            count[place[name]] += 1
    for column, values in zip(_RESOURCES, totals.T, strict=True):
        rows.set(column, np.ascontiguousarray(values) if column == "gpu_milli" else jobs.whole(values))
    rows.drop(count == 0, "it has no worker, so its GPUs are not known")
    unread = np.isnan(to_numpy(rows["gpu_milli"]))
    problem = "of a worker is no JSON object of resources"
    rows.check([Violation("RES", unread, problem, lambda _: f"{problem}; fix it in worker.csv, or remove the job")])
    rows.drop(to_numpy(rows["gpu_milli"]) == 0, jobs.NO_GPU)


def _request(text: str) -> NDArray[np.float64] | None:
    """GPUs, thousandths of a core and MiB of a worker, [3] float64; None: it cannot be read."""
    try:
        wanted: Mapping[str, object] = json.loads(text)
        return np.array([quantity(wanted.get(name) or 0) * unit for name, unit in _RESOURCES.values()])
    except (ValueError, AttributeError, RecursionError):
        return None


FORMAT = Format(
    name="lingjun",
    kind="jobs",
    description="Alibaba Lingjun 2023: trainings of language models, from tables of jobs and workers",
    options=Options,
    load=load,
    licence=LICENCE,
    citation=CITATION,
    example="lingjun:alibaba-lingjun-dataset-2023/data",
    url=URL,
    detect=has_columns("job_name", "gmt_job_submitted", "gmt_job_running"),
    tables=True,
)
