"""Any node that it fits on, and any GPU that fits."""

# ruff: noqa: ARG001 (all packers take the same arguments)

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.gpus import lowest_gpus_compiled, plain_lowest
from envs.gpu_cluster.simulator.packing.packer import Packer, Reference
from envs.gpu_cluster.simulator.packing.packers.first_fit import first_fit
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod


@helper
def pseudo_random(number: int, place: int) -> int:
    """A number below 2**32 that looks random, and is always the same for a pod and a place."""
    mixed = (number * 0x9E3779B1 + place * 0x85EBCA77) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 12)) * 0x297A2D39) & 0xFFFFFFFF
    return mixed ^ (mixed >> 15)


def any_node(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """A random number for each node."""
    return pseudo_random(pod[ns.NUMBER], node + 64)


def random_gpus(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """For a share any GPU that fits."""
    if pod[ns.NUM_GPUS] != 1 or pod[ns.MILLI] == 1000:
        return lowest_gpus_compiled(nodes, tables, pod, node)
    least, chosen = 1 << 32, -1
    for gpu in range(nodes.node[node, ns.GPUS]):
        if nodes.gpu[node, gpu] >= pod[ns.MILLI] and pseudo_random(pod[ns.NUMBER], gpu) < least:
            least, chosen = pseudo_random(pod[ns.NUMBER], gpu), gpu
    return 1 << chosen


def plain_random_fit(_: PlainCluster, __: PlainNode, pod: PlainPod, number: int) -> int:
    """`any_node`, in plain Python."""
    return int(pseudo_random(pod.number, number + 64))


def plain_random(cluster: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    """`random_gpus`, in plain Python."""
    if not pod.is_share:
        return plain_lowest(cluster, node, pod)
    return (min(node.fitting(pod), key=lambda gpu: (pseudo_random(pod.number, gpu), gpu)),)


PACKER = Packer(first_fit, random_gpus, per_pod=any_node, reference=Reference(plain_random_fit, plain_random))
