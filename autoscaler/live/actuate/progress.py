"""How far the removal of a node got. It stands on the node itself, so that a restart finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from autoscaler.live.actuate.taints import write_taint
from autoscaler.live.client import Json, KubeClient
from autoscaler.live.names import ANNOTATION_REMOVAL_STEP, TAINT_TO_BE_DELETED


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
    """None takes annotation and taint away; an empty mapping keeps the taint's value."""
    ours = {"key": TAINT_TO_BE_DELETED, "effect": "NoSchedule", **(taint or {})}
    return write_taint(client, node, ours, taint is not None, {ANNOTATION_REMOVAL_STEP: annotation})
