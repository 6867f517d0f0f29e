"""Views of a small cluster, written in few words."""

import itertools

import numpy as np

from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.constraints import Toleration
from autoscaler.live.guardrail_config import GuardrailConfig
from autoscaler.live.model import ClusterView, GangState, GangView, OrderView, PoolView
from autoscaler.live.names import GATE_PLACEMENT, LABEL_POOL
from autoscaler.live.objects import NodeState, NodeView, ObjectRef, PdbView, PodView
from envs.gpu_cluster.codec import Decision

NOW = 100_000.0
GPU = "nvidia.com/gpu"
JOB = ObjectRef("Job", "j", "default", "job-uid", "batch/v1")
REPLICA_SET = ObjectRef("ReplicaSet", "web", "default", "rs-uid", "apps/v1")
DAEMON_SET = ObjectRef("DaemonSet", "plugin", "kube-system", "ds-uid", "apps/v1")


def pod(name="p", *, node="", gpus=0, namespace="default", owner=REPLICA_SET, cpu_milli=1000, **fields):
    """A pod; without a node it is pending."""
    requests = {"cpu": cpu_milli}
    if gpus:
        requests[GPU] = gpus * 1000
    fields.setdefault("phase", "Running" if node else "Pending")
    return PodView(
        name=name,
        namespace=namespace,
        uid=f"uid-{namespace}-{name}",
        node_name=node,
        owner=owner,
        gpu_milli=gpus * 1000,
        requests=requests,
        **fields,
    )


def node(name, pool="a", *, pods=(), idle_for=7200.0, gpus=8, state=None, **fields):
    """A ready node; idle when no pod on it uses GPUs."""
    used = sum(each.gpu_milli for each in pods)
    state = state or (NodeState.BUSY if used else NodeState.IDLE)
    idle = state is NodeState.IDLE
    fields.setdefault("labels", {LABEL_POOL: pool} if pool else {})
    fields.setdefault("created_seconds", NOW - 50_000.0)
    return NodeView(
        name=name,
        uid=f"uid-{name}",
        pool=pool,
        ready=fields.pop("ready", state in (NodeState.IDLE, NodeState.BUSY, NodeState.CORDONED)),
        allocatable_gpu_milli=gpus * 1000,
        allocatable={"cpu": 96_000, "pods": 110_000, **({GPU: gpus * 1000} if gpus else {})},
        state=state,
        idle_since_seconds=NOW - idle_for if idle else None,
        used_gpu_milli=used,
        pods=tuple(each.uid for each in pods),
        **fields,
    )


def spare(name="spare", **fields):
    """A node of no pool to which pods can move."""
    return node(name, None, gpus=0, state=NodeState.BOOTING, ready=True, **fields)


def booting(name, pool="a", *, age=60.0, **fields):
    """A node that is not ready, or has no GPUs, yet."""
    return node(name, pool, gpus=0, state=NodeState.BOOTING, created_seconds=NOW - age, **fields)


def unready(name, pool="a", **fields):
    """A node whose heartbeat stopped."""
    return node(name, pool, state=NodeState.UNREADY, **fields)


def gang(name, pods=1, gpus=8, *, missing=0, pools=("a", "b"), gated=True, members=None):
    """A gang whose pods wait at our gate."""
    gates = (GATE_PLACEMENT,) if gated else ()
    if members is None:
        members = tuple(pod(f"{name}-{index}", gpus=gpus, gates=gates, owner=JOB) for index in range(pods - missing))
    return GangView(
        key=f"gang-{name}",
        ref=ObjectRef("Job", name, "default", f"gang-{name}", "batch/v1"),
        state=GangState.QUEUED,
        submitted_seconds=NOW - 100.0,
        parallelism=pods,
        gpu_milli_per_pod=gpus * 1000,
        pending_gpu_milli=pods * gpus * 1000,
        missing_pods=missing,
        pods=members,
        allowed_pools=tuple(pools),
    )


def pdb(name="b", allowed=0, namespace="default", **labels):
    """A disruption budget over pods with these labels."""
    return PdbView(name=name, namespace=namespace, uid=f"uid-{name}", match_labels=labels, disruptions_allowed=allowed)


def order(name, pool="a", age=60.0):
    """An order that is no Node yet."""
    return OrderView(pool, name, NOW - age)


def view(nodes=(), *, queue=(), pods=(), orders=(), pools=("a", "b"), unmanaged=(), **fields):
    """A cluster with the pools a and b."""
    everything = itertools.chain(pods, *(each.pods for each in queue))
    return ClusterView(
        now_seconds=fields.pop("now", NOW),
        pools=tuple(
            PoolView(
                name=name,
                index=index,
                nodes=tuple(each for each in nodes if each.pool == name),
                orders=tuple(each for each in orders if each.pool == name),
            )
            for index, name in enumerate(pools)
        ),
        unmanaged_nodes=tuple(unmanaged),
        queue=tuple(queue),
        pods={each.uid: each for each in everything},
        **fields,
    )


def decision(a=0, b=0, placement=()):
    """Target nodes of the pools a and b; the pool of each slot, -1 to hold."""
    slots = np.full(8, -1, dtype=np.int64)
    slots[: len(placement)] = placement
    return decision_of(np.array([a, b, 0, 0], dtype=np.int64), slots)


def decision_of(target_nodes, placement):
    """A decision that does nothing else, whatever the codec can do besides."""
    given = {"target_nodes": target_nodes, "placement": placement}
    return Decision(*(given.get(name, np.zeros(len(target_nodes), np.int64)) for name in Decision._fields))


def config(*, a=None, b=None, **guardrails):
    """Pools a and b of 0 to 10 nodes with 8 GPUs; settings of the guardrails by section."""
    pools = (
        LivePool("a", **{"max_nodes": 10, **(a or {})}),
        LivePool("b", **{"max_nodes": 10, **(b or {})}),
    )
    return LiveConfig(pools, guardrails=GuardrailConfig(**guardrails))


TOLERATE_ALL = (Toleration(operator="Exists"),)
