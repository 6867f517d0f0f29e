"""The fewest linked blocks of GPUs, then the fewest GPUs left over in them, then best fit."""

# ruff: noqa: ARG001 (all packers take the same arguments)

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import BEST_FIT_BITS, Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.packer import Packer, Reference
from envs.gpu_cluster.simulator.packing.packers.best_fit import best_fit_compiled, plain_best_fit
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod


@helper
def free_in_block(nodes: Nodes, node: int, block: int, milli: int, taken: int) -> int:
    """GPUs of a linked block with `milli` free and without a bit in `taken`."""
    count = 0
    for gpu in range(block, min(block + nodes.node[node, ns.LINKED], nodes.node[node, ns.GPUS])):
        if nodes.gpu[node, gpu] >= milli and (taken >> gpu) & 1 == 0:
            count += 1
    return count


@helper
def aligned_gpus(nodes: Nodes, pod: Pod, node: int) -> tuple[int, int]:
    """The fewest linked blocks that hold a pod, and of these the fullest: what that costs, and the GPUs as bits."""
    gpus, linked, left = nodes.node[node, ns.GPUS], nodes.node[node, ns.LINKED], pod[ns.NUM_GPUS]
    bits, blocks, unused = 0, 0, 0
    while left > 0:
        # The tightest block that holds the rest; where none does, the one with the most free.
        chosen, chosen_free = -1, 0
        for block in range(0, gpus, linked):
            free = free_in_block(nodes, node, block, 1000, bits)
            if chosen < 0 or (left <= free < chosen_free) or (chosen_free < left and free > chosen_free):
                chosen, chosen_free = block, free
        blocks += 1
        unused += max(chosen_free - left, 0)
        for gpu in range(chosen, min(chosen + linked, gpus)):
            if left > 0 and nodes.gpu[node, gpu] == 1000 and (bits >> gpu) & 1 == 0:
                bits |= 1 << gpu
                left -= 1
    return 64 * (blocks - (pod[ns.NUM_GPUS] + linked - 1) // linked) + unused, bits


@helper
def aligned_share(nodes: Nodes, pod: Pod, node: int) -> tuple[int, int]:
    """The tightest shared GPU, else a whole one of the fullest block: what that costs, and the GPU as bits.

    The cost is 0 on a GPU that is shared already, else the whole GPUs that were free in its block.
    """
    least, chosen = 1000, -1
    for gpu in range(nodes.node[node, ns.GPUS]):
        if pod[ns.MILLI] <= nodes.gpu[node, gpu] < least:
            least, chosen = nodes.gpu[node, gpu], gpu
    if chosen >= 0:
        return 0, 1 << chosen
    least = 64
    for block in range(0, nodes.node[node, ns.GPUS], nodes.node[node, ns.LINKED]):
        free = free_in_block(nodes, node, block, 1000, 0)
        if 0 < free < least:
            least, chosen = free, block
    while nodes.gpu[node, chosen] < 1000:
        chosen += 1
    return least, 1 << chosen


def linked_gpus(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """The GPUs that the topology-aware packer takes."""
    if pod[ns.MILLI] == 1000:
        return aligned_gpus(nodes, pod, node)[1]
    return 0 if pod[ns.NUM_GPUS] == 0 else aligned_share(nodes, pod, node)[1]


def topology_aware(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """The fewest linked blocks of GPUs, then the fewest GPUs left over in them, then best fit."""
    if pod[ns.MILLI] == 1000:
        cost = aligned_gpus(nodes, pod, node)[0]
    else:
        cost = 0 if pod[ns.NUM_GPUS] == 0 else aligned_share(nodes, pod, node)[0]
    return (cost << BEST_FIT_BITS) + best_fit_compiled(nodes, tables, pod, node)


def plain_aligned(node: PlainNode, pod: PlainPod) -> tuple[int, tuple[int, ...]]:
    """The cost of the best linked blocks, and the GPUs."""
    free = [[gpu for gpu in block if node.gpus[gpu] == 1000] for block in node.blocks]
    if pod.gpus == 0:
        return 0, ()
    if pod.is_share:
        shared = [gpu for gpu in node.fitting(pod) if node.gpus[gpu] < 1000]
        if shared:
            return 0, (min(shared, key=lambda gpu: (node.gpus[gpu], gpu)),)
        fullest = min((block for block in free if block), key=lambda block: (len(block), block))
        return len(fullest), (fullest[0],)
    chosen: list[int] = []
    blocks = unused = 0
    while len(chosen) < pod.gpus:
        left = pod.gpus - len(chosen)
        holding = [block for block in free if len(block) >= left]
        block = min(holding, key=len) if holding else max(free, key=len)
        chosen += block[:left]
        unused += max(len(block) - left, 0)
        blocks += 1
        free.remove(block)
    fewest = -(-pod.gpus // node.linked)
    return 64 * (blocks - fewest) + unused, tuple(sorted(chosen))


def plain_linked(_: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    """`linked_gpus`, in plain Python."""
    return plain_aligned(node, pod)[1]


def plain_topology_aware(cluster: PlainCluster, node: PlainNode, pod: PlainPod, number: int) -> tuple[int, int]:
    """`topology_aware`, in plain Python."""
    return plain_aligned(node, pod)[0], plain_best_fit(cluster, node, pod, number)


PACKER = Packer(topology_aware, linked_gpus, reference=Reference(plain_topology_aware, plain_linked))
