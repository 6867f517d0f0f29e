"""Choices of the GPUs of a node that several packers share, compiled and as plain Python that defines them."""

# ruff: noqa: ARG001 (all choices take the same arguments)

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod


def lowest_gpus(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """The GPUs with the lowest numbers that fit."""
    bits, left = 0, pod[ns.NUM_GPUS]
    for gpu in range(nodes.node[node, ns.GPUS]):
        if left > 0 and nodes.gpu[node, gpu] >= pod[ns.MILLI]:
            bits |= 1 << gpu
            left -= 1
    return bits


lowest_gpus_compiled = helper(lowest_gpus)


def tightest_gpus(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """For a share the GPU with the least free that it fits on."""
    if pod[ns.NUM_GPUS] != 1 or pod[ns.MILLI] == 1000:
        return lowest_gpus_compiled(nodes, tables, pod, node)
    least, chosen = 1001, -1
    for gpu in range(nodes.node[node, ns.GPUS]):
        if pod[ns.MILLI] <= nodes.gpu[node, gpu] < least:
            least, chosen = nodes.gpu[node, gpu], gpu
    return 1 << chosen


def loosest_gpus(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """For a share the GPU with the most free."""
    if pod[ns.NUM_GPUS] != 1 or pod[ns.MILLI] == 1000:
        return lowest_gpus_compiled(nodes, tables, pod, node)
    most, chosen = -1, -1
    for gpu in range(nodes.node[node, ns.GPUS]):
        if nodes.gpu[node, gpu] > most:
            most, chosen = nodes.gpu[node, gpu], gpu
    return 1 << chosen


def plain_lowest(_: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    """The GPUs with the lowest numbers that fit."""
    return tuple(node.fitting(pod)[: pod.gpus])


def plain_tightest(cluster: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    """For a share the GPU with the least free capacity that fits."""
    if not pod.is_share:
        return plain_lowest(cluster, node, pod)
    return (min(node.fitting(pod), key=lambda gpu: (node.gpus[gpu], gpu)),)


def plain_loosest(cluster: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    """For a share the GPU with the most free capacity."""
    if not pod.is_share:
        return plain_lowest(cluster, node, pod)
    return (min(node.fitting(pod), key=lambda gpu: (-node.gpus[gpu], gpu)),)
