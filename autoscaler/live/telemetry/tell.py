"""Tells waiting jobs why they wait: an Event on the Job and on its pods."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from autoscaler.live.clock import Clock
from autoscaler.live.explain.waiting import Waiting, When
from autoscaler.live.names import EVENT_NOT_TRIGGER_SCALE_UP, EVENT_WAITING_FOR_NODES
from autoscaler.live.objects import ObjectRef
from autoscaler.live.telemetry.events import EventType, Recorder

MAX_PODS = 4
"""Pods of one job that are told; its Job is told in any case."""


def times_of(clock: Clock) -> When:
    """Writes clock times as people read them, whatever the clock's scale."""

    def when(seconds: float) -> str:
        return datetime.fromtimestamp(clock.to_wall(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    return when


def tell_waiting(jobs: Iterable[Waiting], recorder: Recorder) -> None:
    """Tell each job which nodes it waits for, or why none is ordered; who orders one tells those that it is for."""
    for job in (job for job in jobs if not job.ordered):
        event_type: EventType = "Normal" if job.temporary else "Warning"
        reason = EVENT_WAITING_FOR_NODES if job.coming else EVENT_NOT_TRIGGER_SCALE_UP
        tell_job(job.ref, job.pods, event_type, reason, job.message, recorder)


def tell_job(
    job: ObjectRef, pods: Iterable[ObjectRef], event_type: EventType, reason: str, message: str, recorder: Recorder
) -> None:
    """Record an Event on a Job, or a bare pod, and on its pods."""
    recorder.event(job, event_type, reason, message)
    for pod in [pod for pod in pods if pod.uid != job.uid][:MAX_PODS]:
        recorder.event(pod, event_type, reason, message)
