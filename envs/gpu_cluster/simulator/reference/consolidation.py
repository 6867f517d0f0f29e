"""Jobs that are moved so that nodes become empty."""

from __future__ import annotations

from envs.gpu_cluster.codec import BusyNode, NodePart, consolidation_plan
from envs.gpu_cluster.simulator.reference.nodes import become_idle
from envs.gpu_cluster.simulator.reference.objects import Node, Running
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.reference.work import delay, pull_ms


def parts_on(state: State, node: Node) -> list[tuple[Running, int]]:
    """Jobs with some GPUs of a node, the largest part first."""
    parts = [(run, gpus) for run in state.running for other, gpus in run.parts if other is node]
    return sorted(parts, key=lambda part: (-part[1], part[0].job.number))


def part_of(state: State, run: Running, node: Node, gpus: int) -> NodePart:
    """What a job has of a node, of which it has some GPUs."""
    if state.detail is None:
        return NodePart(gpus)
    pod = run.placed[run.parts.index((node, gpus))].pod
    return NodePart(gpus, pod.cpu, pod.memory)


def free_of(state: State, node: Node) -> NodePart:
    """What is free on a busy node."""
    if state.detail is None:
        return NodePart(node.free)
    plain = state.detail.cluster.nodes[state.detail.number(node.pool, node.number)]
    return NodePart(node.free, plain.cpu, plain.memory)


def busy_nodes(state: State, pool: int) -> tuple[list[Node], list[BusyNode]]:
    """The busy nodes of a pool, and what the rule of `envs.gpu_cluster.codec` must know of each."""
    shared = [share.node for share in state.shares]
    nodes = [node for node in state.of_pool(pool) if node.is_busy]
    known = []
    for node in nodes:
        parts = parts_on(state, node)
        is_movable = node not in shared and all(run.job.is_movable for run, _ in parts)
        parts_there = tuple(part_of(state, run, node, gpus) for run, gpus in parts)
        known.append(BusyNode(free_of(state, node), parts_there, is_movable))
    return nodes, known


def move(state: State, run: Running, gpus: int, node: Node, target: Node) -> None:
    """Let a job have its part of a node on another one; on detailed nodes on the GPUs that the packer takes there."""
    index = run.parts.index((node, gpus))
    run.parts[index] = (target, gpus)
    if state.detail is not None:
        state.detail.end(run.placed[index])
        run.placed[index] = state.detail.start(run.placed[index].pod, state.detail.number(target.pool, target.number))
    target.free -= gpus
    delay(state, run, state.problem.settings.move_ms + pull_ms(state, [target], run.job))
    state.totals[target.pool].moves += 1


def consolidate(state: State, pool: int, choice: str) -> None:
    """Empty the emptiest node, or all that can be emptied."""
    nodes, known = busy_nodes(state, pool)
    plan = consolidation_plan(known, only_one=choice == "one")
    for place, targets in plan:
        node = nodes[place]
        for (run, gpus), target in zip(parts_on(state, node), targets, strict=True):
            move(state, run, gpus, node, nodes[target])
        become_idle(state, node)
    if plan:
        state.consolidated[pool] = state.now
