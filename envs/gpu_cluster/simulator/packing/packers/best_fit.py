"""The busy node with the least left over, else an idle node."""

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.bits import lowest_node
from envs.gpu_cluster.simulator.packing.gpus import plain_tightest
from envs.gpu_cluster.simulator.packing.packer import Counted, Packer, Reference
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod
from envs.gpu_cluster.simulator.state import Cluster, Table


def best_fit(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """The least CPU and GPU left over, each as a share of the largest node's. Source: ATC 2023, section 6.1."""
    cpu = nodes.node[node, ns.FREE_CPU] - pod[ns.CPU]
    milli = nodes.node[node, ns.FREE_MILLI] - pod[ns.NUM_GPUS] * pod[ns.MILLI]
    return cpu * tables.most[1] + milli * tables.most[0]


best_fit_compiled = helper(best_fit)


def fullest_node(cluster: Cluster, pools: Table, pool: int, gpus: int) -> int:
    """The busy node with the fewest free GPUs that suffice, -1: none."""
    for free in range(gpus, pools[pool, st.GPUS]):
        if cluster.pool[pool, st.FREE_COUNT + free] > 0:
            return lowest_node(cluster, pools, pool, free)
    return -1


def plain_best_fit(cluster: PlainCluster, node: PlainNode, pod: PlainPod, _: int) -> int:
    """`best_fit`, in plain Python."""
    left = node.milli - pod.gpus * pod.milli
    return (node.cpu - pod.cpu) * cluster.most_milli + left * cluster.most_cpu


PACKER = Packer(
    best_fit,
    reference=Reference(plain_best_fit, plain_tightest),
    counted=Counted(fullest_node, key=lambda free, number: (free, number)),
)
