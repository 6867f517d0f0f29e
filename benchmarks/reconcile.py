"""Processor time and memory of one reconcile of the live loop on a large cluster, with the audit on.

Objects come in as JSON text, page by page, as an API server sends them: nodes with their conditions and images, pods
with their statuses, volumes, tolerations and managed fields. Between two reconciles some pods end and others come. The
loop is that of `autoscaler deploy` as a dry run, under `reactive`; what a real one writes besides is not counted.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from _common import parse, parser, tell

from autoscaler.live.clock import ManualClock
from autoscaler.live.collector import tune_collector
from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.loop import DryRun, Loop
from autoscaler.live.names import GATE_PLACEMENT, LABEL_POOL
from autoscaler.live.objects import ObjectRef
from autoscaler.live.observer import Observer
from autoscaler.live.policy.decide import make_decider
from autoscaler.live.telemetry.audit import AuditWriter, Header
from autoscaler.live.telemetry.events import LogRecorder
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import Health
from autoscaler.live.view.store import Resource
from autoscaler.live.wake import Wake
from envs.gpu_cluster.codec import fingerprint

START = 1_700_000_000.0
STAMP = "2023-11-14T22:13:20Z"
GPU = "nvidia.com/gpu"
PAGE = 500
CHURN_PODS = 100
"""Pods that end, and as many that come, between two reconciles."""


def metadata(name: str, labels: dict[str, str], namespace: str = "", **more: Any) -> dict[str, Any]:
    """Metadata as a real server fills them in."""
    managed = [
        {
            "manager": manager,
            "operation": "Update",
            "apiVersion": "v1",
            "time": STAMP,
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                f"f:{part}": {f"f:{key}": {} for key in ("a", "b", "c", "d", name)} for part in ("spec", "status")
            },
        }
        for manager in ("kube-controller-manager", "kubelet")
    ]
    found = {"name": name, "uid": f"uid-{name}", "resourceVersion": "1", "creationTimestamp": STAMP, "labels": labels}
    return {**found, **({"namespace": namespace} if namespace else {}), "managedFields": managed, **more}


def node(index: int) -> dict[str, Any]:
    """A node of eight GPUs."""
    name = f"gpu-node-{index:05}"
    labels = {
        LABEL_POOL: f"pool-{index % 4}",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": f"zone-{index % 3}",
        "node.kubernetes.io/instance-type": "gpu.8",
        **{f"feature.node.kubernetes.io/cpu-cpuid.F{number}": "true" for number in range(30)},
    }
    sizes = {"cpu": "96", "memory": "1056Gi", "pods": "110", GPU: "8", "ephemeral-storage": "1Ti", "hugepages-2Mi": "0"}
    conditions = [
        {"type": kind, "status": "True" if kind == "Ready" else "False", "reason": f"Kubelet{kind}"}
        | {"lastTransitionTime": STAMP, "lastHeartbeatTime": STAMP, "message": "kubelet says so"}
        for kind in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
    ]
    images = [{"names": [f"registry/image-{number}@sha256:{number:064}"], "sizeBytes": number} for number in range(20)]
    return {
        "metadata": metadata(name, labels, annotations={"volumes.kubernetes.io/controller-managed": "true"}),
        "spec": {"providerID": f"cloud:///{name}"},
        "status": {"allocatable": sizes, "capacity": sizes, "conditions": conditions, "images": images},
    }


def pod(name: str, owner: str, kind: str, node_name: str, requests: dict[str, str]) -> dict[str, Any]:
    """A pod as its controller and the kubelet leave it; without a node it waits at our gate."""
    reference = {"kind": kind, "name": owner, "uid": f"uid-{owner}", "controller": True, "apiVersion": "batch/v1"}
    labels = {"app": owner, "pod-template-hash": f"hash-{owner}", "team": f"team-{len(owner) % 7}"}
    if kind == "Job":
        labels |= {"batch.kubernetes.io/controller-uid": f"uid-{owner}", "job-name": owner}
    container = {
        "name": "main",
        "image": "registry/image@sha256:" + "0" * 64,
        "env": [{"name": f"VARIABLE_{number}", "value": f"value {number}"} for number in range(15)],
        "resources": {"limits": requests, "requests": requests},
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets", "readOnly": True}],
    }
    taints = ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
    spec: dict[str, Any] = {
        "containers": [container],
        "volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
        "tolerations": [{"key": f"node.kubernetes.io/{key}", "operator": "Exists"} for key in taints],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "schedulerName": "default-scheduler",
        "priority": 0,
        "terminationGracePeriodSeconds": 30,
    }
    status: dict[str, Any] = {"phase": "Running" if node_name else "Pending"}
    if node_name:
        spec["nodeName"] = node_name
        status |= {
            "startTime": STAMP,
            "podIP": "10.0.0.1",
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": STAMP}
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "containerStatuses": [{"name": "main", "ready": True, "state": {"running": {"startedAt": STAMP}}}],
        }
    else:
        spec["schedulingGates"] = [{"name": GATE_PLACEMENT}]
    return {"metadata": metadata(name, labels, "default", ownerReferences=[reference]), "spec": spec, "status": status}


def pods(nodes: int, count: int) -> Iterator[dict[str, Any]]:
    """Two of DaemonSets and some of training on nine nodes of ten, and a twentieth that waits."""
    waiting = count // 20
    for index in range(nodes):
        for daemon in ("plugin", "exporter"):
            yield pod(f"{daemon}-{index}", daemon, "DaemonSet", f"gpu-node-{index:05}", {"cpu": "100m"})
    for index in range(count - 2 * nodes - waiting):
        where = f"gpu-node-{index % (nodes * 9 // 10):05}"
        gpu = {GPU: "1"} if index < nodes * 7 else {}
        yield pod(f"train-{index}", f"job-{index // 8}", "Job", where, {"cpu": "4", "memory": "32Gi", **gpu})
    for index in range(waiting):
        yield pod(f"wait-{index}", f"waiting-{index}", "Job", "", {"cpu": "8", "memory": "64Gi", GPU: "8"})


def jobs(count: int) -> Iterator[dict[str, Any]]:
    """The Jobs of these pods: half of those that run are gangs of eight."""
    for index in range(count):
        yield job(f"job-{index}", 8, indexed=index % 2 == 0)


def job(name: str, parallelism: int, indexed: bool) -> dict[str, Any]:
    """A Job."""
    template = pod("template", name, "Job", "", {"cpu": "4", "memory": "32Gi", GPU: "1"})
    sizes = {"parallelism": parallelism, "completions": parallelism}
    spec = {**sizes, "completionMode": "Indexed" if indexed else "NonIndexed", "template": {"spec": template["spec"]}}
    return {"metadata": metadata(name, {"app": name}, "default"), "spec": spec, "status": {"active": parallelism}}


def through_json(items: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Objects as a client reads them, one page of text at a time."""
    page: list[dict[str, Any]] = []
    for item in items:
        page.append(item)
        if len(page) == PAGE:
            yield from json.loads(json.dumps(page))
            page = []
    yield from json.loads(json.dumps(page))


class World:
    """A loop over a store that a script fills.

    Args:
        nodes: nodes of four pools.
        pods: pods.
        audit: file of the audit.
    """

    def __init__(self, nodes: int, pods_: int, audit: Path) -> None:
        pools = tuple(LivePool(f"pool-{index}", max_nodes=nodes) for index in range(4))
        config = LiveConfig(pools)
        self.clock, metrics, wake = ManualClock(START + 1000.0), Metrics(), Wake()
        observer = Observer(config, self.clock, metrics, wake)
        self.store = observer.store
        header = Header(config.codec, fingerprint(config.codec), "reactive", True, config)
        recorder = LogRecorder(ObjectRef("Lease", "x", "kube-system"))
        self.audit = AuditWriter(audit, header)
        decider = make_decider("reactive", config.codec)
        health = Health(600.0)
        actor = DryRun(config, {})
        self.loop = Loop(config, self.clock, observer, decider, actor, metrics, recorder, health, wake, self.audit)
        self.store.replace(Resource.NODES, through_json(node(index) for index in range(nodes)))
        self.store.replace(Resource.JOBS, through_json(jobs((pods_ - 2 * nodes) // 8)))
        self.store.replace(Resource.PODS, through_json(pods(nodes, pods_)))
        self._nodes, self._next = nodes, 0

    def churn(self) -> float:
        """Let some pods end and others come; return the processor time that took the store."""
        events = []
        for _ in range(CHURN_PODS):
            where = f"gpu-node-{self._next % self._nodes:05}"
            events.append(("DELETED", pod(f"train-{self._next}", "job-0", "Job", where, {"cpu": "4", GPU: "1"})))
            events.append(("ADDED", pod(f"new-{self._next}", "job-0", "Job", where, {"cpu": "4", GPU: "1"})))
            self._next += 1
        texts = [(kind, json.dumps(item)) for kind, item in events]
        began = time.process_time()
        for kind, text in texts:
            self.store.apply(Resource.PODS, kind, json.loads(text))
        return time.process_time() - began

    def reconcile(self) -> float:
        """One pass, ten seconds after the last; return its processor time."""
        self.clock.seconds += 10.0
        began = time.process_time()
        self.loop.reconcile()
        return time.process_time() - began


def peak_mib() -> float:
    """The most memory that this process has had, in MiB."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 1024 if sys.platform != "darwin" else kib / 1024**2


def main() -> None:
    """Print the table."""
    options = parser(__doc__, repeats=50)
    options.add_argument("--nodes", type=int, default=2000, help="nodes (default %(default)s)")
    options.add_argument("--pods", type=int, default=20_000, help="pods (default %(default)s)")
    arguments = parse(options, nodes=100, pods=1000)
    logging.disable(logging.CRITICAL)
    tune_collector()
    import_module("kubernetes.client")  # a process that watches a cluster has it in memory
    imported = peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        world = World(arguments.nodes, arguments.pods, Path(folder) / "audit.jsonl")
        listed, listed_mib = time.process_time() - began, peak_mib()
        first = world.reconcile()
        events, passes = [], []
        for number in range(arguments.repeats):
            events.append(world.churn())
            passes.append(world.reconcile())
            tell(f"reconcile {number + 1} of {arguments.repeats}: {passes[-1]:.3f} s")
        world.audit.close()
    rows = [
        ("first lists, with the making of their text", f"{listed:.2f} s"),
        ("first reconcile", f"{first:.3f} s"),
        ("reconcile, p50", f"{np.percentile(passes, 50):.3f} s"),
        ("reconcile, p99", f"{np.percentile(passes, 99):.3f} s"),
        (f"{2 * CHURN_PODS} events of pods, p50", f"{np.percentile(events, 50):.3f} s"),
        ("memory after the imports", f"{imported:.0f} MiB"),
        ("most memory, lists", f"{listed_mib:.0f} MiB"),
        ("most memory", f"{peak_mib():.0f} MiB"),
    ]
    print(f"{arguments.nodes:,} nodes, {arguments.pods:,} pods, audit on; processor time")
    for name, value in rows:
        print(f"{name:<46} {value:>12}")
    if arguments.json is not None:
        document = {"nodes": arguments.nodes, "pods": arguments.pods, "reconcile_seconds": passes}
        more = {"first_seconds": first, "event_seconds": events, "peak_mib": peak_mib(), "imported_mib": imported}
        arguments.json.write_text(json.dumps({**document, **more}, indent=2) + "\n")


if __name__ == "__main__":
    main()
