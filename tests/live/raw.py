"""Raw JSON objects as an API server sends them, and a store that has seen them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from autoscaler.live.clock import ManualClock
from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.names import GATE_PLACEMENT, LABEL_POOL
from autoscaler.live.providers import machine_watches
from autoscaler.live.view.parse import Parser
from autoscaler.live.view.store import Resource, Store
from envs.gpu_cluster.codec import CodecLayout

GPU = "nvidia.com/gpu"
START = 1_700_000_000.0


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def config(*pools: LivePool, layout: CodecLayout | None = None, **settings: Any) -> LiveConfig:
    return LiveConfig(pools or (LivePool("gpu", max_nodes=8),), codec=layout or CodecLayout(), **settings)


def metadata(name: str, created: float = START, **more: Any) -> dict[str, Any]:
    return {"name": name, "uid": f"uid-{name}", "resourceVersion": "1", "creationTimestamp": stamp(created), **more}


def node(name: str, pool: str | None = "gpu", gpus: int | None = 8, ready: bool = True, **more: Any) -> dict[str, Any]:
    created = more.pop("created", START)
    allocatable = {"cpu": "96", "memory": "1Ti", "pods": "110"}
    if gpus is not None:
        allocatable[GPU] = str(gpus)
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": stamp(created)}
    return {
        "metadata": metadata(name, created, labels={LABEL_POOL: pool} if pool else {}, **more.pop("metadata", {})),
        "spec": more.pop("spec", {}),
        "status": {"allocatable": allocatable, "conditions": [condition]},
    }


def pod(name: str, gpus: int = 8, node_name: str | None = None, gated: bool = True, **more: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "containers": [{"name": "main", "resources": {"requests": {"cpu": "1"}, "limits": {GPU: str(gpus)}}}],
        **more.pop("spec", {}),
    }
    if node_name:
        spec["nodeName"] = node_name
    elif gated:
        spec["schedulingGates"] = [{"name": GATE_PLACEMENT}]
    phase = more.pop("phase", "Running" if node_name else "Pending")
    owner = more.pop("job", None)
    meta = metadata(name, more.pop("created", START), namespace="default", **more.pop("metadata", {}))
    if owner is not None:
        reference = {"kind": "Job", "name": owner, "uid": f"uid-{owner}", "controller": True, "apiVersion": "batch/v1"}
        meta["ownerReferences"] = [reference]
    return {"metadata": meta, "spec": spec, "status": {"phase": phase, **more.pop("status", {})}}


def job(name: str, pods: int = 2, gpus: int = 8, **more: Any) -> dict[str, Any]:
    template = {"spec": pod("template", gpus)["spec"]}
    return {
        "metadata": metadata(name, more.pop("created", START), namespace="default"),
        "spec": {
            "parallelism": pods,
            "completions": pods,
            "completionMode": "Indexed",
            "template": template,
            **more.pop("spec", {}),
        },
        "status": more.pop("status", {}),
    }


def unschedulable() -> dict[str, Any]:
    return {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no"}]}


class World:
    """A store with a clock and everything that it was told."""

    def __init__(self, settings: LiveConfig | None = None, seconds: float = START) -> None:
        self.config = settings or config()
        self.clock = ManualClock(seconds)
        self.triggers: list[str] = []
        self.skipped: list[tuple[str, str, str]] = []
        self.store = Store(
            Parser(self.config, self.clock),
            self.clock,
            lambda trigger: self.triggers.append(str(trigger)),
            lambda *what: self.skipped.append((str(what[0]), what[1], what[2])),
            machine_watches(self.config, self.clock),
        )

    def listed(self, nodes: Iterable[Any] = (), pods: Iterable[Any] = (), jobs: Iterable[Any] = ()) -> "World":
        self.store.replace(Resource.NODES, nodes)
        self.store.replace(Resource.JOBS, jobs)
        self.store.replace(Resource.PODS, pods)
        return self
