"""How far the removal of a node got. It stands on the node itself, so that a restart finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from autoscaler.live.client import ConflictError, Json, KubeClient
from autoscaler.live.names import ANNOTATION_REMOVAL_STEP, TAINT_TO_BE_DELETED

ATTEMPTS = 5
"""Writes of a node are repeated so often when somebody else changed it in between."""


class Step(StrEnum):
    """Steps of a removal, in order."""

    TAINTED = "tainted"  # waits until the scheduler has seen the taint
    EVICTING = "evicting"  # its pods are being evicted
    DELETING = "deleting"  # it is empty, the provider is asked to take it back


@dataclass(frozen=True, slots=True)
class Progress:
    """The value of the annotation `autoscaler.green/removal-step`. The annotation makes the taint ours.

    Attributes:
        step: the step.
        drains: whether pods may be evicted; else the node was empty and a pod on it ends the removal.
        since_seconds: unix time at which the step began.
    """

    step: Step
    drains: bool
    since_seconds: float

    def __str__(self) -> str:
        """As the annotation holds it."""
        return f"{self.step} {'drain' if self.drains else 'empty'} {self.since_seconds:.3f}"


def read_progress(annotations: Mapping[str, str]) -> Progress | None:
    """The progress that a node's annotations tell; None: no removal of ours, or the annotation is damaged."""
    parts = annotations.get(ANNOTATION_REMOVAL_STEP, "").split()
    try:
        step, mode, since = parts
        return Progress(Step(step), mode == "drain", float(since))
    except ValueError:
        return None


def write_progress(client: KubeClient, node: Json, progress: Progress) -> Json:
    """Taint a node and write the progress, in one write.

    Raises:
        KubeError: it could not be written.
    """
    seconds = int(progress.since_seconds)
    return _write(client, node, str(progress), {"value": str(seconds)} if progress.step is Step.TAINTED else {})


def clear_progress(client: KubeClient, node: Json) -> Json:
    """Take the taint and the annotation back, in one write.

    Raises:
        KubeError: it could not be written.
    """
    return _write(client, node, None, None)


def _write(client: KubeClient, node: Json, annotation: str | None, taint: Mapping[str, str] | None) -> Json:
    """A merge patch replaces the whole list of taints, so the resourceVersion guards those of others."""
    path = f"/api/v1/nodes/{node['metadata']['name']}"
    uid = node["metadata"]["uid"]
    for attempt in range(ATTEMPTS):
        metadata = {
            "uid": uid,
            "resourceVersion": node["metadata"]["resourceVersion"],
            "annotations": {ANNOTATION_REMOVAL_STEP: annotation},
        }
        try:
            return client.patch(path, {"metadata": metadata, "spec": {"taints": _taints(node, taint)}})
        except ConflictError:
            if attempt == ATTEMPTS - 1:
                raise
            node = client.get(path)
            if node["metadata"]["uid"] != uid:
                raise
    raise AssertionError("unreachable")


def _taints(node: Json, ours: Mapping[str, str] | None) -> list[Json]:
    """The taints of a node with ours set (None: without it); an empty mapping keeps the value that it has."""
    taints = list(node.get("spec", {}).get("taints") or [])
    others = [taint for taint in taints if taint.get("key") != TAINT_TO_BE_DELETED]
    if ours is None:
        return others
    before: Json = next((taint for taint in taints if taint.get("key") == TAINT_TO_BE_DELETED), {})
    return [*others, {**before, "key": TAINT_TO_BE_DELETED, "effect": "NoSchedule", **ours}]
