"""What must hold in a world at any time, checked in plain Python by tests."""

from __future__ import annotations

import numpy as np

from envs.containers import state as st
from envs.containers.state import Problem, World


def describe_broken(problem: Problem, world: World) -> str:
    """The first invariant that does not hold, in words; empty: all hold.

    Args:
        problem: what does not change.
        world: one world, not a batch.
    """
    for check in (_nodes, _keys, _rates, _layers):
        if found := check(problem, world):
            return found
    return _timers(world)


def _containers(world: World) -> list[int]:
    slots = range(int(world.clock[st.SLOTS]))
    return [slot for slot in slots if world.container[slot, st.STATE] not in (st.ABSENT, st.PROMISED)]


def _function(problem: Problem, world: World, slot: int) -> int:
    return int(world.container[slot, st.KEY]) // len(problem.place)


def _nodes(problem: Problem, world: World) -> str:
    """What is free and what is reserved is what a node has, and a node that is off has no container."""
    wanted = np.zeros((len(problem.node), 3), np.int64)
    for slot in _containers(world):
        node = world.container[slot, st.NODE]
        wanted[node] += problem.function[_function(problem, world, slot), [st.MEMORY, st.CPU, st.GPU]]
        if world.node[node, st.NODE_STATE] == st.OFF:
            return f"container in slot {slot} is on node {node}, which is off"
    free = world.node[:, [st.FREE_MEMORY, st.FREE_CPU, st.FREE_GPU]]
    if (free < 0).any():
        return f"node {int(np.argmax((free < 0).any(axis=1)))} has less than nothing free"
    if (free + wanted != problem.node[:, [st.NODE_MEMORY, st.NODE_CPU, st.NODE_GPU]]).any():
        return "what is free and what is reserved is not what the nodes have"
    return ""


def _keys(problem: Problem, world: World) -> str:
    """Counts by key are those of its containers, and nobody waits beside a container that has a free slot."""
    counted = np.zeros((len(world.key), 3), np.int64)
    for slot in _containers(world):
        row = world.container[slot]
        counted[row[st.KEY]] += [row[st.USED_SLOTS], row[st.STATE] == st.STARTED, 1]
        if row[st.USED_SLOTS] > problem.function[_function(problem, world, slot), st.CONCURRENCY]:
            return f"container in slot {slot} runs more requests than it can"
    if (counted != world.key[:, [st.RUNNING, st.STARTING, st.CONTAINERS]]).any():
        return "a key counts other containers or requests than there are"
    waits_beside = (world.key[:, st.QUEUED] > 0) & (world.key[:, st.FIRST_AVAILABLE] >= 0)
    if problem.admission != st.ADMITS_SHARE and waits_beside.any():
        return "a request waits beside a container of its key that has a free slot"
    return _waiting(problem, world)


def _waiting(problem: Problem, world: World) -> str:
    """Queues are as long as they are counted, by key and by user."""
    waiting = np.zeros(len(problem.first_origin), np.int64)
    for key, row in enumerate(world.key):
        requests = list[int]()
        request = int(row[st.QUEUE_FIRST]) if row[st.QUEUED] > 0 else -1
        while request >= 0 and len(requests) <= row[st.QUEUED]:
            requests.append(request)
            request = int(world.next_request[request])
        if len(requests) != row[st.QUEUED] or (requests and requests[-1] != row[st.QUEUE_LAST]):
            return f"the queue of key {key} is not as long as it is counted"
        users = problem.request[requests, st.USER]
        np.add.at(waiting, users[users >= 0], 1)
    return "" if (waiting == world.user_waiting).all() else "users have other requests that wait than are counted"


def _rates(problem: Problem, world: World) -> str:
    """The power of each part is the sum over nodes and containers."""
    rate = np.zeros_like(world.rate)
    parts = {st.OFF: (st.OFF_UJ, st.OFF_MW), st.BOOTING: (st.BOOT_UJ, st.BOOT_MW), st.ON: (st.IDLE_NODE_UJ, st.IDLE_MW)}
    for node, about in enumerate(problem.node):
        part, watts = parts[int(world.node[node, st.NODE_STATE])]
        rate[about[st.PLACE], part] += about[watts]
    powers = {
        st.STARTED: (st.START_UJ, st.START_MW),
        st.WARM: (st.WARM_UJ, st.WARM_MW),
        st.BUSY: (st.BUSY_UJ, st.BUSY_MW),
    }
    for slot in _containers(world):
        row, function = world.container[slot], problem.function[_function(problem, world, slot)]
        place, state = problem.node[row[st.NODE], st.PLACE], int(row[st.STATE])
        part, watts = powers[state]
        if state != st.STARTED or world.node[row[st.NODE], st.NODE_STATE] == st.ON:
            rate[place, part] += function[watts]
        if state != st.BUSY:
            rate[place, st.SPARE_MIB_MS] += function[st.MEMORY]
            rate[place, st.SPARE_MILLI_MS] += function[st.GPU]
    return "" if (rate == world.rate).all() else "the power is not that of the nodes and containers that are there"


def _timers(world: World) -> str:
    """The heap of timers is one, and knows where each timer stands."""
    size = int(world.clock[st.TIMERS])
    for at in range(size):
        if world.timer_at[world.timer[at, 2]] != at + 1:
            return f"timer {world.timer[at, 2]} does not know its position"
        above = world.timer[(at - 1) >> 1] if at else world.timer[0]
        if tuple(world.timer[at, :2]) < tuple(above[:2]):
            return "the heap of timers is out of order"
    return "" if int((world.timer_at > 0).sum()) == size else "a timer is set that is not in the heap"


def _layers(problem: Problem, world: World) -> str:
    """Caches count what they hold, and hold what containers use."""
    users = np.zeros(world.layer.shape[:2], np.int64)
    for slot in _containers(world):
        function = _function(problem, world, slot)
        for index in range(problem.layer_first[function], problem.layer_first[function + 1]):
            users[world.container[slot, st.NODE], problem.layer_of[index]] += 1
    if (users != world.layer[:, :, st.LAYER_USERS]).any():
        return "a layer counts other users than it has"
    is_cached = world.layer[:, :, st.AVAILABLE_MS] != st.MISSING
    if (users[~is_cached] > 0).any():
        return "a container uses a layer that its node lacks"
    if (np.where(is_cached, problem.layer_bytes, 0).sum(axis=1) != world.node[:, st.CACHED]).any():
        return "a cache counts other bytes than it holds"
    return ""
