"""Jobs that a grid event suspended, and who else starts and stops jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from autoscaler.live.clock import Clock
from autoscaler.live.gangs.kueue import QUEUE_NAME
from autoscaler.live.gangs.model import GroupView
from autoscaler.live.names import ANNOTATION_SUSPENDED_AT
from autoscaler.live.objects import JobView, SuspendedJob
from autoscaler.live.view.store import Contents

MAKERS = frozenset({"CronJob"})
"""Controllers that make Jobs and leave them alone then."""


def suspended_jobs(contents: Contents, clock: Clock) -> tuple[SuspendedJob, ...]:
    """All that carry our mark, the first that were suspended first; a mark that is no time counts as an old one."""
    found = sorted(_marked(contents, clock), key=lambda job: (job.since_seconds, job.ref.uid))
    return tuple(found)


def _marked(contents: Contents, clock: Clock) -> Iterator[SuspendedJob]:
    objects: tuple[JobView | GroupView, ...] = (*contents.jobs.values(), *contents.groups.values())
    for each in objects:
        mark = each.annotations.get(ANNOTATION_SUSPENDED_AT)
        if mark is None or each.deleted_seconds is not None:
            continue
        since = 0.0
        with suppress(ValueError):
            since = clock.from_wall(float(mark))
        if isinstance(each, JobView):
            gpu_milli = each.parallelism * each.gpu_milli_per_pod
        else:
            gpu_milli = sum(role.pod.gpu_milli * role.count for role in each.roles)
        yield SuspendedJob(each.ref, since, gpu_milli, each.suspended)


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
