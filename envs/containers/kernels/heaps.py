"""Two heaps of events: requests that run or are on their way, and timers, of which each has at most one. Compiled."""

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.containers import state as st
from envs.containers.state import Table, World


@helper
def is_before(time: int, code: int, other: Table) -> bool:
    """Whether an event comes before that of a row; at the same ms the kind decides, then the number."""
    if time != other[0]:
        return time < other[0]
    return code < other[1]


@helper
def push_run(world: World, time: int, code: int, container: int) -> None:
    """Add the end of a run, or the moment at which a request reaches its place."""
    heap, at = world.run, world.clock[st.RUNS]
    world.clock[st.RUNS] = at + 1
    while at > 0 and is_before(time, code, heap[(at - 1) >> 1]):
        above = (at - 1) >> 1
        heap[at, 0], heap[at, 1], heap[at, 2] = heap[above, 0], heap[above, 1], heap[above, 2]
        at = above
    heap[at, 0], heap[at, 1], heap[at, 2] = time, code, container


@helper
def pop_run(world: World) -> None:
    """Take the first event off."""
    heap, size = world.run, world.clock[st.RUNS] - 1
    world.clock[st.RUNS] = size
    time, code, container = heap[size, 0], heap[size, 1], heap[size, 2]
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and is_before(heap[child + 1, 0], heap[child + 1, 1], heap[child]):
            child += 1
        if is_before(time, code, heap[child]):
            break
        heap[at, 0], heap[at, 1], heap[at, 2] = heap[child, 0], heap[child, 1], heap[child, 2]
        at = child
    heap[at, 0], heap[at, 1], heap[at, 2] = time, code, container


@helper
def put_timer(world: World, at: int, time: int, code: int, timer: int) -> None:
    """Write an entry of the heap of timers."""
    row = world.timer[at]
    row[0], row[1], row[2] = time, code, timer
    world.timer_at[timer] = at + 1


@helper
def sift_timer(world: World, at: int, time: int, code: int, timer: int) -> None:
    """Put a timer where it belongs, beginning at a position that may be overwritten."""
    heap, size = world.timer, world.clock[st.TIMERS]
    while at > 0 and is_before(time, code, heap[(at - 1) >> 1]):
        above = (at - 1) >> 1
        put_timer(world, at, heap[above, 0], heap[above, 1], heap[above, 2])
        at = above
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and is_before(heap[child + 1, 0], heap[child + 1, 1], heap[child]):
            child += 1
        if is_before(time, code, heap[child]):
            break
        put_timer(world, at, heap[child, 0], heap[child, 1], heap[child, 2])
        at = child
    put_timer(world, at, time, code, timer)


@helper
def set_timer(world: World, timer: int, time: int, kind: int, number: int) -> None:
    """Set a timer, or set it anew; one that is set for never is cleared."""
    if time >= st.FOREVER:
        clear_timer(world, timer)
        return
    at = world.timer_at[timer] - 1
    if at < 0:
        at = world.clock[st.TIMERS]
        world.clock[st.TIMERS] = at + 1
    sift_timer(world, at, time, kind << st.KIND_SHIFT | number, timer)


@helper
def clear_timer(world: World, timer: int) -> None:
    """Take a timer out of the heap, if it is set."""
    at = world.timer_at[timer] - 1
    if at < 0:
        return
    last = world.clock[st.TIMERS] - 1
    world.clock[st.TIMERS] = last
    world.timer_at[timer] = 0
    if at < last:
        row = world.timer[last]
        sift_timer(world, at, row[0], row[1], row[2])
