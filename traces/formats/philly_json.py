"""Microsoft Philly as it was released: one JSON array of jobs with their attempts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from traces import jobs
from traces.arrow import is_null
from traces.clock import read_times, seconds_between, set_second_0
from traces.errors import TraceValueError
from traces.format import Format
from traces.inputs import Input, find_inputs
from traces.json_items import json_items
from traces.rows import Rows
from traces.trace import Trace, TraceMetadata

_NAME: Final = "cluster_job_log"
_NAMES = {
    "job_id": "jobid",
    "submit_time_seconds": "submitted_time",
    "start_time": "attempts.start_time",
    "end_time": "attempts.end_time",
    "gpu_milli": "attempts.detail.gpus",
    "group": "vc",
}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of philly-json."""

    strict: bool = field(
        default=False, metadata={"help": "a job that cannot be used is an error, else it is left out and counted"}
    )


def load(path: str, options: Options) -> Trace:
    """The jobs of `cluster_job_log`; second 0 is the earliest submission.

    - Times are wall-clock times without a zone; null, "" and "None" mean that one is not known.
    - The release holds no request: GPUs are those of the first attempt, over all its machines.
    - The run time goes from the start of the first attempt to the end of the last, with the gaps between them.
    - The virtual cluster is our `group`. Statuses are Pass, Killed and Failed.
    - Dropped and counted: jobs without an attempt (their GPUs are not known), jobs whose first attempt never started,
      jobs whose last attempt has no end (they still ran), and attempts without GPUs.

    Source: Jeon et al., "Analysis of Large-Scale Multi-Tenant GPU Clusters" (ATC 2019).

    Args:
        path: the file, or the release as an archive or a folder.
        options: as above.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    source = _find(path)
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("job_id", *("submit_time_seconds", "start_time", "end_time"), "gpu_milli", "user", "group")
    }
    columns |= {"status": [], "attempts": []}
    problems: list[tuple[int, str]] = []
    numbers = []
    for number, job in enumerate(json_items(source), 1):
        try:
            for name, value in zip(columns, _job(job), strict=True):
                columns[name].append(value)
            numbers.append(number)
        except (KeyError, TypeError, AttributeError) as error:
            length = min(map(len, columns.values()))
            for values in columns.values():
                del values[length:]
            problems.append((number, f"is no job of this log ({type(error).__name__}: {error})"))
    rows = Rows.of(columns, str(source), _NAMES, options.strict, numbers)
    rows.total += len(problems)
    for number, problem in problems:
        rows.add_problem("it is no job of this log", TraceValueError(f"{source}: job {number} {problem}"))
    return _trace(rows)


def _find(path: str) -> Input:
    found = find_inputs(path)
    logs = [each for each in found if each.name.startswith(_NAME)] if len(found) > 1 else found
    if len(logs) != 1:
        raise TraceValueError(f"{path}: holds {len(logs)} files named {_NAME}; name the file")
    return logs[0]


def _job(job: dict[str, Any]) -> Iterator[Any]:
    attempts = job["attempts"] or []
    first, last = (attempts[0], attempts[-1]) if attempts else ({}, {})
    yield job["jobid"]
    yield job["submitted_time"]
    yield first.get("start_time")
    yield last.get("end_time")
    yield float(sum(len(machine["gpus"]) for machine in first.get("detail") or []))
    yield job.get("user")
    yield job.get("vc")
    yield job.get("status")
    yield str(len(attempts))


def _trace(rows: Rows) -> Trace:
    rows.drop(np.array(rows["attempts"].to_pylist()) == "0", "it has no attempt, so its GPUs are not known")
    read_times(rows, ("submit_time_seconds", "start_time", "end_time"))
    rows.drop(is_null(rows["start_time"]), jobs.NEVER_RAN)
    rows.drop(is_null(rows["end_time"]), jobs.STILL_RAN)
    rows.drop(jobs.numbers(rows, "gpu_milli") == 0, jobs.NO_GPU)
    rows.set("duration_seconds", seconds_between(rows, "start_time", "end_time"))
    rows.drop(jobs.numbers(rows, "duration_seconds") == 0, "it ended in the second of its start")
    start = set_second_0(rows)
    rows.convert_gpus("gpu_milli")
    rows.table = rows.table.drop_columns(["start_time", "end_time", "attempts"])
    return rows.trace(TraceMetadata("Microsoft Philly", FORMAT.licence, start))


def _detect(name: str, text: str) -> str:
    if name.startswith(_NAME) or ('"attempts"' in text[:20_000] and '"submitted_time"' in text[:20_000]):
        return "its jobs have attempts and a submitted_time"
    return ""


FORMAT = Format(
    name="philly-json",
    kind="jobs",
    description="Microsoft Philly: the whole release, cluster_job_log with attempts",
    options=Options,
    load=load,
    licence="CC BY 4.0",
    citation="Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters, ATC 2019",
    example="philly-json:trace-data/cluster_job_log",
    url="https://github.com/msr-fiddle/philly-traces",
    detect=_detect,
    tables=True,
)
