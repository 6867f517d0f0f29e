"""The life of a container: started, warm, busy, idle, gone; and the keys that wait in line for capacity. Compiled."""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.containers import log
from envs.containers import state as st
from envs.containers.kernels.accounting import flush, spare
from envs.containers.kernels.containers import (
    add_available,
    add_idle,
    remove_available,
    remove_idle,
    reserve,
    run_ms_of,
    take_slot,
)
from envs.containers.kernels.forecast import delays_promise
from envs.containers.kernels.heaps import clear_timer, push_run, set_timer
from envs.containers.kernels.layers import pull_layers
from envs.containers.kernels.placement import drop, find_node, make_room, node_timer
from envs.containers.state import Problem, World


@rare
def start_container(problem: Problem, world: World, key: int, evicts: bool) -> bool:
    """Start a container where there is room; it may evict idle ones for a request that waits, not for later ones."""
    places = problem.place.shape[0]
    function = key // places
    node = find_node(problem, world, function, key % places, evicts)
    if node < 0 or (problem.admission == st.ADMITS_SHARE and delays_promise(problem, world, function, node)):
        return False
    start_on(problem, world, key, node)
    return True


@rare
def start_on(problem: Problem, world: World, key: int, node: int) -> int:
    """Start a container on a node, which may boot or evict idle ones for it; returns its slot."""
    places = problem.place.shape[0]
    function, place = key // places, key % places
    make_room(problem, world, function, node)
    if world.node[node, st.NODE_STATE] == st.ON:
        clear_timer(world, node_timer(world, node))  # of its sleep
    reserve(problem, world, function, node, 1)
    slot = take_slot(world)
    row, now = world.container[slot], world.clock[st.NOW]
    world.clock[st.BORN] += 1
    row[st.KEY], row[st.NODE], row[st.SERIAL], row[st.STATE] = key, node, world.clock[st.BORN], st.STARTED
    row[st.USED_SLOTS], row[st.WAS_USED], row[st.IS_AVAILABLE], row[st.BOUND] = 0, 0, 0, -1
    row[st.PULLED_MS] = pull_layers(problem, world, function, node)
    row[st.READY_MS] = row[st.PULLED_MS] + problem.function[function, st.START_MS]
    set_timer(world, slot, row[st.READY_MS], st.CONTAINER_IS_READY, row[st.SERIAL])
    flush(world, place)
    if world.node[node, st.NODE_STATE] == st.ON:
        world.rate[place, st.START_UJ] += problem.function[function, st.START_MW]
    else:
        world.node[node, st.COMING_MW] += problem.function[function, st.START_MW]
    spare(problem, world, place, function, 1)
    world.key[key, st.STARTING] += 1
    world.key[key, st.CONTAINERS] += 1
    world.counts[place, st.STARTS] += 1
    clear_timer(world, key_timer(world, key))  # of its pre-warm
    log.record(world, log.START, key, row[st.SERIAL], node, row[st.READY_MS] - now)
    return slot


@helper
def key_timer(world: World, key: int) -> int:
    """The timer of a key: of its pre-warm."""
    return world.container.shape[0] + key


@helper
def begin_run(problem: Problem, world: World, slot: int, request: int, is_cold: bool) -> None:
    """Let a container with a free slot run a request."""
    row = world.container[slot]
    key, place = row[st.KEY], problem.node[row[st.NODE], st.PLACE]
    function = key // problem.place.shape[0]
    if row[st.USED_SLOTS] == 0:
        remove_idle(problem, world, slot)
        flush(world, place)
        world.rate[place, st.WARM_UJ] -= problem.function[function, st.WARM_MW]
        world.rate[place, st.BUSY_UJ] += problem.function[function, st.BUSY_MW]
        spare(problem, world, place, function, -1)
        row[st.STATE] = st.BUSY
    if row[st.WAS_USED] == 0 and not is_cold:
        world.counts[place, st.PRE_WARMED_USED] += 1
    row[st.WAS_USED] = 1
    row[st.USED_SLOTS] += 1
    if row[st.USED_SLOTS] == problem.function[function, st.CONCURRENCY]:
        remove_available(world, key, slot)
    schedule_run(problem, world, slot, request, is_cold)


@helper
def schedule_run(problem: Problem, world: World, slot: int, request: int, is_cold: bool) -> None:
    """Count a request that begins to run in a slot, and when it ends."""
    row, now = world.container[slot], world.clock[st.NOW]
    place = problem.node[row[st.NODE], st.PLACE]
    row[st.ENDS_MS] = now + run_ms_of(problem, row[st.KEY] // problem.place.shape[0], request)
    world.key[row[st.KEY], st.RUNNING] += 1
    world.counts[place, st.COLD] += int(is_cold)
    world.counts[place, st.WAITED_MS] += now - world.reached_ms[request]
    push_run(world, row[st.ENDS_MS], st.RUN_ENDS << st.KIND_SHIFT | request, slot)
    if world.answer.shape[0] > 0:
        answer = world.answer[request]
        answer[st.ANSWER_PLACE], answer[st.ANSWER_START_MS] = place, now
        answer[st.ANSWER_FLAGS] = st.WAS_COLD if is_cold else 0
    log.record(world, log.RUN_START, row[st.KEY], row[st.SERIAL], row[st.NODE], request)


@helper
def join_queue(problem: Problem, world: World, key: int, request: int) -> None:
    """Put a request last in the queue of its key."""
    row, user = world.key[key], problem.request[request, st.USER]
    if user >= 0:
        world.user_waiting[user] += 1
    world.next_request[request] = -1
    if row[st.QUEUED] == 0:
        row[st.QUEUE_FIRST] = request
    else:
        world.next_request[row[st.QUEUE_LAST]] = request
    row[st.QUEUE_LAST] = request
    row[st.QUEUED] += 1


@helper
def leave_queue(problem: Problem, world: World, key: int) -> int:
    """Take the first request off the queue of a key."""
    row = world.key[key]
    request = row[st.QUEUE_FIRST]
    user = problem.request[request, st.USER]
    if user >= 0:
        world.user_waiting[user] -= 1
    row[st.QUEUE_FIRST] = world.next_request[request]
    row[st.QUEUED] -= 1
    return request


@rare
def take_from_queue(problem: Problem, world: World, key: int, request: int) -> None:
    """Take a request off the queue of a key, wherever in it."""
    row = world.key[key]
    if row[st.QUEUE_FIRST] == request:
        leave_queue(problem, world, key)
        return
    before = row[st.QUEUE_FIRST]
    while world.next_request[before] != request:
        before = world.next_request[before]
    world.next_request[before] = world.next_request[request]
    if row[st.QUEUE_LAST] == request:
        row[st.QUEUE_LAST] = before
    row[st.QUEUED] -= 1
    user = problem.request[request, st.USER]
    if user >= 0:
        world.user_waiting[user] -= 1


@helper
def needs_container(problem: Problem, world: World, key: int) -> bool:
    """Whether more requests wait than the containers that start can take."""
    row, function = world.key[key], key // problem.place.shape[0]
    return row[st.STARTING] * problem.function[function, st.CONCURRENCY] < row[st.QUEUED]


@helper
def join_line(world: World, place: int, key: int) -> None:
    """Put a key last in the line for capacity of its place, if it is not in it."""
    row, count = world.key[key], world.counts[place]
    if row[st.IN_LINE] != 0:
        return
    row[st.IN_LINE], row[st.NEXT_IN_LINE] = 1, -1
    if count[st.FIRST_IN_LINE] < 0:
        count[st.FIRST_IN_LINE] = key
    else:
        world.key[count[st.LAST_IN_LINE], st.NEXT_IN_LINE] = key
    count[st.LAST_IN_LINE] = key


@rare
def serve_line(problem: Problem, world: World, place: int) -> None:
    """Start containers for the keys that wait for capacity, in their order, until one finds none."""
    count = world.counts[place]
    key = count[st.FIRST_IN_LINE]
    while key >= 0:
        if needs_container(problem, world, key):
            if not start_container(problem, world, key, True):
                return
        else:
            count[st.FIRST_IN_LINE] = world.key[key, st.NEXT_IN_LINE]
            world.key[key, st.IN_LINE] = 0
            key = count[st.FIRST_IN_LINE]


@helper
def rest(problem: Problem, world: World, slot: int) -> None:
    """Note that a container whose last request ended is warm and idle."""
    row = world.container[slot]
    function, place = row[st.KEY] // problem.place.shape[0], problem.node[row[st.NODE], st.PLACE]
    flush(world, place)
    world.rate[place, st.BUSY_UJ] -= problem.function[function, st.BUSY_MW]
    world.rate[place, st.WARM_UJ] += problem.function[function, st.WARM_MW]
    spare(problem, world, place, function, 1)
    row[st.STATE] = st.WARM
    add_idle(problem, world, slot)


@rare
def become_ready(problem: Problem, world: World, slot: int) -> bool:
    """A container has started: it takes the requests that wait; returns whether it is idle."""
    row = world.container[slot]
    key = row[st.KEY]
    function, place = key // problem.place.shape[0], problem.node[row[st.NODE], st.PLACE]
    clear_timer(world, slot)
    flush(world, place)
    world.rate[place, st.START_UJ] -= problem.function[function, st.START_MW]
    world.rate[place, st.WARM_UJ] += problem.function[function, st.WARM_MW]
    world.key[key, st.STARTING] -= 1
    row[st.STATE], row[st.IDLE_SINCE] = st.WARM, world.clock[st.NOW]
    add_available(world, key, slot)
    add_idle(problem, world, slot)
    log.record(world, log.READY, key, row[st.SERIAL], row[st.NODE], 0)
    if problem.admission == st.ADMITS_SHARE:
        request = row[st.BOUND]
        if request >= 0:
            row[st.BOUND] = -1
            take_from_queue(problem, world, key, request)
            begin_run(problem, world, slot, request, True)
        return request < 0
    while world.key[key, st.QUEUED] > 0 and row[st.USED_SLOTS] < problem.function[function, st.CONCURRENCY]:
        begin_run(problem, world, slot, leave_queue(problem, world, key), True)
    return row[st.USED_SLOTS] == 0


@helper
def go_idle(problem: Problem, world: World, slot: int, keep_ms: int, pre_warm_ms: int, count: int) -> None:
    """Say how long an idle container is kept, and when after that its key has how many again.

    Args:
        problem: what does not change.
        world: what changes.
        slot: the container that is idle since now.
        keep_ms: how long it is kept; 0: not at all, `FOREVER`: until it is evicted.
        pre_warm_ms: how long after this container was dropped, if its key has fewer than `count` then, they are started
            again, at least 1 ms; `FOREVER`: never.
        count: containers that the key is to have then, at least 1.
    """
    row, now = world.container[slot], world.clock[st.NOW]
    row[st.PRE_WARM_AFTER], row[st.COUNT_AFTER], row[st.HELD] = pre_warm_ms, count, 0
    row[st.EXPIRES] = st.FOREVER if keep_ms >= st.FOREVER else now + keep_ms
    log.record(world, log.GO_IDLE, row[st.KEY], row[st.SERIAL], row[st.NODE], keep_ms)
    place = problem.node[row[st.NODE], st.PLACE]
    if keep_ms <= 0:
        expire(problem, world, slot)
        return
    # A timer that is set for earlier stays: it finds out that it is too early. Most containers are used again before.
    at = world.timer_at[slot] - 1
    if at < 0 or world.timer[at, 0] > row[st.EXPIRES]:
        set_timer(world, slot, row[st.EXPIRES], st.KEEP_IS_OVER, row[st.SERIAL])
    if world.counts[place, st.FIRST_IN_LINE] >= 0:
        serve_line(problem, world, place)


@rare
def expire(problem: Problem, world: World, slot: int) -> None:
    """Drop an idle container whose keep-alive is over, unless the reserve of its key holds it."""
    row = world.container[slot]
    key, place = row[st.KEY], problem.node[row[st.NODE], st.PLACE]
    pre_warm_ms, wanted = row[st.PRE_WARM_AFTER], row[st.COUNT_AFTER]
    if world.key[key, st.CONTAINERS] <= world.control[key, st.RESERVE]:
        row[st.EXPIRES], row[st.HELD] = st.FOREVER, 1
        clear_timer(world, slot)
        return
    world.counts[place, st.EXPIRED] += 1
    log.record(world, log.EXPIRE, key, row[st.SERIAL], row[st.NODE], 0)
    drop(problem, world, slot)
    about = world.key[key]
    if about[st.CONTAINERS] < wanted and about[st.QUEUED] == 0 and pre_warm_ms < st.FOREVER:
        about[st.PRE_WARM_COUNT] = wanted
        set_timer(world, key_timer(world, key), world.clock[st.NOW] + max(pre_warm_ms, 1), st.PRE_WARM_IS_DUE, key)
    serve_line(problem, world, place)


@rare
def apply_reserve(problem: Problem, world: World, key: int) -> None:
    """Start containers until a key has its reserve, while there is capacity; drop held ones beyond it."""
    place = key % problem.place.shape[0]
    while world.key[key, st.CONTAINERS] < world.control[key, st.RESERVE]:
        if not start_container(problem, world, key, False):
            return
        world.counts[place, st.PRE_WARMED] += 1
    while world.key[key, st.CONTAINERS] > world.control[key, st.RESERVE]:
        oldest = oldest_held(world, key)
        if oldest < 0:
            return
        expire(problem, world, oldest)


@helper
def oldest_held(world: World, key: int) -> int:
    """Of the containers that only the reserve of a key holds the one that was started first; -1: there is none."""
    oldest, slot = -1, world.key[key, st.FIRST_AVAILABLE]
    while slot >= 0:
        row = world.container[slot]
        is_held = row[st.STATE] == st.WARM and row[st.HELD] != 0
        if is_held and (oldest < 0 or row[st.SERIAL] < world.container[oldest, st.SERIAL]):
            oldest = slot
        slot = row[st.NEXT_AVAILABLE]
    return oldest
