"""What tests of acting share: a client that can die at any write, settings of small pools, and manifests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.guardrail_config import GuardrailConfig, RemovalTimes
from autoscaler.live.guardrails import Release, Removal
from autoscaler.live.kube.client import Json, KubeClient, NotFoundError, connect
from autoscaler.live.model import GangState, GangView
from autoscaler.live.names import ANNOTATION_REMOVAL_STEP, GATE_PLACEMENT, LABEL_POOL, TAINT_TO_BE_DELETED
from autoscaler.live.objects import NodeView, ObjectRef, PodView
from tests.cluster.control_plane import ControlPlane

Hook = Callable[[str, str], None]


class KilledError(BaseException):
    """The process died here."""


class MortalClient(KubeClient):
    """A client whose process can die before a write is sent, or after it took effect and before its answer.

    Attributes:
        before: called with method and path before each write.
        after: called with method and path after each write.
        writes: how many writes were sent.
    """

    def __init__(self, client: KubeClient) -> None:
        super().__init__(client._api, client.timeout_seconds)
        self.before: Hook = lambda method, path: None
        self.after: Hook = lambda method, path: None
        self.writes = 0

    def request(self, method: str, path: str, **options: Any) -> Json:
        if method == "GET":
            return super().request(method, path, **options)
        self.before(method, path)
        answer = super().request(method, path, **options)
        self.writes += 1
        self.after(method, path)
        return answer

    def die_at(self, when: str, write: int) -> None:
        """Die `before` or `after` the write of this number, counted from now and from 0."""
        start, count = self.writes, iter(range(1000))

        def die(method: str, path: str) -> None:
            if next(count) == write:
                self.survive()
                raise KilledError(f"{when} write {write + start}: {method} {path}")

        setattr(self, when, die)

    def survive(self) -> None:
        """Die no more."""
        self.before = self.after = lambda method, path: None


@contextmanager
def mortal_client(kubeconfig: Path) -> Iterator[MortalClient]:
    """A client for a kubeconfig."""
    client = connect(str(kubeconfig))
    try:
        yield MortalClient(client)
    finally:
        client.close()


def live_config(*, karpenter: bool = False, **removal: float) -> LiveConfig:
    """The pools `a` and `b`, whose nodes are up at once; times of removals in wall seconds."""
    kind = "karpenter" if karpenter else "kwok"
    pools = tuple(LivePool(name, 10, boot_seconds=0.0, provider=kind) for name in "ab")
    times = RemovalTimes(**{"taint_wait_seconds": 0.5, **removal})
    return LiveConfig(pools, guardrails=GuardrailConfig(removal=times), dry_run=False)


def gated_gang(cluster: ControlPlane, name: str, pods: int, gpus_per_pod: int, **options: Any) -> GangView:
    """Submit a gang whose pods wait at our gate, and return it as the guardrails see it."""
    spec = {"schedulingGates": [{"name": GATE_PLACEMENT}], **options.pop("pod_spec", {})}
    cluster.create_gang_job(name, pods=pods, gpus_per_pod=gpus_per_pod, pod_spec=spec, **options)
    members = cluster.wait_until(
        lambda: found if len(found := cluster.pods(f"job-name={name}")) == pods else None, f"{name} has its pods"
    )
    assert members is not None
    return GangView(
        key=name,
        ref=ObjectRef("Job", name, "default", "", "batch/v1"),
        state=GangState.QUEUED,
        submitted_seconds=0.0,
        parallelism=pods,
        gpu_milli_per_pod=gpus_per_pod * 1000,
        pods=tuple(
            PodView(
                name=pod["metadata"]["name"],
                namespace="default",
                uid=pod["metadata"]["uid"],
                gates=(GATE_PLACEMENT,),
                gpu_milli=gpus_per_pod * 1000,
            )
            for pod in members
        ),
        allowed_pools=("a", "b"),
    )


def release_of(gang: GangView, pool: str = "a") -> Release:
    """All pods of a gang to one pool."""
    return Release(gang, pool, gang.pods)


def removal_of(cluster: ControlPlane, name: str, *, drain: bool = False) -> Removal:
    """A node that the guardrails chose; its pods can go to another one."""
    if drain:
        cluster.create_gpu_node("spare", gpus=0)
        cluster.wait_for_node("spare")
    view = NodeView(name=name, uid=cluster.node(name)["metadata"]["uid"], pool="a")
    return Removal("a", name, view, ("some pod",) if drain else (), "the policy has no use for it")


def pool_node(cluster: ControlPlane, name: str, pool: str = "a", **options: Any) -> None:
    """Create a node of a pool and wait until it is ready."""
    cluster.create_gpu_node(name, labels={LABEL_POOL: pool}, **options)
    cluster.wait_for_node(name, gpus=8)


def replica_set(cluster: ControlPlane, name: str, node: str, **template: Any) -> str:
    """Run one replica on a node, which it prefers to others, and return the name of its pod."""
    labels = {"app": name, **template.pop("labels", {})}
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    preferred = [{"weight": 100, "preference": here}]
    spec = {
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}},
        "containers": [{"name": "main", "image": "example.invalid/web:1"}],
        **template.pop("spec", {}),
    }
    body = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels, **template}, "spec": spec},
        },
    }
    cluster.request("POST", "/apis/apps/v1/namespaces/default/replicasets", body)

    def running() -> str | None:
        for pod in cluster.pods(f"app={name}"):
            if pod["status"].get("phase") == "Running" and pod["spec"].get("nodeName") == node:
                return str(pod["metadata"]["name"])
        return None

    found = cluster.wait_until(running, f"a pod of {name} runs on {node}")
    assert found is not None
    return found


def exists(client: KubeClient, path: str) -> bool:
    """Whether there is such an object."""
    try:
        client.get(path)
    except NotFoundError:
        return False
    return True


def removal_marks(node: Json) -> tuple[bool, bool]:
    """Whether a node carries the taint of removals, and our annotation."""
    tainted = any(taint["key"] == TAINT_TO_BE_DELETED for taint in node["spec"].get("taints", ()))
    return tainted, ANNOTATION_REMOVAL_STEP in node["metadata"].get("annotations", {})


def with_uid(pod: PodView, uid: str) -> PodView:
    """The same pod with another uid."""
    return replace(pod, uid=uid)
