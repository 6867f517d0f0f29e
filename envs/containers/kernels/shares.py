"""Admission by the minimum share that meets the deadline, and the promises by which what is admitted waits. Compiled.

A function may run at several shares, each with containers and a run time of its own. A request gets the smallest at
which it is answered by its deadline: in a warm container, in one that is started now, or in one that is promised for
when enough of what runs on a node has ended. Where none is enough it is rejected. What is promised is kept: later
requests may begin before, but not so that it is delayed.

Source: minimum satisfactory share, Gu et al., "ElasticFlow", ASPLOS 2023, section 4.1. There jobs change their share
from slot to slot; here a request keeps the one that it begins with, and time has no slots.
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.containers import state as st
from envs.containers.kernels.containers import give_slot, run_ms_of, take_slot
from envs.containers.kernels.forecast import earliest, first_conflict, ready_from
from envs.containers.kernels.heaps import clear_timer, set_timer
from envs.containers.kernels.life import begin_run, join_queue, start_on, take_from_queue
from envs.containers.state import Problem, World


@rare
def warm_slot(problem: Problem, world: World, key: int, node: int, run_ms: int, but: int) -> int:
    """An idle container of a key whose use now delays nothing that is promised; -1: there is none.

    Args:
        problem: what does not change.
        world: what changes.
        key: as above.
        node: that it is on; -1: any.
        run_ms: how long it would be used.
        but: a slot that does not count; -1: each does.
    """
    now, function = world.clock[st.NOW], key // problem.place.shape[0]
    slot = world.key[key, st.FIRST_AVAILABLE]
    while slot >= 0:
        row = world.container[slot]
        if (node < 0 or row[st.NODE] == node) and first_conflict(
            problem, world, function, row[st.NODE], now, now + max(run_ms, 1), but
        ) < 0:
            return slot
        slot = row[st.NEXT_AVAILABLE]
    return -1


@helper
def bind(problem: Problem, world: World, slot: int, request: int) -> None:
    """Let a container that starts be for a request alone."""
    row = world.container[slot]
    row[st.BOUND] = request
    row[st.ENDS_MS] = row[st.READY_MS] + run_ms_of(problem, row[st.KEY] // problem.place.shape[0], request)


@helper
def promise(problem: Problem, world: World, slot: int, begin: int) -> None:
    """Say when the container of a promise is to be started."""
    row = world.container[slot]
    function = row[st.KEY] // problem.place.shape[0]
    row[st.READY_MS] = begin
    row[st.ENDS_MS] = ready_from(problem, world, function, row[st.NODE], begin) + run_ms_of(
        problem, function, row[st.BOUND]
    )
    set_timer(world, slot, begin, st.PROMISE_IS_DUE, row[st.BOUND])


@rare
def share_for(problem: Problem, world: World, request: int, place: int, back_ms: int) -> tuple[int, int, int, int]:
    """The smallest share at which a request is answered by its deadline.

    Args:
        problem: what does not change.
        world: what changes.
        request: that has come.
        place: where it came to.
        back_ms: how long its answer is on its way.

    Returns:
        The function with that share, -1: there is none; a container that is warm, or -1; else the node on which one is
        to be started, and when.
    """
    about, now, places = problem.request[request], world.clock[st.NOW], problem.place.shape[0]
    latest = st.FOREVER if about[st.DEADLINE_MS] == 0 else about[st.SENT_MS] + about[st.DEADLINE_MS] - back_ms
    function = about[st.FUNCTION]
    while True:
        run = run_ms_of(problem, function, request)
        warm = warm_slot(problem, world, function * places + place, -1, run, -1)
        if warm >= 0 and now + run <= latest:
            return function, warm, -1, now
        best, best_begin, best_end = -1, st.FOREVER, st.FOREVER
        for node in range(problem.place[place, st.FIRST_NODE], problem.place[place, st.END_NODE]):
            begin = earliest(problem, world, function, node, run, -1)
            if begin >= st.FOREVER:
                continue
            end = ready_from(problem, world, function, node, begin) + run
            # A node that has to boot comes after those that are on.
            is_off = world.node[node, st.NODE_STATE] == st.OFF
            if end < best_end or (end == best_end and not is_off and world.node[best, st.NODE_STATE] == st.OFF):
                best, best_begin, best_end = node, begin, end
        if best >= 0 and best_end <= latest:
            return function, -1, best, best_begin
        function = problem.function[function, st.NEXT_SHARE]
        if function == 0:
            return -1, -1, -1, now


@rare
def take_share(problem: Problem, world: World, request: int, key: int, warm: int, node: int, begin: int) -> None:
    """Give a request the share that was found for it."""
    if warm >= 0:
        begin_run(problem, world, warm, request, False)
        return
    join_queue(problem, world, key, request)
    if begin == world.clock[st.NOW]:
        bind(problem, world, start_on(problem, world, key, node), request)
        return
    slot = take_slot(world)
    row = world.container[slot]
    row[st.KEY], row[st.NODE], row[st.STATE], row[st.BOUND] = key, node, st.PROMISED, request
    row[st.USED_SLOTS], row[st.IS_AVAILABLE] = 0, 0
    world.node[node, st.NODE_CONTAINERS] += 1  # it does not sleep meanwhile
    promise(problem, world, slot, begin)


@rare
def keep_promise(problem: Problem, world: World, slot: int) -> bool:
    """Begin what is promised, if that is possible now; returns whether it was."""
    row, now = world.container[slot], world.clock[st.NOW]
    key, node, request = row[st.KEY], row[st.NODE], row[st.BOUND]
    function = key // problem.place.shape[0]
    run = run_ms_of(problem, function, request)
    warm = warm_slot(problem, world, key, node, run, slot)
    if warm < 0:
        end = ready_from(problem, world, function, node, now) + run
        if first_conflict(problem, world, function, node, now, max(end, now + 1), slot) >= 0:
            return False
    clear_timer(world, slot)
    give_slot(world, slot)
    world.node[node, st.NODE_CONTAINERS] -= 1
    if warm >= 0:
        take_from_queue(problem, world, key, request)
        begin_run(problem, world, warm, request, False)
    else:
        bind(problem, world, start_on(problem, world, key, node), request)
    return True


@rare
def promise_is_due(problem: Problem, world: World, slot: int) -> None:
    """The time of a promise has come; where a start took longer than it was thought, it comes later."""
    row = world.container[slot]
    if not keep_promise(problem, world, slot):
        function = row[st.KEY] // problem.place.shape[0]
        run = run_ms_of(problem, function, row[st.BOUND])
        promise(problem, world, slot, earliest(problem, world, function, row[st.NODE], run, slot))


@helper
def is_promised_before(world: World, slot: int, other: int) -> bool:
    """Whether a promise comes before another one; at the same ms the request that came first decides."""
    row, than = world.container[slot], world.container[other]
    if row[st.READY_MS] != than[st.READY_MS]:
        return row[st.READY_MS] < than[st.READY_MS]
    return row[st.BOUND] < than[st.BOUND]


@rare
def keep_promises_early(problem: Problem, world: World, node: int) -> None:
    """A container of a node is idle: begin what is promised there, the first promise first, until one cannot begin."""
    while True:
        first = -1
        for slot in range(world.clock[st.SLOTS]):
            row = world.container[slot]
            if row[st.STATE] != st.PROMISED or row[st.NODE] != node:
                continue
            if first < 0 or is_promised_before(world, slot, first):
                first = slot
        if first < 0 or not keep_promise(problem, world, first):
            return
