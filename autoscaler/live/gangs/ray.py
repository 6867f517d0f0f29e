"""RayCluster, by itself or made by a RayJob or a RayService.

Source: https://github.com/ray-project/kuberay/blob/master/ray-operator/apis/ray/v1/raycluster_types.go
"""

from __future__ import annotations

from autoscaler.live.gangs.base import Collection, GangKind, Member, Role, Shape, is_over, part, replicas
from autoscaler.live.kube.client import Json
from autoscaler.live.kube.fields import items, text
from autoscaler.live.objects import GroupRef

CLUSTER = "ray.io/cluster"
NODE_TYPE = "ray.io/node-type"
GROUP = "ray.io/group"
HEAD = "head"


def _member(pod: Member) -> GroupRef | None:
    name, node_type = pod.labels.get(CLUSTER), pod.labels.get(NODE_TYPE)
    if not name or not node_type:
        return None  # such as the pod that submits a RayJob
    return GroupRef("ray", name, HEAD if node_type == HEAD else pod.labels.get(GROUP, ""))


def _shape(raw: Json) -> Shape:
    spec = part(raw, "spec")
    grows = spec.get("enableInTreeAutoscaling") is True
    groups = items(spec.get("workerGroupSpecs"), "spec.workerGroupSpecs")
    workers = (_workers(group, grows) for group in groups if group.get("suspend") is not True)
    head = Role(HEAD, 1, part(spec, "headGroupSpec", "template"))
    return Shape((head, *workers), over=spec.get("suspend") is True or is_over(raw))


def _workers(group: Json, grows: bool) -> Role:
    # What Ray's own autoscaler adds later follows one by one.
    fewest = replicas(group, "minReplicas", 0)
    count = fewest if grows else max(fewest, replicas(group, "replicas", fewest))
    name = text(group.get("groupName"), "spec.workerGroupSpecs.groupName")
    return Role(name, count * max(1, replicas(group, "numOfHosts")), part(group, "template"))


RAY = GangKind(
    "ray",
    "RayCluster (`ray.io/v1`), also that of a RayJob or RayService",
    f"pod labels `{CLUSTER}`, `{NODE_TYPE}` and `{GROUP}`; RayCluster `spec.headGroupSpec.template`, "
    "`spec.workerGroupSpecs[]`: `groupName`, `replicas`, `minReplicas`, `numOfHosts`, `suspend` and the pod template; "
    "`spec.enableInTreeAutoscaling` (then `minReplicas` count), `spec.suspend`",
    _member,
    Collection("ray.io", ("v1",), "rayclusters", "RayCluster"),
    _shape,
)
