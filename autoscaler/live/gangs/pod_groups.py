"""PodGroups: objects that only say how many pods must run together. Kubernetes' own, and those of other schedulers.

Sources:
    https://github.com/kubernetes/enhancements/tree/master/keps/sig-scheduling/5832-decouple-podgroup-api
    https://volcano.sh/en/docs/podgroup/
    https://github.com/kubernetes-sigs/scheduler-plugins/tree/master/pkg/coscheduling
    https://github.com/NVIDIA/KAI-Scheduler
"""

from __future__ import annotations

from autoscaler.live.gangs.base import Collection, GangKind, Member, Shape, by_label, part, replicas, whole
from autoscaler.live.kube.client import Json
from autoscaler.live.kube.fields import text
from autoscaler.live.objects import GroupRef

OLD_LABEL = "pod-group.scheduling.sigs.k8s.io"
KAI_SCHEDULERS = ("kai-scheduler", "runai-scheduler")
KAI_QUEUES = ("kai.scheduler/queue", "runai/queue")


def _native_member(pod: Member) -> GroupRef | None:
    name = text(part(pod.spec, "schedulingGroup").get("podGroupName"), "spec.schedulingGroup.podGroupName")
    return GroupRef("native", name) if name else None


def _native_shape(raw: Json) -> Shape:
    policy = part(raw, "spec", "schedulingPolicy")
    if policy.get("gang") is None:
        return Shape(together=False)
    return Shape(least=replicas(part(policy, "gang"), "minCount"))


def _of_1_35(pod: Member) -> GroupRef | None:
    reference = part(pod.spec, "workloadRef")
    name = text(reference.get("name"), "spec.workloadRef.name")
    return GroupRef("native-1.35", name) if name else None


def _volcano_member(pod: Member) -> GroupRef | None:
    keys = ("scheduling.volcano.sh/group-name", "scheduling.k8s.io/group-name")
    name = next((pod.annotations[key] for key in keys if pod.annotations.get(key)), "")
    return GroupRef("volcano", name) if name else None


def _kai_member(pod: Member) -> GroupRef | None:
    is_kai = pod.spec.get("schedulerName") in KAI_SCHEDULERS or any(key in pod.labels for key in KAI_QUEUES)
    name = pod.annotations.get("pod-group-name", "")
    return GroupRef("kai", name) if is_kai and name else None


def _old_member(pod: Member) -> GroupRef | None:
    name = pod.labels.get(f"{OLD_LABEL}/name") or pod.labels.get(OLD_LABEL)
    size = whole(pod.labels.get(f"{OLD_LABEL}/min-available"))
    return GroupRef("scheduler-plugins-old", name, size=size) if name else None


def _min_member(raw: Json) -> Shape:
    return Shape(least=replicas(part(raw, "spec"), "minMember"))


NATIVE = GangKind(
    "native",
    "PodGroup of Kubernetes 1.36 (`scheduling.k8s.io/v1alpha2`)",
    "pod `spec.schedulingGroup.podGroupName`; PodGroup `spec.schedulingPolicy.gang.minCount`; `basic` is no gang",
    _native_member,
    Collection("scheduling.k8s.io", ("v1alpha2",), "podgroups", "PodGroup"),
    _native_shape,
)
NATIVE_OLD = GangKind(
    "native-1.35",
    "Workload of Kubernetes 1.35 (`scheduling.k8s.io/v1alpha1`)",
    "pod `spec.workloadRef.name`; not served",
    _of_1_35,
)
VOLCANO = GangKind(
    "volcano",
    "Volcano PodGroup (`scheduling.volcano.sh/v1beta1`)",
    "pod annotation `scheduling.volcano.sh/group-name` or `scheduling.k8s.io/group-name`; PodGroup `spec.minMember`",
    _volcano_member,
    Collection("scheduling.volcano.sh", ("v1beta1",), "podgroups", "PodGroup"),
    _min_member,
)
KAI = GangKind(
    "kai",
    "KAI scheduler PodGroup (`scheduling.run.ai/v2alpha2`)",
    "pod label `kai.scheduler/queue` or `schedulerName: kai-scheduler`, annotation `pod-group-name`; "
    "PodGroup `spec.minMember`",
    _kai_member,
    Collection("scheduling.run.ai", ("v2alpha2", "v2"), "podgroups", "PodGroup"),
    _min_member,
)
SCHEDULER_PLUGINS = GangKind(
    "scheduler-plugins",
    "scheduler-plugins PodGroup (`scheduling.x-k8s.io/v1alpha1`)",
    "pod label `scheduling.x-k8s.io/pod-group`; PodGroup `spec.minMember`",
    by_label("scheduler-plugins", "scheduling.x-k8s.io/pod-group"),
    Collection("scheduling.x-k8s.io", ("v1alpha1",), "podgroups", "PodGroup"),
    _min_member,
)
SCHEDULER_PLUGINS_OLD = GangKind(
    "scheduler-plugins-old",
    "older labels of scheduler-plugins",
    f"pod labels `{OLD_LABEL}/name` and `{OLD_LABEL}/min-available`; without the second not served",
    _old_member,
)
