"""GPUs that are shared already, then free ones of nodes in use, then nodes not in use. Source: ATC 2023."""

# ruff: noqa: ARG001 (all packers take the same arguments)

from __future__ import annotations

from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.gpus import plain_tightest
from envs.gpu_cluster.simulator.packing.packer import Packer, Reference
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod

WHOLE_COST = 1024  # above the free thousandths of a GPU


def gpu_packing(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """First GPUs that are shared already, then free ones of nodes in use, then nodes not in use. Source: ATC 2023."""
    if pod[ns.NUM_GPUS] == 0:
        return 0
    whole, gpus = nodes.node[node, ns.WHOLE], nodes.node[node, ns.GPUS]
    if whole == gpus:
        return 2 * WHOLE_COST + gpus
    if pod[ns.MILLI] == 1000:
        return WHOLE_COST
    least = WHOLE_COST
    for gpu in range(gpus):
        if pod[ns.MILLI] <= nodes.gpu[node, gpu] < 1000:
            least = min(least, nodes.gpu[node, gpu])
    return least


def plain_gpu_packing(_: PlainCluster, node: PlainNode, pod: PlainPod, __: int) -> tuple[int, int]:
    """`gpu_packing`, in plain Python."""
    if pod.gpus == 0:
        return 0, 0
    if all(milli == 1000 for milli in node.gpus):
        return 2, len(node.gpus)
    shared = [node.gpus[gpu] for gpu in node.fitting(pod) if node.gpus[gpu] < 1000]
    return (0, min(shared)) if shared else (1, 0)


PACKER = Packer(gpu_packing, reference=Reference(plain_gpu_packing, plain_tightest))
