"""Which nodes a consolidation empties, and where the parts of jobs on them go: the rule itself, in plain Python.

The live loop and the reference simulator call it. The compiled kernels do the same on their own tables, and property
tests show that both agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class NodePart(NamedTuple):
    """Part of a node: what a job has of it, or what is free. Where CPUs or memory do not count, requests of them are 0.

    Attributes:
        gpus: whole GPUs.
        cpu_milli: thousandths of a CPU.
        memory_mib: MiB of memory.
    """

    gpus: int
    cpu_milli: int = 0
    memory_mib: int = 0

    def holds(self, request: NodePart) -> bool:
        """Whether a request fits in this; what is not requested may be overdrawn."""
        return (
            request.gpus <= self.gpus
            and (request.cpu_milli <= self.cpu_milli or request.cpu_milli == 0)
            and (request.memory_mib <= self.memory_mib or request.memory_mib == 0)
        )

    def without(self, taken: NodePart) -> NodePart:
        """What is left when something is taken."""
        return NodePart(self.gpus - taken.gpus, self.cpu_milli - taken.cpu_milli, self.memory_mib - taken.memory_mib)


class BusyNode(NamedTuple):
    """A node of a pool that is on and runs something.

    Attributes:
        free: GPUs that are neither used nor shared, and the CPUs and memory that are left.
        parts: what each job has of it, the part with most GPUs first.
        is_movable: whether all that runs on it may be moved.
    """

    free: NodePart
    parts: tuple[NodePart, ...]
    is_movable: bool


class Emptying(NamedTuple):
    """A node that is emptied.

    Attributes:
        node: its place among the busy nodes.
        targets: the place of the node that each of its parts goes to.
    """

    node: int
    targets: tuple[int, ...]


def emptiable(nodes: Sequence[BusyNode]) -> list[int]:
    """Places of the partly free nodes from which everything may be moved, the emptiest first."""
    places = [place for place, node in enumerate(nodes) if node.is_movable and node.free.gpus > 0]
    return sorted(places, key=lambda place: -nodes[place].free.gpus)


def find_targets(nodes: Sequence[BusyNode], free: dict[int, NodePart], place: int) -> tuple[int, ...] | None:
    """Where the parts of a node would go: each to the node with the fewest free GPUs where it fits; ties to the first.

    Args:
        nodes: the busy nodes of a pool.
        free: what is free on those that are still busy, by place; not changed.
        place: of the node.

    Returns:
        A target for each part, None if one fits nowhere.
    """
    left = {other: part for other, part in free.items() if other != place}
    targets = []
    for part in nodes[place].parts:
        fitting = (other for other in left if left[other].holds(part))
        target = min(fitting, key=lambda other: left[other].gpus, default=None)
        if target is None:
            return None
        left[target] = left[target].without(part)
        targets.append(target)
    return tuple(targets)


def consolidation_plan(
    nodes: Sequence[BusyNode], only_one: bool, accept: Callable[[Emptying], bool] = lambda _: True
) -> list[Emptying]:
    """The nodes that are emptied, one after the other; a node that has received something is not emptied itself.

    Args:
        nodes: the busy nodes of a pool, in their order.
        only_one: whether the first that can be emptied is enough.
        accept: the last word about each; what is refused stays.
    """
    free = {place: node.free for place, node in enumerate(nodes)}
    received: set[int] = set()
    plan: list[Emptying] = []
    for place in emptiable(nodes):
        if only_one and plan:
            break
        targets = None if place in received else find_targets(nodes, free, place)
        if targets is None or not accept(Emptying(place, targets)):
            continue
        plan.append(Emptying(place, targets))
        received.update(targets)
        for part, target in zip(nodes[place].parts, targets, strict=True):
            free[target] = free[target].without(part)
        del free[place]
    return plan
