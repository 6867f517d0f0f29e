"""What a trace holds, in numbers for humans and for other tools."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow.compute as pc

from configs.errors import did_you_mean
from traces.errors import TraceValueError
from traces.nodes import Nodes
from traces.schema import OPTIONAL
from traces.trace import Trace
from traces.uri import TraceURI

SHARED = "<1"
"""Label of the jobs that request a share of one GPU."""


@dataclass(frozen=True, slots=True)
class GpuShare:
    """Jobs that request the same number of GPUs.

    Attributes:
        gpus: number of GPUs, "<1" for all shares of one GPU.
        jobs: number of jobs.
        gpu_hours: their work, GPU-hours.
    """

    gpus: str
    jobs: int
    gpu_hours: float


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """Statistics of a trace.

    Attributes:
        uri: the URI that gives the trace again.
        origin: the URI from which the rows were imported first, where this is a copy; else the same.
        kind: `real` as recorded; `derived`: recorded, then changed by transforms or with attributes that were drawn;
            `synthetic`: generated.
        source: the data set.
        licence: licence of the data.
        start_time: local time of second 0, ISO 8601; None where unknown.
        jobs: number of jobs.
        span_seconds: from the first to the last submission, seconds.
        jobs_per_day: jobs over the span; None where the span is 0.
        gpu_hours: work of all jobs, GPU-hours.
        peak_gpus: most GPUs in use at once if no job ever waited.
        gpu_mix: jobs by GPUs requested, by rising number of GPUs.
        duration_seconds: `mean, p10, p50, p90, p95, p99, max`, seconds.
        jobs_by_hour: jobs submitted in each hour of the day, 24 numbers; local hours where `start_time` is known, else
            hours from second 0.
        users: number of users, None where the data set does not say.
        groups: number of groups, None where the data set does not say.
        jobs_with: optional column -> jobs that have a value in it.
        synthetic_columns: columns whose values, some or all, were drawn and not measured.
        dropped: reason -> rows of the original file that are no jobs here.
        bad_rows: reason -> rows of the original file that cannot be used and were left out.
    """

    uri: str
    origin: str
    kind: Literal["real", "derived", "synthetic"]
    source: str
    licence: str
    start_time: str | None
    jobs: int
    span_seconds: float
    jobs_per_day: float | None
    gpu_hours: float
    peak_gpus: float
    gpu_mix: tuple[GpuShare, ...]
    duration_seconds: Mapping[str, float]
    jobs_by_hour: tuple[int, ...]
    users: int | None
    groups: int | None
    jobs_with: Mapping[str, int]
    synthetic_columns: tuple[str, ...]
    dropped: Mapping[str, int]
    bad_rows: Mapping[str, int]


def summarize(trace: Trace) -> TraceSummary:
    """The statistics of a trace with at least one job."""
    start = trace.metadata.start_time
    span = trace.span_seconds
    local_seconds = trace.submit_time_seconds + trace.week_offset_seconds
    by_hour = np.bincount((local_seconds // 3600).astype(np.int64) % 24, minlength=24)
    return TraceSummary(
        uri=trace.uri,
        origin=trace.metadata.origin or trace.uri,
        kind=kind_of_data(trace),
        source=trace.metadata.source,
        licence=trace.metadata.licence,
        start_time=None if start is None else start.isoformat(),
        jobs=trace.num_jobs,
        span_seconds=span,
        jobs_per_day=trace.num_jobs / span * 86_400 if span else None,
        gpu_hours=trace.gpu_hours,
        peak_gpus=trace.peak_gpu_milli / 1000,
        gpu_mix=_gpu_mix(trace),
        duration_seconds=_durations(trace),
        jobs_by_hour=tuple(by_hour.tolist()),
        users=_distinct(trace, "user"),
        groups=_distinct(trace, "group"),
        jobs_with={name: trace.num_jobs - trace.table.column(name).null_count for name in OPTIONAL},
        synthetic_columns=trace.metadata.synthetic_columns,
        dropped=dict(trace.metadata.dropped),
        bad_rows=dict(trace.metadata.bad_rows),
    )


def kind_of_data(trace: Trace) -> Literal["real", "derived", "synthetic"]:
    """Whether jobs are as they were recorded."""
    if trace.metadata.source.startswith("synthetic"):
        return "synthetic"
    options = {name for uri in (trace.uri, trace.metadata.origin) if ":" in uri for name in TraceURI.parse(uri).options}
    changed = options & {"map_gpus", "resample", "warp", "load"}
    return "derived" if changed or trace.metadata.synthetic_columns else "real"


@dataclass(frozen=True, slots=True)
class OfferedLoad:
    """Work of jobs against the GPUs that may do it.

    Attributes:
        gpu_model: the model; "all" for all GPUs and all jobs.
        gpus: GPUs of that model.
        gpu_hours: work of the jobs that may run on no other model; of all jobs for "all".
        load: that work over what the GPUs can do from the first to the last submission; above 1 the queue never drains
            while jobs come.
    """

    gpu_model: str
    gpus: int
    gpu_hours: float
    load: float


def offered_load(trace: Trace, nodes: Nodes) -> tuple[OfferedLoad, ...]:
    """The load of all nodes, then of each GPU model.

    Raises:
        TraceValueError: all jobs are submitted at once, or a job takes only models that no node has.
    """
    if not trace.span_seconds > 0:
        raise TraceValueError(f"{trace.uri}: all jobs are submitted at once; an offered load needs some time")
    gpus: Counter[str] = Counter()
    for model, count in zip(nodes.table["gpu_model"].to_pylist(), nodes.gpus.tolist(), strict=True):
        gpus[model] += count
    bound: dict[str, float] = dict.fromkeys(gpus, 0.0)
    hours = trace.gpu_milli * trace.duration_seconds / 3.6e6
    for models, work in zip(trace.table["gpu_models"].to_pylist(), hours.tolist(), strict=True):
        usable = [model for model in models if model in gpus] if models else []
        if models and not usable:
            problem = f"a job takes only {', '.join(models)}, which no node has{did_you_mean(models[0], gpus)}"
            raise TraceValueError(f"{trace.uri}: {problem}; map_gpus gives models other names")
        if len(usable) == 1:
            bound[usable[0]] += work
    bound["all"] = float(hours.sum())
    counts = {"all": nodes.total_gpus, **dict(sorted(gpus.items()))}
    span_hours = trace.span_seconds / 3600
    return tuple(
        OfferedLoad(name, n, float(bound[name]), float(bound[name] / (n * span_hours))) for name, n in counts.items()
    )


def _gpu_mix(trace: Trace) -> tuple[GpuShare, ...]:
    gpus = trace.gpu_milli // 1000
    hours = trace.gpu_milli * trace.duration_seconds / 3.6e6
    values, member, jobs = np.unique(gpus, return_inverse=True, return_counts=True)
    work = np.bincount(member, weights=hours)
    return tuple(
        GpuShare(str(value) if value else SHARED, count, total)
        for value, count, total in zip(values.tolist(), jobs.tolist(), work.tolist(), strict=True)
    )


def _durations(trace: Trace) -> dict[str, float]:
    percents = (10, 50, 90, 95, 99)
    points = np.percentile(trace.duration_seconds, percents).tolist()
    middle = {f"p{percent}": point for percent, point in zip(percents, points, strict=True)}
    return {"mean": float(trace.duration_seconds.mean()), **middle, "max": float(trace.duration_seconds.max())}


def _distinct(trace: Trace, column: str) -> int | None:
    count: int = pc.count_distinct(trace.table.column(column)).as_py()
    return count or None
