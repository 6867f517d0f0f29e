"""What a trace holds, in numbers for humans and for other tools."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from traces.schema import OPTIONAL
from traces.trace import Trace

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
