"""Kueue: groups of plain pods, and Workloads whose admission waits for nodes (an AdmissionCheck of ours).

Sources:
    https://kueue.sigs.k8s.io/docs/concepts/admission_check/
    https://github.com/kubernetes-sigs/kueue/blob/main/apis/kueue/v1beta2/workload_types.go
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.live.gangs.base import Collection, GangKind, Member, Role, is_over, part, replicas, whole
from autoscaler.live.kube.client import Json
from autoscaler.live.kube.fields import conditions, items, text
from autoscaler.live.kube.rights import Right, each_verb
from autoscaler.live.objects import GroupRef

VERSIONS = ("v1beta2", "v1beta1")
WORKLOADS = Collection("kueue.x-k8s.io", VERSIONS, "workloads", "Workload")
CHECKS = Collection("kueue.x-k8s.io", VERSIONS, "admissionchecks", "AdmissionCheck")

OBSERVE: tuple[Right, ...] = (
    *each_verb(WORKLOADS.group, "workloads", "list watch", "see which Workloads of Kueue wait for nodes"),
    *each_verb(CHECKS.group, "admissionchecks", "list watch", "know which AdmissionChecks are ours"),
)
ACT: tuple[Right, ...] = (
    *each_verb(WORKLOADS.group, "workloads/status", "patch", "say that the nodes of a Workload are there"),
    *each_verb(CHECKS.group, "admissionchecks/status", "patch", "say that somebody serves an AdmissionCheck"),
)

QUEUE_NAME = "kueue.x-k8s.io/queue-name"
"""Label of jobs that Kueue starts and stops."""

POD_GROUP_NAME = "kueue.x-k8s.io/pod-group-name"
POD_GROUP_COUNT = "kueue.x-k8s.io/pod-group-total-count"


def _member(pod: Member) -> GroupRef | None:
    name = pod.labels.get(POD_GROUP_NAME)
    return GroupRef("kueue-pods", name, size=whole(pod.annotations.get(POD_GROUP_COUNT))) if name else None


POD_GROUP = GangKind(
    "kueue-pods",
    "group of plain pods under Kueue",
    f"pod label `{POD_GROUP_NAME}`, annotation `{POD_GROUP_COUNT}`; without the second not served",
    _member,
)


@dataclass(frozen=True, slots=True)
class WorkloadShape:
    """What a Workload says.

    Attributes:
        roles: its pod sets.
        reserved: it has its quota, so its admission checks run.
        over: it is finished, evicted, deactivated or being deleted.
        priority: of its pods.
        checks: its admission checks as they stand there.
    """

    roles: tuple[Role, ...]
    reserved: bool
    over: bool
    priority: int
    checks: tuple[Json, ...]


def read_workload(raw: Json) -> WorkloadShape:
    """Read a Workload.

    Raises:
        ParseError: it cannot be read.
    """
    spec, status = part(raw, "spec"), part(raw, "status")
    roles = tuple(
        Role(text(each.get("name"), "spec.podSets.name") or "main", replicas(each, "count"), part(each, "template"))
        for each in items(spec.get("podSets"), "spec.podSets")
    )
    counts = {str(each.get("name")): each.get("count") for each in _assignments(status)}
    assigned = tuple(Role(role.name, replicas(counts, role.name, role.count), role.template) for role in roles)
    priority = spec.get("priority")
    return WorkloadShape(
        assigned,
        conditions(status).get("QuotaReserved", {}).get("status") == "True",
        spec.get("active") is False or is_over(raw, "Finished", "Evicted"),
        priority if isinstance(priority, int) else 0,
        tuple(_check(each) for each in items(status.get("admissionChecks"), "status.admissionChecks")),
    )


def _check(raw: Json) -> Json:
    """An admission check of a Workload, if its name and state are words."""
    for key in ("name", "state"):
        text(raw.get(key), f"status.admissionChecks.{key}")
    return raw


def _assignments(status: Json) -> list[Json]:
    """What was admitted; of a Workload that may begin with fewer pods, that many."""
    return items(part(status, "admission").get("podSetAssignments"), "status.admission.podSetAssignments")
