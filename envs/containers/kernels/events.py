"""What happens to requests, nodes and timers, in the order of time; `advance` runs a world to a moment. Compiled.

Order at the same ms: users move on, runs end, requests reach their place from afar, nodes are ready, containers are
ready, promises are due, requests are sent, keep-alives are over, pre-warms are due, nodes sleep; of each kind the
lower number first.
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.containers import log
from envs.containers import state as st
from envs.containers.history import DEMANDS, bin_of, level_of
from envs.containers.kernels.accounting import book, flush, next_edge
from envs.containers.kernels.containers import add_available, run_ms_of
from envs.containers.kernels.forecast import ready_from
from envs.containers.kernels.heaps import clear_timer, pop_run, push_run, set_timer
from envs.containers.kernels.life import (
    apply_reserve,
    become_ready,
    begin_run,
    expire,
    go_idle,
    join_line,
    join_queue,
    leave_queue,
    needs_container,
    rest,
    schedule_run,
    start_container,
)
from envs.containers.kernels.placement import best_fit, best_to_evict, first_off, node_timer, plan_sleep
from envs.containers.kernels.shares import keep_promises_early, promise_is_due, share_for, take_share
from envs.containers.state import Problem, World

RECENT_MS = 600_000
"""Length of the windows in which recent requests are counted."""


@helper
def note_arrival(world: World, key: int) -> None:
    """Count a request in the history of its key."""
    row, now = world.key[key], world.clock[st.NOW]
    row[st.ARRIVED] += 1
    window = now // RECENT_MS
    if window != row[st.RECENT_FROM]:
        row[st.RECENT_BEFORE] = row[st.RECENT] if window == row[st.RECENT_FROM] + 1 else 0
        row[st.RECENT], row[st.RECENT_FROM] = 0, window
    row[st.RECENT] += 1
    demand = row[st.RUNNING] + row[st.QUEUED] + 1
    since = row[st.LAST_ABOVE + demand - 1] if demand <= DEMANDS else -1
    if since < 0:
        return
    gap = now - since
    if demand == 1:
        row[st.GAP_BEFORE], row[st.LAST_GAP] = row[st.LAST_GAP], gap
    if world.history.shape[0] > 0:
        world.history[key, level_of(demand), bin_of(gap)] += 1


@helper
def origin_of(problem: Problem, world: World, request: int) -> int:
    """Where the user of a request is now."""
    user = problem.request[request, st.USER]
    return world.user_origin[user] if user >= 0 else problem.request[request, st.ORIGIN]


@helper
def over_link(world: World, origin: int, way: int, time: int, taken_ms: int) -> int:
    """When what takes the link of an origin for itself is over it, if it comes there at a time; one after another."""
    if taken_ms == 0:
        return time
    link = world.access[origin]
    link[way] = max(time, link[way]) + taken_ms
    return link[way]


@helper
def note_end(world: World, key: int) -> None:
    """Note that the demand of a key falls by one."""
    row = world.key[key]
    demand = row[st.RUNNING] + row[st.QUEUED]
    if demand <= DEMANDS:
        row[st.LAST_ABOVE + demand - 1] = world.clock[st.NOW]


@rare
def misses_deadline(problem: Problem, world: World, request: int, place: int) -> bool:
    """Whether a request cannot end before its deadline with the capacity that is there, or can be got, now.

    What will be free before the deadline does not count, see `envs.containers.kernels.shares` for that.
    """
    about = problem.request[request]
    function = about[st.FUNCTION]
    deadline = about[st.DEADLINE_MS]
    if deadline == 0:
        return False
    node = best_fit(problem, world, function, place)
    if node < 0:
        node = best_to_evict(problem, world, function, place)
    if node < 0:
        node = first_off(problem, world, function, place)
    if node < 0:
        return True
    ready = ready_from(problem, world, function, node, world.clock[st.NOW])
    answered = (
        ready + about[st.RUN_MS] + problem.latency_ms[origin_of(problem, world, request), place] + about[st.DOWN_MS]
    )
    return answered > about[st.SENT_MS] + deadline


@rare
def reject(world: World, request: int, key: int, place: int) -> None:
    """Reject a request."""
    world.counts[place, st.REJECTED] += 1
    if world.answer.shape[0] > 0:
        answer = world.answer[request]
        answer[st.ANSWER_PLACE], answer[st.ANSWER_END_MS] = place, world.clock[st.NOW]
        answer[st.ANSWER_FLAGS] = st.WAS_REJECTED
    log.record(world, log.REJECT, key, -1, -1, request)


@rare
def reach_share(problem: Problem, world: World, request: int, place: int) -> None:
    """A request has reached its place, and gets the minimum share; it counts in the history of that one."""
    about, places = problem.request[request], problem.place.shape[0]
    back = problem.latency_ms[origin_of(problem, world, request), place] + about[st.DOWN_MS]
    function, warm, node, begin = share_for(problem, world, request, place, back)
    key = (function if function >= 0 else about[st.FUNCTION]) * places + place
    note_arrival(world, key)
    log.record(world, log.REQUEST, key, -1, -1, request)
    if function < 0:
        reject(world, request, key, place)
    else:
        take_share(problem, world, request, key, warm, node, begin)


@helper
def reach(problem: Problem, world: World, request: int, place: int) -> None:
    """A request has reached its place: a container runs it now or later, or it is rejected."""
    function = problem.request[request, st.FUNCTION]
    key = function * problem.place.shape[0] + place
    world.reached_ms[request] = world.clock[st.NOW]
    world.counts[place, st.REQUESTS] += 1
    if problem.admission == st.ADMITS_SHARE:
        reach_share(problem, world, request, place)
        return
    note_arrival(world, key)
    log.record(world, log.REQUEST, key, -1, -1, request)
    slot = world.key[key, st.FIRST_AVAILABLE]
    if slot >= 0:
        begin_run(problem, world, slot, request, False)
        return
    if problem.admission == st.ADMITS_NOW and misses_deadline(problem, world, request, place):
        reject(world, request, key, place)
        return
    join_queue(problem, world, key, request)
    if needs_container(problem, world, key) and not start_container(problem, world, key, True):
        join_line(world, place, key)


@helper
def send(problem: Problem, world: World, request: int) -> None:
    """A request is sent: it reaches its place at once, or after latency and transfer."""
    about, now = problem.request[request], world.clock[st.NOW]
    origin = origin_of(problem, world, request)
    place = world.route[origin, about[st.FUNCTION]]
    arrives = over_link(world, origin, st.UP_FREE_MS, now, about[st.UP_MS]) + problem.latency_ms[origin, place]
    size, rate = problem.function[about[st.FUNCTION], st.REQUEST_BYTES], problem.place[place, st.LINK_RATE]
    if size > 0 and rate > 0:
        arrives = max(arrives, world.counts[place, st.LINK_FREE_MS]) + (size + rate - 1) // rate
        world.counts[place, st.LINK_FREE_MS] = arrives
    if arrives == now:
        reach(problem, world, request, place)
    else:
        push_run(world, arrives, st.REACHES << st.KIND_SHIFT | request, place)


@helper
def move_on(problem: Problem, world: World, user: int, origin: int) -> None:
    """A user moves on to another origin: its answers go there from now on, and what waits may be handed over."""
    world.user_origin[user] = origin
    if world.user_waiting[user] > 0 and problem.hand_over != st.STAYS:
        hand_over(problem, world, user)


@rare
def hand_over(problem: Problem, world: World, user: int) -> None:
    """Send requests of a user that wait for a container to the place that now serves them.

    A container that was started for one of them goes on starting, for whoever comes next. The request is sent again
    from where the user is now, so it takes the links there, and waits anew. Few requests wait, so all queues are read.
    """
    places = problem.place.shape[0]
    for key in range(world.key.shape[0]):
        row, before = world.key[key], -1
        request = row[st.QUEUE_FIRST] if row[st.QUEUED] > 0 else -1
        while request >= 0:
            behind = world.next_request[request]
            goes_to = world.route[world.user_origin[user], key // places]
            if (
                problem.request[request, st.USER] == user
                and goes_to != key % places
                and (
                    problem.hand_over == st.FOLLOWS or world.key[key - key % places + goes_to, st.FIRST_AVAILABLE] >= 0
                )
            ):
                take_out(world, key, before, request)
                world.user_waiting[user] -= 1
                send(problem, world, request)
            else:
                before = request
            request = behind


@rare
def take_out(world: World, key: int, before: int, request: int) -> None:
    """Take a request out of the queue of its key, behind another one (-1: it is the first), as it goes elsewhere."""
    row, behind = world.key[key], world.next_request[request]
    count = world.counts[key % world.counts.shape[0]]
    note_end(world, key)
    if before < 0:
        row[st.QUEUE_FIRST] = behind
    else:
        world.next_request[before] = behind
    if behind < 0:
        row[st.QUEUE_LAST] = before
    row[st.QUEUED] -= 1
    count[st.HANDED_OVER] += 1
    count[st.WAITED_MS] += world.clock[st.NOW] - world.reached_ms[request]
    log.record(world, log.HAND_OVER, key, -1, -1, request)


@helper
def response_bin(response_ms: int) -> int:
    """The quarter octave of a response time: 4 * octave + quarter, exact; 0 and 1 ms have the first bins."""
    octave = 0
    while response_ms >> (octave + 1) > 0:
        octave += 1
    quarter = (response_ms << 2 >> octave) & 3
    return min(4 * octave + quarter, st.RESPONSE_BINS - 1) if response_ms > 0 else 0


@helper
def count_end(problem: Problem, world: World, slot: int, request: int) -> None:
    """Count a request that was answered."""
    about, now = problem.request[request], world.clock[st.NOW]
    function = world.container[slot, st.KEY] // problem.place.shape[0]
    place = problem.node[world.container[slot, st.NODE], st.PLACE]
    origin = origin_of(problem, world, request)
    answered = over_link(world, origin, st.DOWN_FREE_MS, now + problem.latency_ms[origin, place], about[st.DOWN_MS])
    response, is_elsewhere = answered - about[st.SENT_MS], origin != about[st.ORIGIN]
    is_late = about[st.DEADLINE_MS] > 0 and response > about[st.DEADLINE_MS]
    count = world.counts[place]
    count[st.FINISHED] += 1
    count[st.LATE] += int(is_late)
    count[st.FOLLOWED] += int(is_elsewhere)
    count[st.RESPONSE_MS] += response
    count[st.BUSY_MILLI_MS] += run_ms_of(problem, function, request) * problem.function[function, st.GPU]
    world.response[place, response_bin(response)] += 1
    if world.answer.shape[0] > 0:
        world.answer[request, st.ANSWER_END_MS] = answered
        flags = st.WAS_FINISHED + (st.WAS_LATE if is_late else 0) + (st.WAS_FOLLOWED if is_elsewhere else 0)
        world.answer[request, st.ANSWER_FLAGS] |= flags


@rare
def stays_idle(problem: Problem, world: World, slot: int) -> bool:
    """Whether a container that is idle now is so still once what is promised on its node has begun."""
    row = world.container[slot]
    serial = row[st.SERIAL]
    keep_promises_early(problem, world, row[st.NODE])
    return row[st.STATE] == st.WARM and row[st.SERIAL] == serial


@helper
def end_run(problem: Problem, world: World, slot: int, request: int) -> bool:
    """A run ends: the next request of the queue has its slot; returns whether the container is idle instead."""
    row = world.container[slot]
    key = row[st.KEY]
    count_end(problem, world, slot, request)
    note_end(world, key)
    world.key[key, st.RUNNING] -= 1
    log.record(world, log.RUN_END, key, row[st.SERIAL], row[st.NODE], request)
    if world.key[key, st.QUEUED] > 0 and problem.admission != st.ADMITS_SHARE:
        schedule_run(problem, world, slot, leave_queue(problem, world, key), False)
        return False
    row[st.USED_SLOTS] -= 1
    if row[st.IS_AVAILABLE] == 0:
        add_available(world, key, slot)
    if row[st.USED_SLOTS] > 0:
        return False
    row[st.IDLE_SINCE] = world.clock[st.NOW]
    rest(problem, world, slot)
    return problem.admission != st.ADMITS_SHARE or stays_idle(problem, world, slot)


@rare
def node_is_ready(problem: Problem, world: World, node: int) -> None:
    """A node has booted."""
    row, about = world.node[node], problem.node[node]
    place = about[st.PLACE]
    clear_timer(world, node_timer(world, node))
    flush(world, place)
    world.rate[place, st.BOOT_UJ] -= about[st.BOOT_MW]
    world.rate[place, st.IDLE_NODE_UJ] += about[st.IDLE_MW]
    world.rate[place, st.START_UJ] += row[st.COMING_MW]
    row[st.NODE_STATE], row[st.COMING_MW] = st.ON, 0
    log.record(world, log.NODE_READY, -1, -1, node, 0)
    plan_sleep(problem, world, node)


@rare
def sleep(problem: Problem, world: World, node: int) -> None:
    """A node that has no container is switched off."""
    about = problem.node[node]
    place = about[st.PLACE]
    clear_timer(world, node_timer(world, node))
    flush(world, place)
    world.rate[place, st.IDLE_NODE_UJ] -= about[st.IDLE_MW]
    world.rate[place, st.OFF_UJ] += about[st.OFF_MW]
    world.node[node, st.NODE_STATE] = st.OFF
    log.record(world, log.NODE_SLEEP, -1, -1, node, 0)


@rare
def keep_is_over(problem: Problem, world: World, slot: int) -> None:
    """The timer of a container rings, perhaps one of an earlier time that it was idle."""
    row = world.container[slot]
    if row[st.STATE] == st.BUSY:
        clear_timer(world, slot)
    elif row[st.EXPIRES] > world.clock[st.NOW]:
        set_timer(world, slot, row[st.EXPIRES], st.KEEP_IS_OVER, row[st.SERIAL])
    else:
        expire(problem, world, slot)


@rare
def pre_warm_is_due(problem: Problem, world: World, key: int) -> None:
    """Start containers for requests that are expected, until the key has as many as it is to have."""
    clear_timer(world, world.container.shape[0] + key)
    row = world.key[key]
    while row[st.CONTAINERS] < row[st.PRE_WARM_COUNT] and start_container(problem, world, key, False):
        world.counts[key % problem.place.shape[0], st.PRE_WARMED] += 1


@helper
def run_event(problem: Problem, world: World) -> int:
    """Carry out the first event of the heap of runs; returns the container that is idle by it, or -1."""
    code, about = world.run[0, 1], world.run[0, 2]
    request = code & ((1 << st.KIND_SHIFT) - 1)
    pop_run(world)
    if code >> st.KIND_SHIFT == st.REACHES:
        reach(problem, world, request, about)
        return -1
    return about if end_run(problem, world, about, request) else -1


@rare
def timer_event(problem: Problem, world: World) -> int:
    """Carry out the first event of the heap of timers; returns the container that is idle by it, or -1."""
    kind, timer = world.timer[0, 1] >> st.KIND_SHIFT, world.timer[0, 2]
    if kind == st.CONTAINER_IS_READY:
        is_idle = become_ready(problem, world, timer)
        if is_idle and problem.admission == st.ADMITS_SHARE:
            is_idle = stays_idle(problem, world, timer)
        return timer if is_idle else -1
    if kind == st.KEEP_IS_OVER:
        keep_is_over(problem, world, timer)
    elif kind == st.PROMISE_IS_DUE:
        promise_is_due(problem, world, timer)
    elif kind == st.PRE_WARM_IS_DUE:
        pre_warm_is_due(problem, world, timer - world.container.shape[0])
    else:
        node = timer - world.container.shape[0] - world.key.shape[0]
        if kind == st.NODE_IS_READY:
            node_is_ready(problem, world, node)
        else:
            sleep(problem, world, node)
    return -1


@helper
def next_event(problem: Problem, world: World, limit: int) -> int:
    """Carry out the next event that is not after a limit; returns the idle container, -1, or -2: there was none."""
    clock = world.clock
    time, code, which = limit + 1, 0, 0
    if clock[st.RUNS] > 0 and world.run[0, 0] < time:
        time, code, which = world.run[0, 0], world.run[0, 1], 1
    if clock[st.TIMERS] > 0 and (
        world.timer[0, 0] < time or (which != 0 and world.timer[0, 0] == time and world.timer[0, 1] < code)
    ):
        time, code, which = world.timer[0, 0], world.timer[0, 1], 2
    request, move = clock[st.NEXT_REQUEST], clock[st.NEXT_MOVE]
    sent = problem.request[request, st.SENT_MS] if request < clock[st.END_REQUEST] else limit + 1
    if move < problem.move.shape[0] and problem.move[move, st.MOVE_MS] <= min(time, sent, limit):
        clock[st.NOW], clock[st.NEXT_MOVE] = problem.move[move, st.MOVE_MS], move + 1
        move_on(problem, world, problem.move[move, st.MOVE_USER], problem.move[move, st.MOVE_ORIGIN])
        return -1
    if sent < time or (which != 0 and sent == time and code > st.SENT << st.KIND_SHIFT):
        clock[st.NOW], clock[st.NEXT_REQUEST] = sent, request + 1
        send(problem, world, request)
        return -1
    if which == 0:
        return -2
    clock[st.NOW] = time
    return run_event(problem, world) if which == 1 else timer_event(problem, world)


@helper
def advance(problem: Problem, world: World, until: int, stops: bool) -> int:
    """Run a world up to a moment, the events of which are still carried out.

    Args:
        problem: what does not change.
        world: what changes.
        until: the moment, ms.
        stops: whether to come back as soon as a container is idle, for a decision about it.

    Returns:
        `IDLE`: the container `world.clock[PENDING]` is idle, and the caller calls `go_idle` for it; or `UNTIL`. Without
        `stops` what `world.control` says of its key counts.
    """
    while True:
        edge = next_edge(problem, world)
        slot = next_event(problem, world, min(until, edge))
        if slot >= 0:
            if stops:
                world.clock[st.PENDING] = slot
                return st.IDLE
            control = world.control[world.container[slot, st.KEY]]
            go_idle(problem, world, slot, control[st.KEEP], control[st.PRE_WARM], 1)
        elif slot == -2:
            world.clock[st.NOW] = min(until, edge)
            if edge > until:
                return st.UNTIL
            book(problem, world)
            world.clock[st.PIECE] += 1


@rare
def charge_waiting(problem: Problem, world: World) -> None:
    """Count the time that requests have waited which still wait."""
    places = problem.place.shape[0]
    for key in range(world.key.shape[0]):
        request = world.key[key, st.QUEUE_FIRST] if world.key[key, st.QUEUED] > 0 else -1
        while request >= 0:
            world.counts[key % places, st.WAITED_MS] += world.clock[st.NOW] - world.reached_ms[request]
            world.reached_ms[request] = world.clock[st.NOW]
            request = world.next_request[request]


@rare
def begin(problem: Problem, world: World, start_ms: int, first: int, end: int) -> None:
    """Begin an episode: every node is off, no container is there, and no history.

    Args:
        problem: what does not change.
        world: what changes; `control`, `route` and `SLEEP_MS` of nodes are left as they are.
        start_ms: when it begins.
        first: the first request.
        end: the request behind the last one.
    """
    for array in (world.clock, world.timer_at):
        array[:] = 0
    for table in (world.key, world.rate, world.amount, world.booked, world.counts, world.response):
        table[:] = 0
    world.history[:] = 0
    world.spent[:] = 0.0
    world.layer[:, :, st.AVAILABLE_MS], world.layer[:, :, st.LAYER_USERS] = st.MISSING, 0
    clock = world.clock
    clock[st.NOW], clock[st.NEXT_REQUEST], clock[st.END_REQUEST] = start_ms, first, end
    world.user_waiting[:], world.access[:] = 0, start_ms
    for user in range(world.user_origin.shape[0]):
        world.user_origin[user] = problem.first_origin[user]
    while clock[st.NEXT_MOVE] < problem.move.shape[0] and problem.move[clock[st.NEXT_MOVE], st.MOVE_MS] <= start_ms:
        row = problem.move[clock[st.NEXT_MOVE]]
        world.user_origin[row[st.MOVE_USER]] = row[st.MOVE_ORIGIN]
        clock[st.NEXT_MOVE] += 1
    while next_edge(problem, world) <= start_ms:
        clock[st.PIECE] += 1
    world.key[:, st.FIRST_AVAILABLE] = -1
    world.key[:, st.LAST_ABOVE :] = -1
    world.counts[:, st.FIRST_IN_LINE], world.counts[:, st.FLUSHED_MS] = -1, start_ms
    world.counts[:, st.LINK_FREE_MS] = start_ms
    for node in range(problem.node.shape[0]):
        about, row = problem.node[node], world.node[node]
        row[: st.SLEEP_MS] = 0
        row[st.FREE_MEMORY], row[st.FREE_CPU] = about[st.NODE_MEMORY], about[st.NODE_CPU]
        row[st.FREE_GPU], row[st.FIRST_IDLE], row[st.LAST_IDLE] = about[st.NODE_GPU], -1, -1
        row[st.FIRST_LAYER], row[st.LAST_LAYER] = -1, -1
        row[st.NODE_READY_MS], row[st.PULL_FREE_MS] = start_ms, start_ms
        world.rate[about[st.PLACE], st.OFF_UJ] += about[st.OFF_MW]
    for key in range(world.key.shape[0]):
        if world.control[key, st.RESERVE] > 0:
            apply_reserve(problem, world, key)
