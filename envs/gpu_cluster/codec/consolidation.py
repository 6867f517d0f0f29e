"""Which nodes a consolidation empties, and where the parts of jobs on them go: the rule itself, in plain Python.

The live loop and the simulator's plain twin call it; the compiled kernels do the same on their own tables, and the
property tests of the twins show that they agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class NodePart(NamedTuple):
    """Some of a node: what a job has of it, or what is free. Where CPUs or memory do not count, nobody asks them.

    Attributes:
        gpus: whole GPUs.
        cpu_milli: thousandths of a CPU.
        memory_mib: MiB of memory.
    """

    gpus: int
    cpu_milli: int = 0
    memory_mib: int = 0

    def holds(self, asked: NodePart) -> bool:
        """Whether what is asked can be taken of this; what is not asked may be overdrawn."""
        return (
            asked.gpus <= self.gpus
            and (asked.cpu_milli <= self.cpu_milli or asked.cpu_milli == 0)
            and (asked.memory_mib <= self.memory_mib or asked.memory_mib == 0)
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


def find_targets(nodes: Sequence[BusyNode], room: dict[int, NodePart], place: int) -> tuple[int, ...] | None:
    """Where the parts of a node would go: each to the roomy one with the fewest free GPUs, the first of equals.

    Args:
        nodes: the busy nodes of a pool.
        room: what is free on those that are still busy, by place; not changed.
        place: of the node.

    Returns:
        A target for each part, None if one finds no room.
    """
    left = {other: free for other, free in room.items() if other != place}
    targets = []
    for part in nodes[place].parts:
        roomy = (other for other in left if left[other].holds(part))
        target = min(roomy, key=lambda other: left[other].gpus, default=None)
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
    room = {place: node.free for place, node in enumerate(nodes)}
    received: set[int] = set()
    plan: list[Emptying] = []
    for place in emptiable(nodes):
        if only_one and plan:
            break
        targets = None if place in received else find_targets(nodes, room, place)
        if targets is None or not accept(Emptying(place, targets)):
            continue
        plan.append(Emptying(place, targets))
        received.update(targets)
        for part, target in zip(nodes[place].parts, targets, strict=True):
            room[target] = room[target].without(part)
        del room[place]
    return plan
