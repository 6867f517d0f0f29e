"""An idle node, else the busy node with the most left over."""

from __future__ import annotations

from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.bits import lowest_node
from envs.gpu_cluster.simulator.packing.gpus import loosest_gpus, plain_loosest
from envs.gpu_cluster.simulator.packing.packer import Counted, Packer, Reference
from envs.gpu_cluster.simulator.packing.packers.best_fit import best_fit_compiled, plain_best_fit
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod
from envs.gpu_cluster.simulator.state import Cluster, Table


def worst_fit(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """The most CPU and GPU left over."""
    return -best_fit_compiled(nodes, tables, pod, node)


def emptiest_node(cluster: Cluster, pools: Table, pool: int, gpus: int) -> int:
    """The busy node with the most free GPUs, if they suffice, -1: none."""
    for step in range(pools[pool, st.GPUS] - gpus):
        free = pools[pool, st.GPUS] - 1 - step
        if cluster.pool[pool, st.FREE_COUNT + free] > 0:
            return lowest_node(cluster, pools, pool, free)
    return -1


def plain_worst_fit(cluster: PlainCluster, node: PlainNode, pod: PlainPod, number: int) -> int:
    """`worst_fit`, in plain Python."""
    return -plain_best_fit(cluster, node, pod, number)


PACKER = Packer(
    worst_fit,
    loosest_gpus,
    idle_first=True,
    reference=Reference(plain_worst_fit, plain_loosest),
    counted=Counted(emptiest_node, key=lambda free, number: (-free, number)),
)
