"""Jobs that we suspended, how long jobs ran before, and who else starts and stops them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from autoscaler.live.clock import Clock
from autoscaler.live.gangs.kueue import QUEUE_NAME
from autoscaler.live.gangs.model import GroupView
from autoscaler.live.names import (
    ANNOTATION_RAN_SECONDS,
    ANNOTATION_RESUME_BY,
    ANNOTATION_SUSPENDED_AT,
    ANNOTATION_SUSPENDED_BY,
    ANNOTATION_SUSPENDED_IN,
    ANNOTATION_SUSPENDED_SECONDS,
)
from autoscaler.live.objects import JobView, SuspendedBy, SuspendedJob
from autoscaler.live.view.store import Contents

MAKERS = frozenset({"CronJob"})
"""Controllers that make Jobs and leave them alone then."""


def suspended_jobs(contents: Contents, clock: Clock) -> tuple[SuspendedJob, ...]:
    """All that carry our mark, the first that were suspended first; a time that is none counts as long ago."""
    found = sorted(_marked(contents, clock), key=lambda job: (job.since_seconds, job.ref.uid))
    return tuple(found)


def _marked(contents: Contents, clock: Clock) -> Iterator[SuspendedJob]:
    objects: tuple[JobView | GroupView, ...] = (*contents.jobs.values(), *contents.groups.values())
    for each in objects:
        if ANNOTATION_SUSPENDED_AT not in each.annotations or each.deleted_seconds is not None:
            continue
        if isinstance(each, JobView):
            gpu_milli = each.parallelism * each.gpu_milli_per_pod
        else:
            gpu_milli = sum(role.pod.gpu_milli * role.count for role in each.roles)
        # A mark that does not say who is taken for one of a grid event: those end first.
        is_policys = each.annotations.get(ANNOTATION_SUSPENDED_BY) == SuspendedBy.POLICY
        yield SuspendedJob(
            each.ref,
            _moment(each, ANNOTATION_SUSPENDED_AT, clock),
            gpu_milli,
            each.suspended,
            SuspendedBy.POLICY if is_policys else SuspendedBy.GRID_EVENT,
            each.annotations.get(ANNOTATION_SUSPENDED_IN, ""),
            _moment(each, ANNOTATION_RESUME_BY, clock),
        )


def _moment(job: JobView | GroupView, annotation: str, clock: Clock) -> float:
    """The time of an annotation, 0: it says none."""
    wall = seconds_of(job.annotations, annotation)
    return 0.0 if wall == 0.0 else clock.from_wall(wall)


def seconds_of(annotations: Mapping[str, str], annotation: str) -> float:
    """What an annotation of ours says, 0: nothing that can be."""
    try:
        seconds = float(annotations.get(annotation, "0"))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0.0 else 0.0


def past_of(job: JobView | GroupView | None) -> dict[str, Any]:
    """How long a job ran and was suspended before, as fields of its `GangView`."""
    if job is None:
        return {}
    said = job.annotations
    return {
        "ran_seconds": seconds_of(said, ANNOTATION_RAN_SECONDS),
        "suspended_seconds": seconds_of(said, ANNOTATION_SUSPENDED_SECONDS),
    }


def managers(contents: Contents) -> Callable[[JobView | GroupView | None], str]:
    """Says who starts and stops a job besides its owner, so that we must not suspend it; empty: nobody."""
    admitted = {each.owner.uid for each in contents.workloads.values() if each.owner is not None}

    def manager(job: JobView | GroupView | None) -> str:
        if job is None:
            return ""
        if job.uid in admitted or QUEUE_NAME in job.labels:
            return "Kueue"
        if job.owner is None or job.owner.kind in MAKERS:
            return ""
        return f"{job.owner.kind} {job.owner.name}"

    return manager
