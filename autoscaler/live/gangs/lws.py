"""LeaderWorkerSet: each of its replicas is a group of a leader and its workers.

Source: https://github.com/kubernetes-sigs/lws/blob/main/api/leaderworkerset/v1/leaderworkerset_types.go
"""

from __future__ import annotations

from autoscaler.live.gangs.base import Collection, GangKind, Member, Role, Shape, is_over, part, replicas
from autoscaler.live.kube.client import Json
from autoscaler.live.kube.fields import text
from autoscaler.live.objects import GroupRef

DOMAIN = "leaderworkerset.sigs.k8s.io"
LEADER, WORKER = "leader", "worker"


def _member(pod: Member) -> GroupRef | None:
    name, index = pod.labels.get(f"{DOMAIN}/name"), pod.labels.get(f"{DOMAIN}/group-index")
    if not name or index is None:
        return None
    role = LEADER if pod.labels.get(f"{DOMAIN}/worker-index") == "0" else WORKER
    return GroupRef("lws", name, role, index)


def _shape(raw: Json) -> Shape:
    spec = part(raw, "spec")
    template = part(spec, "leaderWorkerTemplate")
    size, worker = replicas(template, "size"), part(template, "workerTemplate")
    leader = part(template, "leaderTemplate") or worker
    late = text(spec.get("startupPolicy"), "spec.startupPolicy") == "LeaderReady"
    roles = (Role(LEADER, min(1, size), leader), Role(WORKER, max(0, size - 1), worker))
    return Shape(roles, late=late, over=is_over(raw))


LEADER_WORKER_SET = GangKind(
    "lws",
    "LeaderWorkerSet (`leaderworkerset.x-k8s.io/v1`), each group by itself",
    f"pod labels `{DOMAIN}/name`, `{DOMAIN}/group-index` and `{DOMAIN}/worker-index`; LeaderWorkerSet "
    "`spec.leaderWorkerTemplate`: `size`, `leaderTemplate`, `workerTemplate`; `spec.startupPolicy`",
    _member,
    Collection("leaderworkerset.x-k8s.io", ("v1",), "leaderworkersets", "LeaderWorkerSet"),
    _shape,
)
