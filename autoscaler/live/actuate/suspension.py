"""Suspends jobs and lets them go on: one patch each sets the field and our mark together, so neither is ever alone."""

from __future__ import annotations

from typing import Any

from autoscaler.live.gangs.base import is_suspended
from autoscaler.live.gangs.suspension import SuspendField, suspend_field
from autoscaler.live.kube.client import Json, KubeClient, NotFoundError
from autoscaler.live.names import ANNOTATION_SUSPENDED_AT
from autoscaler.live.objects import ObjectRef, SuspendedJob


def suspend(client: KubeClient, ref: ObjectRef, wall_seconds: float) -> bool:
    """Suspend a job; one that is suspended already is its owner's matter, and is not marked.

    Args:
        client: fenced, see `KubeClient.fenced`.
        ref: the Job, or another object with such a field.
        wall_seconds: unix time, for the mark.

    Returns:
        Whether it is suspended by this call.

    Raises:
        KubeError: it could not be; somebody may have changed it meanwhile.
    """
    field, raw = _read(client, ref)
    if field is None or raw is None or is_suspended(raw, field.field):
        return False
    _write(client, ref, field, raw, f"{wall_seconds:.3f}", True)
    return True


def resume(client: KubeClient, job: SuspendedJob) -> bool:
    """Let a job go on that we suspended, and take our mark away; without the mark it is its owner's matter.

    Args:
        client: fenced, see `KubeClient.fenced`.
        job: the job.

    Returns:
        Whether it goes on by this call.

    Raises:
        KubeError: it could not be changed; somebody may have changed it meanwhile.
    """
    field, raw = _read(client, job.ref)
    if field is None or raw is None or ANNOTATION_SUSPENDED_AT not in (raw["metadata"].get("annotations") or {}):
        return False
    goes_on = is_suspended(raw, field.field)
    _write(client, job.ref, field, raw, None, False if goes_on else None)
    return goes_on


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


def _write(
    client: KubeClient, ref: ObjectRef, field: SuspendField, raw: Json, mark: str | None, value: bool | None
) -> None:
    """Change it unless somebody has changed it since it was read; no value: the mark alone."""
    spec: dict[str, Any] = {}
    if value is not None:
        spec = {field.field[-1]: value}
        for name in reversed(field.field[:-1]):
            spec = {name: spec}
    metadata = {
        "uid": ref.uid,
        "resourceVersion": raw["metadata"]["resourceVersion"],
        "annotations": {ANNOTATION_SUSPENDED_AT: mark},
    }
    client.patch(_path(ref, field), {"metadata": metadata, **spec})


def _path(ref: ObjectRef, field: SuspendField) -> str:
    return f"/apis/{ref.api_version}/namespaces/{ref.namespace}/{field.plural}/{ref.name}"
