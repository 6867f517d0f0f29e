"""Jobs that are moved so that nodes become empty."""

from __future__ import annotations

from envs.codec import BusyNode, consolidation_plan
from envs.simulator.reference.nodes import become_idle
from envs.simulator.reference.objects import Node, Running
from envs.simulator.reference.state import State
from envs.simulator.reference.work import delay, pull_ms


def parts_on(c: State, node: Node) -> list[tuple[Running, int]]:
    """Jobs with some GPUs of a node, the largest part first."""
    parts = [(run, gpus) for run in c.running for other, gpus in run.parts if other is node]
    return sorted(parts, key=lambda part: (-part[1], part[0].job.number))


def busy_nodes(c: State, pool: int) -> tuple[list[Node], list[BusyNode]]:
    """The busy nodes of a pool, and what the rule of `envs.codec` must know of each."""
    shared = [share.node for share in c.shares]
    nodes = [node for node in c.of_pool(pool) if node.is_busy]
    known = []
    for node in nodes:
        parts = parts_on(c, node)
        is_movable = node not in shared and all(run.job.checkpoint > 0 for run, _ in parts)
        known.append(BusyNode(node.free, tuple(gpus for _, gpus in parts), is_movable))
    return nodes, known


def consolidate(c: State, pool: int, choice: str) -> None:
    """Empty the emptiest node, or all that can be emptied."""
    nodes, known = busy_nodes(c, pool)
    plan = consolidation_plan(known, only_one=choice == "one")
    for place, targets in plan:
        node = nodes[place]
        for (run, gpus), target in zip(parts_on(c, node), targets, strict=True):
            run.parts[run.parts.index((node, gpus))] = (nodes[target], gpus)
            nodes[target].free -= gpus
            delay(c, run, c.problem.settings.move_ms + pull_ms(c, [nodes[target]], run.job))
            c.totals[pool].moves += 1
        become_idle(c, node)
    if plan:
        c.consolidated[pool] = c.now
