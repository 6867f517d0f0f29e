"""Which nodes a consolidation empties, and where the parts of jobs on them go: the rule itself, in plain Python.

The live loop and the simulator's plain twin call it; the compiled kernels do the same on their own tables, and the
property tests of the twins show that they agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class BusyNode(NamedTuple):
    """A node of a pool that is on and runs something.

    Attributes:
        free_gpus: GPUs that are neither used nor shared.
        parts: GPUs of each part of a job on it, the largest first.
        is_movable: whether all that runs on it may be moved.
    """

    free_gpus: int
    parts: tuple[int, ...]
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
    places = [place for place, node in enumerate(nodes) if node.is_movable and node.free_gpus > 0]
    return sorted(places, key=lambda place: -nodes[place].free_gpus)


def find_targets(nodes: Sequence[BusyNode], room: dict[int, int], place: int) -> tuple[int, ...] | None:
    """Where the parts of a node would go: each to the node where the least room suffices, the first of equals.

    Args:
        nodes: the busy nodes of a pool.
        room: free GPUs of those that are still busy, by place; not changed.
        place: of the node.

    Returns:
        A target for each part, None if one finds no room.
    """
    left = {other: free for other, free in room.items() if other != place}
    targets = []
    for gpus in nodes[place].parts:
        target = min((other for other in left if left[other] >= gpus), key=lambda other: left[other], default=None)
        if target is None:
            return None
        left[target] -= gpus
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
    room = {place: node.free_gpus for place, node in enumerate(nodes)}
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
        for gpus, target in zip(nodes[place].parts, targets, strict=True):
            room[target] -= gpus
        del room[place]
    return plan
