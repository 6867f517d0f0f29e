"""The busy node with the lowest number that it fits on, else an idle node."""

# ruff: noqa: ARG001 (all packers take the same arguments)

from __future__ import annotations

from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.bits import lowest_node
from envs.gpu_cluster.simulator.packing.gpus import lowest_gpus, plain_lowest
from envs.gpu_cluster.simulator.packing.packer import Counted, Packer, Reference
from envs.gpu_cluster.simulator.state import Cluster, Table


def first_fit(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """The first node that it fits on."""
    return 0


def lowest_busy_node(cluster: Cluster, pools: Table, pool: int, gpus: int) -> int:
    """The busy node with the lowest number that has the GPUs free, -1: none."""
    chosen = -1
    for free in range(gpus, pools[pool, st.GPUS]):
        if cluster.pool[pool, st.FREE_COUNT + free] > 0:
            node = lowest_node(cluster, pools, pool, free)
            if chosen < 0 or node < chosen:
                chosen = node
    return chosen


def plain_first_fit(*_: object) -> int:
    """`first_fit`, in plain Python."""
    return 0


PACKER = Packer(
    first_fit,
    lowest_gpus,
    reference=Reference(plain_first_fit, plain_lowest),
    counted=Counted(lowest_busy_node, key=lambda _free, number: (number,)),
)
