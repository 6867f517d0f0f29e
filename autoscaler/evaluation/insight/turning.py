"""The moments that decided a result: where a policy cost less, or more, than another one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.evaluation.comparison import Comparison, Result
from autoscaler.evaluation.timeline import BUSY, USED, Course, Timeline, course, unused_kwh

STRETCH_MS = 3_600_000 * 3
"""Three hours: what a decision costs shows at once, what it saves when the next jobs come."""
MOST = 10


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of time in which a policy saved, or lost, much against another one.

    Attributes:
        window: number of the window, from 0.
        start_ms: where the stretch begins, in ms of the trace's time.
        end_ms: where it ends.
        saved_usd: by the policy; below 0 it lost.
        waited_gpu_hours: (policy, other): GPU-hours of waiting jobs.
        idle_node_hours: (policy, other): hours of nodes that were on and ran nothing.
        unused_gpu_hours: (policy, other): hours of GPUs without work on nodes that work.
        submitted_gpus: GPUs of the jobs that were submitted.
    """

    window: int
    start_ms: float
    end_ms: float
    saved_usd: float
    waited_gpu_hours: tuple[float, float]
    idle_node_hours: tuple[float, float]
    unused_gpu_hours: tuple[float, float]
    submitted_gpus: float


def turns(comparison: Comparison, name: str, other: str, most: int = MOST) -> list[Turn]:
    """The stretches that decided how a policy compares with another one, the largest difference first.

    Energy counts at the mean price of the window, waiting at the price of the objective. The energy of GPUs at work is
    left out: it is nearly the same for both, only at another time.

    Args:
        comparison: with timelines.
        name: the policy; its first seed counts.
        other: what it is compared with.
        most: stretches that are told.
    """
    found: list[Turn] = []
    for index, window in enumerate(comparison.windows):
        ours, theirs = (comparison.results[each].timelines[index] for each in (name, other))
        end = max(int(line.time_ms[-1]) for line in (ours, theirs))
        edges = np.arange(window.start_ms, end + STRETCH_MS, STRETCH_MS, dtype=np.float64)
        cluster = comparison.scenario.cluster
        courses = [course(line, cluster, edges) for line in (ours, theirs)]
        costs = [
            _usd(comparison, comparison.results[each], index, part)
            for each, part in zip((name, other), courses, strict=True)
        ]
        unused = [_unused_gpu_hours(line, comparison, edges) for line in (ours, theirs)]
        found += [
            _turn(comparison, index, edges, courses, unused, float(costs[1][at] - costs[0][at]), at)
            for at in range(len(edges) - 1)
        ]
    found.sort(key=lambda turn: -abs(turn.saved_usd))
    return [turn for turn in found[:most] if turn.saved_usd != 0.0]


def _usd(comparison: Comparison, result: Result, window: int, part: Course) -> NDArray[np.float64]:
    """[B] float64, what each stretch cost without the energy of GPUs at work."""
    kwh = float(result.values["energy_kwh.total"][0, window])
    price = float(result.values["cost_usd.energy"][0, window]) / kwh if kwh > 0.0 else 0.0
    waited = np.diff(part.edges_ms) / 3.6e6 * part.queue_gpus
    unused = unused_kwh(result.timelines[window], comparison.scenario.cluster, part.edges_ms)
    return np.asarray(unused * price + waited * comparison.scenario.config.objective.usd_per_gpu_hour)


def _unused_gpu_hours(line: Timeline, comparison: Comparison, edges: NDArray[np.float64]) -> list[float]:
    """[B] hours of GPUs without work on nodes that work."""
    deltas = np.diff(line.resample(edges)[0], axis=0)  # [B, P, 5]
    gpus = np.array([pool.gpus_per_node for pool in comparison.scenario.cluster.pools], np.float64)
    hours: list[float] = ((deltas[:, :, BUSY] * gpus - deltas[:, :, USED] / 1000.0).sum(axis=1) / 3.6e6).tolist()
    return hours


def _turn(
    comparison: Comparison,
    window: int,
    edges: NDArray[np.float64],
    courses: list[Course],
    unused: list[list[float]],
    saved: float,
    at: int,
) -> Turn:
    trace, hours = comparison.scenario.trace, (edges[at + 1] - edges[at]) / 3.6e6
    submit = trace.submit_milliseconds
    first, last = np.searchsorted(submit, edges[at : at + 2])
    last = min(int(last), comparison.windows[window].last_job)

    def pair(column: str) -> tuple[float, float]:
        ours, theirs = (float(getattr(part, column)[at] * hours) for part in courses)
        return ours, theirs

    return Turn(
        window=window,
        start_ms=float(edges[at]),
        end_ms=float(edges[at + 1]),
        saved_usd=saved,
        waited_gpu_hours=pair("queue_gpus"),
        idle_node_hours=pair("idle_nodes"),
        unused_gpu_hours=(unused[0][at], unused[1][at]),
        submitted_gpus=float(trace.gpu_milli[first:last].sum()) / 1000.0,
    )
