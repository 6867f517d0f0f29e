"""How far the removal of a node got. It stands on the node itself, so that a restart finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from autoscaler.live.actuate.taints import write_taint
from autoscaler.live.kube.client import Json, KubeClient
from autoscaler.live.names import ANNOTATION_REMOVAL_STEP, TAINT_TO_BE_DELETED
from autoscaler.live.view.nodes import MODE_MOVE

CREATION_RESOLUTION_SECONDS = 1.0
"""Kubernetes cuts a creationTimestamp to whole seconds, which the begin of a step is compared with."""


class Step(StrEnum):
    """Steps of a removal, in order."""

    TAINTED = "tainted"  # waits until the scheduler has seen the taint
    EVICTING = "evicting"  # its pods are being evicted
    SETTLING = "settling"  # its jobs were moved off it, and start elsewhere
    DELETING = "deleting"  # it is empty, the provider deletes it


class Mode(StrEnum):
    """What may happen to pods, and what becomes of the node."""

    EMPTY = "empty"  # it was empty: a pod on it ends the removal
    DRAIN = "drain"  # its pods are evicted, then it goes
    MOVE = MODE_MOVE  # the pods that use its GPUs are evicted, and it stays


@dataclass(frozen=True, slots=True)
class Progress:
    """The value of the annotation `autoscaler.green/removal-step`. The annotation makes the taint ours.

    Attributes:
        step: the step.
        mode: what may happen to pods.
        since_seconds: unix time at which the step began.
        jobs: of a consolidation, how many pods each Job had of which a pod is evicted, by uid.
    """

    step: Step
    mode: Mode
    since_seconds: float
    jobs: Mapping[str, int] = field(default_factory=dict)

    def next(self, step: Step, since_seconds: float) -> Progress:
        """The step after this one."""
        return replace(self, step=step, since_seconds=since_seconds)

    def __str__(self) -> str:
        """As the annotation holds it."""
        jobs = ",".join(f"{uid}={pods}" for uid, pods in self.jobs.items())
        return f"{self.step} {self.mode} {self.since_seconds:.3f} {jobs}".rstrip()


def read_progress(annotations: Mapping[str, str]) -> Progress | None:
    """The progress that a node's annotations tell; None: no removal of ours, or the annotation is damaged."""
    parts = annotations.get(ANNOTATION_REMOVAL_STEP, "").split()
    try:
        step, mode, since, jobs = parts if len(parts) == 4 else (*parts, "")
        pairs = [each.partition("=") for each in jobs.split(",") if each]
        return Progress(Step(step), Mode(mode), float(since), {uid: int(pods) for uid, _, pods in pairs})
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
    """None takes annotation and taint away; an empty mapping keeps the taint's value."""
    ours = {"key": TAINT_TO_BE_DELETED, "effect": "NoSchedule", **(taint or {})}
    return write_taint(client, node, ours, taint is not None, {ANNOTATION_REMOVAL_STEP: annotation})
