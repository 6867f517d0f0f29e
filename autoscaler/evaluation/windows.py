"""Windows: the parts of a trace that a policy is scored on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autoscaler.evaluation.errors import EvaluationError
from envs.gpu_cluster.episodes import equal_edges_ms
from traces.trace import Trace

MS_PER_SECOND = 1000


class Window(NamedTuple):
    """The jobs submitted in [start_ms, end_ms). It is over when all of them have ended, so nothing is gained by delay.

    Attributes:
        start_ms: when it begins, with the jobs that then run, ms.
        end_ms: from when on nothing is submitted, ms.
        first_job: number of the first job that is submitted in it.
        last_job: number of the first job after it.
    """

    start_ms: int
    end_ms: int
    first_job: int
    last_job: int

    @property
    def num_jobs(self) -> int:
        """Jobs submitted in the window."""
        return self.last_job - self.first_job


def window_between(trace: Trace, start_ms: int, end_ms: int) -> Window:
    """The window of the jobs submitted in [start_ms, end_ms).

    Raises:
        EvaluationError: no job is submitted in it.
    """
    first, last = np.searchsorted(trace.submit_milliseconds, [start_ms, end_ms], side="left").tolist()
    if first == last:
        span = f"from {start_ms / MS_PER_SECOND:,.0f} s to {end_ms / MS_PER_SECOND:,.0f} s"
        raise EvaluationError(f"{trace.uri}: no job is submitted {span}; choose fewer or longer windows")
    return Window(start_ms, end_ms, first, last)


def whole_trace(trace: Trace) -> Window:
    """The window of all jobs, from the first submission on.

    Raises:
        EvaluationError: the trace has no job.
    """
    if not trace.num_jobs:
        raise EvaluationError(f"{trace.uri}: the trace has no job")
    submit = trace.submit_milliseconds
    return Window(int(submit[0]), int(submit[-1]) + 1, 0, trace.num_jobs)


def moment(trace: Trace, fraction: float) -> int:
    """The time in ms at a fraction of the span from the first submission (0.0) to just after the last (1.0)."""
    if fraction >= 1.0:
        return whole_trace(trace).end_ms
    return math.ceil(1000.0 * (trace.first_submit_seconds + fraction * trace.span_seconds))


def jobs_of(trace: Trace, windows: Sequence[Window]) -> int:
    """Jobs that run in windows: those submitted in them, and those that run when they begin."""
    ends = trace.submit_milliseconds + trace.duration_milliseconds
    inherited = sum(int((ends[: window.first_job] > window.start_ms).sum()) for window in windows)
    return inherited + sum(window.num_jobs for window in windows)


def equal_windows(trace: Trace, from_fraction: float, until_fraction: float, count: int) -> tuple[Window, ...]:
    """Cut a part of a trace into windows of equal length.

    Args:
        trace: the jobs.
        from_fraction: where the first window begins, a fraction of the trace's span.
        until_fraction: where the last one ends, likewise.
        count: how many.

    Raises:
        EvaluationError: the fractions or the count have no meaning, or a window has no job.
    """
    if not 0.0 <= from_fraction < until_fraction <= 1.0:
        span = f"from {from_fraction:g} until {until_fraction:g}"
        fix = "fractions of the trace must rise and stay within 0 and 1 (--from, --until)"
        raise EvaluationError(f"the windows run {span}; {fix}")
    if count < 1:
        raise EvaluationError(f"windows is {count}; it must be at least 1")
    start, end = moment(trace, from_fraction), moment(trace, until_fraction)
    edges = equal_edges_ms(start, end, count)
    return tuple(window_between(trace, *edges[index : index + 2]) for index in range(count))
