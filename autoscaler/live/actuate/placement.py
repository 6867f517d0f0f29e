"""Sends gangs to their pool: one atomic patch per pod selects the pool and removes our gate."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.live.actuate.admission import admit
from autoscaler.live.guardrails import Release
from autoscaler.live.kube.client import InvalidError, Json, KubeClient, KubeError
from autoscaler.live.names import ANNOTATION_PLACED_AT, GATE_PLACEMENT, LABEL_POOL
from autoscaler.live.objects import ObjectRef, PodView


@dataclass(frozen=True, slots=True)
class Refused:
    """A pod that was not released.

    Attributes:
        about: the pod, or what a Workload admits.
        reason: what the API server said.
    """

    about: ObjectRef
    reason: str


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of a release. The pods of `refused` are tried again in the next reconcile, in the same pool.

    Attributes:
        release: what to place.
        pods: pods that were released.
        refused: pods that were not, or the Workload.
        admitted: its Workload may be admitted now.
    """

    release: Release
    pods: tuple[PodView, ...]
    refused: tuple[Refused, ...]
    admitted: bool = False


def place(client: KubeClient, release: Release, wall_seconds: float) -> Placed:
    """Release the pods of a gang.

    Args:
        client: fenced, see `KubeClient.fenced`.
        release: which pods, and where to.
        wall_seconds: unix time, for the annotation.
    """
    if release.gang.admission is not None:
        return _admit(client, release, wall_seconds)
    done: list[PodView] = []
    refused: list[Refused] = []
    for pod in release.pods:
        try:
            client.patch(
                f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}",
                patch_of(pod, release.pool, wall_seconds),
                "strategic",
            )
        except InvalidError as error:
            refused.append(
                Refused(pod.ref, f"somebody else placed it first, or a selector forbids it: {error.message}")
            )
        except KubeError as error:
            refused.append(Refused(pod.ref, error.message))
        else:
            done.append(pod)
    return Placed(release, tuple(done), tuple(refused))


def _admit(client: KubeClient, release: Release, wall_seconds: float) -> Placed:
    try:
        admit(client, release, wall_seconds)
    except KubeError as error:
        return Placed(release, (), (Refused(release.gang.ref, error.message),))
    return Placed(release, (), (), admitted=True)


def patch_of(pod: PodView, pool: str, wall_seconds: float) -> Json:
    """A strategic merge patch that is safe to repeat and to race.

    Maps and the list of gates are merged by key, so nothing that others write meanwhile is lost. The uid makes it fail
    on another pod of the same name. A pod that is released already has an immutable selector: the same pool changes
    nothing, another one is refused.
    """
    # A pod of a group that uses no GPUs may run on any node that suits it.
    selector = {"nodeSelector": {LABEL_POOL: pool}} if pod.gpu_milli > 0 else {}
    return {
        "metadata": {"uid": pod.uid, "annotations": {ANNOTATION_PLACED_AT: f"{wall_seconds:.3f}"}},
        "spec": {
            **selector,
            "schedulingGates": [{"$patch": "delete", "name": GATE_PLACEMENT}],
        },
    }
