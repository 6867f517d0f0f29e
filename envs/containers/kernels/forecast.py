"""What a node has free and when, by what ends, starts and is promised on it. Compiled.

Only where requests are admitted by the minimum share: the end of everything is known then, as each container has one
request, whose run time is known (an iteration takes as long as the one before). Idle containers count as free, for they
are evicted.
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.containers import state as st
from envs.containers.kernels.layers import ready_ms, start_base
from envs.containers.state import Problem, World


@helper
def end_of_hold(world: World, slot: int) -> int:
    """Until when a container holds what it has; at least until now is over, for what ends now has not ended yet."""
    row = world.container[slot]
    is_free = row[st.STATE] == st.STARTED and row[st.BOUND] < 0
    return max(row[st.READY_MS] if is_free else row[st.ENDS_MS], world.clock[st.NOW] + 1)


@helper
def holds_at(world: World, slot: int, node: int, time: int) -> bool:
    """Whether a container, or one that is promised, holds a part of a node at a moment that is not before now."""
    row = world.container[slot]
    if row[st.STATE] == st.ABSENT or row[st.STATE] == st.WARM or row[st.NODE] != node:
        return False
    return time < end_of_hold(world, slot) and (row[st.STATE] != st.PROMISED or row[st.READY_MS] <= time)


@rare
def is_full_at(problem: Problem, world: World, function: int, node: int, time: int, but: int) -> bool:
    """Whether a container of a function does not fit on a node at a moment, if one slot is left out."""
    wanted, about = problem.function[function], problem.node[node]
    memory, cpu, gpu = wanted[st.MEMORY], wanted[st.CPU], wanted[st.GPU]
    for slot in range(world.clock[st.SLOTS]):
        if slot != but and holds_at(world, slot, node, time):
            row = problem.function[world.container[slot, st.KEY] // problem.place.shape[0]]
            memory, cpu, gpu = memory + row[st.MEMORY], cpu + row[st.CPU], gpu + row[st.GPU]
    return memory > about[st.NODE_MEMORY] or cpu > about[st.NODE_CPU] or gpu > about[st.NODE_GPU]


@rare
def first_conflict(problem: Problem, world: World, function: int, node: int, begin: int, end: int, but: int) -> int:
    """A moment from `begin` on and before `end` at which a container does not fit on a node; -1: it fits all along.

    What is held only grows where something that is promised begins, so these moments are looked at.
    """
    if is_full_at(problem, world, function, node, begin, but):
        return begin
    for slot in range(world.clock[st.SLOTS]):
        row = world.container[slot]
        if row[st.STATE] != st.PROMISED or row[st.NODE] != node or slot == but:
            continue
        if begin < row[st.READY_MS] < end and is_full_at(problem, world, function, node, row[st.READY_MS], but):
            return row[st.READY_MS]
    return -1


@rare
def next_end(world: World, node: int, time: int, but: int) -> int:
    """When the first of the containers ends that hold a part of a node at a moment."""
    end = st.FOREVER
    for slot in range(world.clock[st.SLOTS]):
        if slot != but and holds_at(world, slot, node, time):
            end = min(end, end_of_hold(world, slot))
    return end


@helper
def ready_from(problem: Problem, world: World, function: int, node: int, begin: int) -> int:
    """When a container is ready whose start on a node, which may have to boot for it, is asked for at a moment."""
    base = max(begin, start_base(world, node))
    if world.node[node, st.NODE_STATE] == st.OFF:
        base = begin + problem.node[node, st.BOOT_MS]
    return ready_ms(problem, world, function, node, base)


@rare
def earliest(problem: Problem, world: World, function: int, node: int, run_ms: int, but: int) -> int:
    """When a container can first be started on a node so that nothing that is promised is delayed; `FOREVER`: never.

    Source: conservative backfilling, Mu'alem and Feitelson, IEEE TPDS 2001.

    Args:
        problem: what does not change.
        world: what changes.
        function: of the container.
        node: as above.
        run_ms: how long its request runs.
        but: a slot that does not count; -1: each does.
    """
    wanted, about = problem.function[function], problem.node[node]
    if (
        wanted[st.MEMORY] > about[st.NODE_MEMORY]
        or wanted[st.CPU] > about[st.NODE_CPU]
        or wanted[st.GPU] > about[st.NODE_GPU]
    ):
        return st.FOREVER
    begin = world.clock[st.NOW]
    while True:
        end = ready_from(problem, world, function, node, begin) + run_ms
        full = first_conflict(problem, world, function, node, begin, end, but)
        if full < 0:
            return begin
        begin = next_end(world, node, full, but)


@rare
def delays_promise(problem: Problem, world: World, function: int, node: int) -> bool:
    """Whether a container that is started now, for no request, would be in the way of one that is promised."""
    now = world.clock[st.NOW]
    end = ready_from(problem, world, function, node, now)
    return first_conflict(problem, world, function, node, now, max(end, now + 1), -1) >= 0
