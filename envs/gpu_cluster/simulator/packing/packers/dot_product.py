"""The smallest dot product of what is free and what is requested. Source: baseline of ATC 2023, section 6.1."""

from __future__ import annotations

from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.gpus import plain_tightest
from envs.gpu_cluster.simulator.packing.packer import Packer, Reference
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod


def dot_product(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """The smallest product of what is free and what is requested, as in the paper's baseline. Source: ATC 2023."""
    cpu = nodes.node[node, ns.FREE_CPU] * pod[ns.CPU] // tables.most[0]
    milli = nodes.node[node, ns.FREE_MILLI] * pod[ns.NUM_GPUS] * pod[ns.MILLI] // tables.most[1]
    return cpu * tables.most[1] + milli * tables.most[0]


def plain_dot_product(cluster: PlainCluster, node: PlainNode, pod: PlainPod, _: int) -> int:
    """`dot_product`, in plain Python."""
    cpu = node.cpu * pod.cpu // cluster.most_cpu
    milli = node.milli * pod.gpus * pod.milli // cluster.most_milli
    return cpu * cluster.most_milli + milli * cluster.most_cpu


PACKER = Packer(dot_product, reference=Reference(plain_dot_product, plain_tightest))
