"""Suspends jobs and lets them go on: one patch each sets the field and our mark together, so neither is ever alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.live.clock import Clock
from autoscaler.live.gangs.base import is_suspended
from autoscaler.live.gangs.suspension import SuspendField, suspend_field
from autoscaler.live.guardrails import Suspension
from autoscaler.live.kube.client import Json, KubeClient, NotFoundError
from autoscaler.live.names import (
    ANNOTATION_RAN_SECONDS,
    ANNOTATION_RESUME_BY,
    ANNOTATION_SUSPENDED_AT,
    ANNOTATION_SUSPENDED_BY,
    ANNOTATION_SUSPENDED_IN,
    ANNOTATION_SUSPENDED_SECONDS,
)
from autoscaler.live.objects import ObjectRef, SuspendedJob
from autoscaler.live.view.suspended import seconds_of

Mark = Mapping[str, str | None]
"""Annotations of a job; None takes one away."""

NO_MARK: Mark = dict.fromkeys(
    (ANNOTATION_SUSPENDED_AT, ANNOTATION_SUSPENDED_BY, ANNOTATION_SUSPENDED_IN, ANNOTATION_RESUME_BY)
)


def suspend(client: KubeClient, suspension: Suspension, clock: Clock) -> bool:
    """Suspend a job; one that is suspended already is its owner's matter, and is not marked.

    Args:
        client: fenced, see `KubeClient.fenced`.
        suspension: which, by whom and until when.
        clock: the time, for the mark.

    Returns:
        Whether it is suspended by this call.

    Raises:
        KubeError: it could not be; somebody may have changed it meanwhile.
    """
    ref = suspension.gang.ref
    field, raw = _read(client, ref)
    if field is None or raw is None or is_suspended(raw, field.field):
        return False
    _write(client, ref, field, raw, mark_of(suspension, clock), True)
    return True


def resume(client: KubeClient, job: SuspendedJob, clock: Clock) -> bool:
    """Let a job go on that we suspended, and take our mark away; without the mark it is its owner's matter.

    Args:
        client: fenced, see `KubeClient.fenced`.
        job: the job.
        clock: the time; how long the job was suspended is added to what stands there.

    Returns:
        Whether it goes on by this call.

    Raises:
        KubeError: it could not be changed; somebody may have changed it meanwhile.
    """
    field, raw = _read(client, job.ref)
    annotations = {} if raw is None else raw["metadata"].get("annotations") or {}
    if field is None or raw is None or ANNOTATION_SUSPENDED_AT not in annotations:
        return False
    goes_on = is_suspended(raw, field.field)
    _write(client, job.ref, field, raw, mark_after(annotations, job, clock), False if goes_on else None)
    return goes_on


def mark_of(suspension: Suspension, clock: Clock) -> Mark:
    """The annotations of a job that is suspended now."""
    until = suspension.until_seconds
    return {
        ANNOTATION_SUSPENDED_AT: _written(clock.wall()),
        ANNOTATION_SUSPENDED_BY: str(suspension.by),
        ANNOTATION_SUSPENDED_IN: suspension.pool,
        ANNOTATION_RESUME_BY: _written(clock.to_wall(until)) if until > 0.0 else None,
        ANNOTATION_RAN_SECONDS: _written(suspension.ran_seconds),
    }


def mark_after(annotations: Mapping[str, str], job: SuspendedJob, clock: Clock) -> Mark:
    """The annotations of a job that goes on now, whose annotations are known."""
    # Nobody knows when its owner let it go on, so all of it counts.
    suspended = seconds_of(annotations, ANNOTATION_SUSPENDED_SECONDS) + max(0.0, clock.now() - job.since_seconds)
    return {**NO_MARK, ANNOTATION_SUSPENDED_SECONDS: _written(suspended)}


def _written(seconds: float) -> str:
    return f"{seconds:.3f}"


def _read(client: KubeClient, ref: ObjectRef) -> tuple[SuspendField | None, Json | None]:
    """The object as it is now, with the field that suspends it; None: it is gone, or has none."""
    field = suspend_field(ref)
    if field is None:
        return None, None
    try:
        raw = client.get(_path(ref, field))
    except NotFoundError:
        return field, None
    is_same = raw["metadata"]["uid"] == ref.uid and raw["metadata"].get("deletionTimestamp") is None
    return field, raw if is_same else None


def _write(client: KubeClient, ref: ObjectRef, field: SuspendField, raw: Json, mark: Mark, value: bool | None) -> None:
    """Change it unless somebody has changed it since it was read; no value: the mark alone."""
    spec: dict[str, Any] = {}
    if value is not None:
        spec = {field.field[-1]: value}
        for name in reversed(field.field[:-1]):
            spec = {name: spec}
    metadata = {
        "uid": ref.uid,
        "resourceVersion": raw["metadata"]["resourceVersion"],
        "annotations": dict(mark),
    }
    client.patch(_path(ref, field), {"metadata": metadata, **spec})


def _path(ref: ObjectRef, field: SuspendField) -> str:
    return f"/apis/{ref.api_version}/namespaces/{ref.namespace}/{field.plural}/{ref.name}"
