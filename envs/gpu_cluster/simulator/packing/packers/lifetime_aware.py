"""The node whose latest predicted end moves least, then best fit. Source: LAVA (Ling et al., MLSys 2025)."""

# ruff: noqa: ARG001 (all packers take the same arguments)

from __future__ import annotations

from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import BEST_FIT_BITS, Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.gpus import plain_tightest
from envs.gpu_cluster.simulator.packing.packer import Packer, Reference
from envs.gpu_cluster.simulator.packing.packers.best_fit import best_fit, plain_best_fit
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod


def later_end(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """By how much a node's latest predicted end moves, in powers of two, before what else counts.

    Source: LAVA (Ling et al., MLSys 2025), of which this is the variant without repredictions.
    """
    later = max(pod[ns.END] - nodes.node[node, ns.LATEST_END], 0)
    steps = 1 if later > 0 else 0
    for bits in (32, 16, 8, 4, 2, 1):
        if later >> bits:
            later >>= bits
            steps += bits
    return steps << BEST_FIT_BITS


def plain_lifetime_aware(cluster: PlainCluster, node: PlainNode, pod: PlainPod, number: int) -> tuple[int, int]:
    """`best_fit` and `later_end`, in plain Python."""
    later = max(pod.end - node.latest_end, 0)
    return later.bit_length(), plain_best_fit(cluster, node, pod, number)


PACKER = Packer(best_fit, per_pod=later_end, reference=Reference(plain_lifetime_aware, plain_tightest))
