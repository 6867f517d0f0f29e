"""The packers of heterogeneous nodes: a function each that gives a node a key; the lowest key, then node, is chosen.

A custom packer is a function ``score(nodes, tables, pod, node) -> int`` and one line at run time, wherever the
program is; nothing else is compiled anew:

    PACKERS["emptiest"] = Packer(lambda nodes, tables, pod, node: -nodes.node[node, FREE_MILLI])

It is called for nodes that have room only, is compiled, and must use integers: keys below `INFEASIBLE`, the smaller the
better. To add one to the package, write it here with a line in `BUILT_IN`.
"""

# ruff: noqa: ARG001 (all packers take the same arguments)

from __future__ import annotations

import inspect
from collections import UserDict
from collections.abc import Callable
from typing import Any, NamedTuple

from envs.compiled.compiler import helper
from envs.errors import PackingError
from envs.gpu_cluster.config import OWN_PACKERS
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import BEST_FIT_BITS, Nodes, Pod, Tables, kind_of
from envs.gpu_cluster.simulator.packing.fragmentation import usable_after

Score = Callable[[Nodes, Tables, Pod, int], int]
"""The key of a node for a pod, or the GPUs of a node for a pod as bits."""

FGD_STEP_MILLI = 40
WHOLE_COST = 1024  # above the free thousandths of a GPU


def lowest_gpus(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The GPUs with the lowest numbers that fit."""
    bits, left = 0, pod[ns.NUM_GPUS]
    for gpu in range(n.node[node, ns.GPUS]):
        if left > 0 and n.gpu[node, gpu] >= pod[ns.MILLI]:
            bits |= 1 << gpu
            left -= 1
    return bits


lowest_gpus_compiled = helper(lowest_gpus)


def tightest_gpus(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """For a share the GPU with the least room that fits."""
    if pod[ns.NUM_GPUS] != 1 or pod[ns.MILLI] == 1000:
        return lowest_gpus_compiled(n, f, pod, node)
    least, chosen = 1001, -1
    for gpu in range(n.node[node, ns.GPUS]):
        if pod[ns.MILLI] <= n.gpu[node, gpu] < least:
            least, chosen = n.gpu[node, gpu], gpu
    return 1 << chosen


def loosest_gpus(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """For a share the GPU with the most room."""
    if pod[ns.NUM_GPUS] != 1 or pod[ns.MILLI] == 1000:
        return lowest_gpus_compiled(n, f, pod, node)
    most, chosen = -1, -1
    for gpu in range(n.node[node, ns.GPUS]):
        if n.gpu[node, gpu] > most:
            most, chosen = n.gpu[node, gpu], gpu
    return 1 << chosen


@helper
def lot(number: int, place: int) -> int:
    """A number below 2**32 that looks random: the same pod draws the same lot for the same place."""
    mixed = (number * 0x9E3779B1 + place * 0x85EBCA77) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 12)) * 0x297A2D39) & 0xFFFFFFFF
    return mixed ^ (mixed >> 15)


def random_gpus(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """For a share any GPU that fits."""
    if pod[ns.NUM_GPUS] != 1 or pod[ns.MILLI] == 1000:
        return lowest_gpus_compiled(n, f, pod, node)
    least, chosen = 1 << 32, -1
    for gpu in range(n.node[node, ns.GPUS]):
        if n.gpu[node, gpu] >= pod[ns.MILLI] and lot(pod[ns.NUMBER], gpu) < least:
            least, chosen = lot(pod[ns.NUMBER], gpu), gpu
    return 1 << chosen


def unfragmenting_gpus(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """For a share the GPU that fragmentation gradient descent takes."""
    if pod[ns.NUM_GPUS] != 1 or pod[ns.MILLI] == 1000:
        return lowest_gpus_compiled(n, f, pod, node)
    return 1 << usable_after(n, f, pod, node)[1]


@helper
def free_in_block(n: Nodes, node: int, block: int, milli: int, taken: int) -> int:
    """GPUs of a linked block with `milli` free and without a bit in `taken`."""
    count = 0
    for gpu in range(block, min(block + n.node[node, ns.LINKED], n.node[node, ns.GPUS])):
        if n.gpu[node, gpu] >= milli and (taken >> gpu) & 1 == 0:
            count += 1
    return count


@helper
def aligned_gpus(n: Nodes, pod: Pod, node: int) -> tuple[int, int]:
    """The fewest linked blocks that hold a pod, and of these the fullest: what that costs, and the GPUs as bits."""
    gpus, linked, left = n.node[node, ns.GPUS], n.node[node, ns.LINKED], pod[ns.NUM_GPUS]
    bits, blocks, unused = 0, 0, 0
    while left > 0:
        # The tightest block that holds the rest; where none does, the one with the most free.
        chosen, chosen_free = -1, 0
        for block in range(0, gpus, linked):
            free = free_in_block(n, node, block, 1000, bits)
            if chosen < 0 or (left <= free < chosen_free) or (chosen_free < left and free > chosen_free):
                chosen, chosen_free = block, free
        blocks += 1
        unused += max(chosen_free - left, 0)
        for gpu in range(chosen, min(chosen + linked, gpus)):
            if left > 0 and n.gpu[node, gpu] == 1000 and (bits >> gpu) & 1 == 0:
                bits |= 1 << gpu
                left -= 1
    return 64 * (blocks - (pod[ns.NUM_GPUS] + linked - 1) // linked) + unused, bits


@helper
def aligned_share(n: Nodes, pod: Pod, node: int) -> tuple[int, int]:
    """The shared GPU with the least room, else a whole one of the fullest block: what that costs, and the GPU as bits.

    The cost is 0 on a GPU that is shared already, else the whole GPUs that were free in its block.
    """
    least, chosen = 1000, -1
    for gpu in range(n.node[node, ns.GPUS]):
        if pod[ns.MILLI] <= n.gpu[node, gpu] < least:
            least, chosen = n.gpu[node, gpu], gpu
    if chosen >= 0:
        return 0, 1 << chosen
    least = 64
    for block in range(0, n.node[node, ns.GPUS], n.node[node, ns.LINKED]):
        free = free_in_block(n, node, block, 1000, 0)
        if 0 < free < least:
            least, chosen = free, block
    while n.gpu[node, chosen] < 1000:
        chosen += 1
    return least, 1 << chosen


def linked_gpus(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The GPUs that the topology-aware packer takes."""
    if pod[ns.MILLI] == 1000:
        return aligned_gpus(n, pod, node)[1]
    return 0 if pod[ns.NUM_GPUS] == 0 else aligned_share(n, pod, node)[1]


def first_fit(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The first node with room."""
    return 0


def best_fit(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The least CPU and GPU left over, each as a share of the largest node's. Source: ATC 2023, section 6.1."""
    cpu = n.node[node, ns.FREE_CPU] - pod[ns.CPU]
    milli = n.node[node, ns.FREE_MILLI] - pod[ns.NUM_GPUS] * pod[ns.MILLI]
    return cpu * f.most[1] + milli * f.most[0]


best_fit_compiled = helper(best_fit)


def worst_fit(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The most CPU and GPU left over."""
    return -best_fit_compiled(n, f, pod, node)


def any_node(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """A lot for each node."""
    return lot(pod[ns.NUMBER], node + 64)


def dot_product(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The smallest product of what is free and what is asked, as in the paper's baseline. Source: ATC 2023."""
    cpu = n.node[node, ns.FREE_CPU] * pod[ns.CPU] // f.most[0]
    milli = n.node[node, ns.FREE_MILLI] * pod[ns.NUM_GPUS] * pod[ns.MILLI] // f.most[1]
    return cpu * f.most[1] + milli * f.most[0]


def gpu_packing(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """First GPUs that are shared already, then free ones of nodes in use, then nodes not in use. Source: ATC 2023."""
    if pod[ns.NUM_GPUS] == 0:
        return 0
    whole, gpus = n.node[node, ns.WHOLE], n.node[node, ns.GPUS]
    if whole == gpus:
        return 2 * WHOLE_COST + gpus
    if pod[ns.MILLI] == 1000:
        return WHOLE_COST
    least = WHOLE_COST
    for gpu in range(gpus):
        if pod[ns.MILLI] <= n.gpu[node, gpu] < 1000:
            least = min(least, n.gpu[node, gpu])
    return least


def gpu_clustering(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """Pods that ask alike together: nodes with this kind only, this kind too, none, others only. Source: ATC 2023."""
    kind, kinds = kind_of(pod), n.node[node, ns.KINDS]
    if kind < 0:
        return 0
    present = n.kind[node, kind] > 0
    tier = (0 if kinds == 1 else 1) if present else (2 if kinds == 0 else 3)
    return tier * (f.most[1] + 1) + n.node[node, ns.FREE_MILLI]


def fgd(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The least growth of fragmentation in steps of 1/25 GPU, then best fit.

    The steps are those of the authors' scheduler, which scores with 100 times the sigmoid of the growth in GPUs,
    rounded down: at most 25 points per GPU. Without them (`fgd-exact`), thousandths decide against a tighter node.
    Source: Weng et al., "Beware of Fragmentation" (ATC 2023); github.com/hkust-adsl/kubernetes-scheduler-simulator.
    """
    lost = n.node[node, ns.USABLE] - usable_after(n, f, pod, node)[0]
    return (lost // (FGD_STEP_MILLI * f.most[2]) << BEST_FIT_BITS) + best_fit_compiled(n, f, pod, node)


def fgd_exact(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The least growth of fragmentation. Source: Weng et al., "Beware of Fragmentation" (ATC 2023), algorithm 1."""
    return n.node[node, ns.USABLE] - usable_after(n, f, pod, node)[0]


def later_end(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """By how much a node's latest predicted end moves, in powers of two, before what else counts.

    Source: LAVA (Ling et al., MLSys 2025), of which this is the variant without repredictions.
    """
    later = max(pod[ns.END] - n.node[node, ns.LATEST_END], 0)
    steps = 1 if later > 0 else 0
    for bits in (32, 16, 8, 4, 2, 1):
        if later >> bits:
            later >>= bits
            steps += bits
    return steps << BEST_FIT_BITS


def topology_aware(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The fewest linked blocks of GPUs, then the fewest GPUs left over in them, then best fit."""
    if pod[ns.MILLI] == 1000:
        cost = aligned_gpus(n, pod, node)[0]
    else:
        cost = 0 if pod[ns.NUM_GPUS] == 0 else aligned_share(n, pod, node)[0]
    return (cost << BEST_FIT_BITS) + best_fit_compiled(n, f, pod, node)


class Packer(NamedTuple):
    """How one packer chooses.

    Attributes:
        score: the key of a node. It may depend on what the pod asks (the columns before END), for keys are kept for
            each shape.
        gpus: the GPUs of the chosen node, as bits.
        per_pod: what is added to the key and may depend on END and NUMBER.
        compiled: whether numba compiles the functions; plain ones may be any Python, and are many times slower.
        idle_first: whether a job gets an idle node rather than room on a busy one.
    """

    score: Score
    gpus: Score = tightest_gpus
    per_pod: Score | None = None
    compiled: bool = True
    idle_first: bool = False


BUILT_IN: dict[str, Packer] = {
    "first-fit": Packer(first_fit, lowest_gpus),
    "best-fit": Packer(best_fit),
    "worst-fit": Packer(worst_fit, loosest_gpus, idle_first=True),
    "random-fit": Packer(first_fit, random_gpus, per_pod=any_node),
    "dot-product": Packer(dot_product),
    "gpu-packing": Packer(gpu_packing),
    "gpu-clustering": Packer(gpu_clustering),
    "fgd": Packer(fgd, unfragmenting_gpus),
    "fgd-exact": Packer(fgd_exact, unfragmenting_gpus),
    "lifetime-aware": Packer(best_fit, per_pod=later_end),
    "topology-aware": Packer(topology_aware, linked_gpus),
}
"""The packers of this package by name; kernels know them by their position."""

PACKER_NUMBERS = {name: number for number, name in enumerate(BUILT_IN)}


def plain_function(function: Any) -> Any:
    """A function as it was before numba compiled it."""
    return getattr(function, "py_func", function)


def _check(name: str, packer: Any) -> None:
    """Refuse what cannot be a custom packer.

    Raises:
        PackingError: that is why.
    """
    if name in BUILT_IN:
        raise PackingError(f"packer {name!r} is one of the package; choose another name")
    if not isinstance(packer, Packer):
        raise PackingError(f"packer {name!r} is a {type(packer).__name__}; write Packer(score)")
    for part in ("score", "gpus", "per_pod"):
        function = plain_function(getattr(packer, part))
        if function is None and part == "per_pod":
            continue
        if not callable(function):
            raise PackingError(f"packer {name!r}: {part} is {function!r}; it must be a function (n, tables, pod, node)")
        if packer.compiled and not inspect.isfunction(function):
            raise PackingError(
                f"packer {name!r}: {part} is a {type(function).__name__}, and numba compiles functions only; "
                "write Packer(..., compiled=False)"
            )


class Packers(UserDict[str, Packer]):
    """All packers by name: those of the package, and one's own, which a program may add and take away."""

    def __setitem__(self, name: str, packer: Packer) -> None:
        if BUILT_IN.get(name) is not packer:
            _check(name, packer)
            OWN_PACKERS.add(name)
        super().__setitem__(name, packer)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        OWN_PACKERS.discard(name)


PACKERS = Packers(BUILT_IN)
"""`PACKERS["name"] = Packer(score)` adds a custom packer; `EnvironmentConfig(packer="name")` chooses it."""
