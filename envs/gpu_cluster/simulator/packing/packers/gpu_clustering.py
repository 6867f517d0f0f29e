"""Pods with equal requests together. Source: ATC 2023."""

from __future__ import annotations

from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables, kind_of
from envs.gpu_cluster.simulator.packing.gpus import plain_tightest
from envs.gpu_cluster.simulator.packing.packer import Packer, Reference
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod


def gpu_clustering(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """Like pods together: nodes with this kind only, this kind too, none, others only. Source: ATC 2023."""
    kind, kinds = kind_of(pod), nodes.node[node, ns.KINDS]
    if kind < 0:
        return 0
    present = nodes.kind[node, kind] > 0
    tier = (0 if kinds == 1 else 1) if present else (2 if kinds == 0 else 3)
    return tier * (tables.most[1] + 1) + nodes.node[node, ns.FREE_MILLI]


def plain_gpu_clustering(_: PlainCluster, node: PlainNode, pod: PlainPod, __: int) -> tuple[int, int]:
    """`gpu_clustering`, in plain Python."""
    if pod.gpus == 0:
        return 0, 0
    kinds = {(other.gpus, other.is_share) for other in node.pods if other.gpus}
    mine = (pod.gpus, pod.is_share)
    tier = (0 if kinds == {mine} else 1) if mine in kinds else (3 if kinds else 2)
    return tier, node.milli


PACKER = Packer(gpu_clustering, reference=Reference(plain_gpu_clustering, plain_tightest))
