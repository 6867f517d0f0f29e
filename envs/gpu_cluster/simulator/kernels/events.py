"""Jobs that end, wait or are submitted, the heap of those that run, and the passing of time. Compiled."""

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.gpu_cluster.codec import IDLE_AGE_EDGES_SECONDS
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.log import JOB_END, record_parts
from envs.gpu_cluster.simulator.packing.counted import wrap
from envs.gpu_cluster.simulator.packing.detailed import release
from envs.gpu_cluster.simulator.queues import add_deferred, move_waiting, precedes
from envs.gpu_cluster.simulator.state import Cluster, Settings, Table

EDGES = len(IDLE_AGE_EDGES_SECONDS)
EDGES_MS = tuple(round(edge * 1000) for edge in IDLE_AGE_EDGES_SECONDS)


@helper
def parent(at: int) -> int:
    """The position above another one in the heap."""
    return (at - 1) >> st.HEAP_SHIFT


@helper
def before(c: Cluster, slot: int, finish: int, at: int) -> bool:
    """Whether a slot whose job ends at `finish` goes before that at a position; equal times go by job number."""
    if finish != c.heap[at, st.HEAP_FINISH]:
        return finish < c.heap[at, st.HEAP_FINISH]
    return c.run[slot, st.RUN_JOB] < c.run[c.heap[at, st.HEAP_SLOT], st.RUN_JOB]


@helper
def copy_entry(c: Cluster, at: int, to: int) -> None:
    """Copy an entry of the heap."""
    c.heap[to, st.HEAP_SLOT], c.heap[to, st.HEAP_FINISH] = c.heap[at, st.HEAP_SLOT], c.heap[at, st.HEAP_FINISH]


@helper
def free_slot(c: Cluster) -> int:
    """The slot of the next job to start: the one freed last, or the first that had none."""
    running = c.clock[st.RUNNING]
    if running == c.clock[st.SLOTS]:
        c.heap[running, st.HEAP_SLOT] = running
        c.clock[st.SLOTS] = running + 1
    return c.heap[running, st.HEAP_SLOT]


@helper
def push_running(c: Cluster, slot: int) -> None:
    """Add a slot to the heap of finishes."""
    c.clock[st.RUNNING] += 1
    sift(c, c.clock[st.RUNNING] - 1, slot)


@helper
def pop_running(c: Cluster) -> int:
    """Take the slot that finishes first off the heap; it goes to the free slots behind the heap."""
    first = c.heap[0, st.HEAP_SLOT]
    size = c.clock[st.RUNNING] - 1
    c.clock[st.RUNNING] = size
    sift(c, 0, c.heap[size, st.HEAP_SLOT])
    c.heap[size, st.HEAP_SLOT] = first
    return first


@helper
def position_of(c: Cluster, slot: int) -> int:
    """Where a running slot stands in the heap, which is searched for it."""
    at = 0
    while c.heap[at, st.HEAP_SLOT] != slot:
        at += 1
    return at


@helper
def sift(c: Cluster, at: int, slot: int) -> None:
    """Put a slot where it belongs in the heap, beginning at a position that may be overwritten."""
    finish, size = c.run[slot, st.RUN_FINISH], c.clock[st.RUNNING]
    while at > 0 and before(c, slot, finish, parent(at)):
        copy_entry(c, parent(at), at)
        at = parent(at)
    while st.HEAP_ARITY * at + 1 < size:
        child = st.HEAP_ARITY * at + 1
        for other in range(child + 1, min(child + st.HEAP_ARITY, size)):
            if before(c, c.heap[other, st.HEAP_SLOT], c.heap[other, st.HEAP_FINISH], child):
                child = other
        if before(c, slot, finish, child):
            break
        copy_entry(c, child, at)
        at = child
    c.heap[at, st.HEAP_SLOT], c.heap[at, st.HEAP_FINISH] = slot, finish


@helper
def remove_running(c: Cluster, slot: int) -> None:
    """Take a slot out of the heap, wherever it stands; it goes to the free slots behind the heap."""
    at, size = position_of(c, slot), c.clock[st.RUNNING] - 1
    c.clock[st.RUNNING] = size
    last = c.heap[size, st.HEAP_SLOT]
    if at < size:
        sift(c, at, last)
    c.heap[size, st.HEAP_SLOT] = slot


@helper
def change_finish(c: Cluster, slot: int, finish: int) -> None:
    """Give a running slot another finish and put it in its place in the heap."""
    at = position_of(c, slot)
    c.run[slot, st.RUN_FINISH] = finish
    sift(c, at, slot)


@helper
def heapify(c: Cluster) -> None:
    """Bring the heap in order after many finishes changed."""
    for at in range(c.clock[st.RUNNING]):
        slot, to = c.heap[at, st.HEAP_SLOT], at
        finish = c.run[slot, st.RUN_FINISH]
        while to > 0 and before(c, slot, finish, parent(to)):
            copy_entry(c, parent(to), to)
            to = parent(to)
        c.heap[to, st.HEAP_SLOT], c.heap[to, st.HEAP_FINISH] = slot, finish


@helper
def integrate(c: Cluster, settings: Settings, until: int) -> None:
    """Add the time from now to `until` to every integral and move the clock."""
    elapsed = until - c.clock[st.NOW]
    if elapsed == 0:
        return
    for pool in range(c.pool.shape[0]):
        row = c.pool[pool]
        row[st.IDLE_NODE_MS] += elapsed * (row[st.IDLE_TAIL] - row[st.IDLE_HEAD])
        row[st.BUSY_NODE_MS] += elapsed * row[st.BUSY]
        row[st.BOOT_NODE_MS] += elapsed * (row[st.BOOT_TAIL] - row[st.BOOT_HEAD])
        row[st.USED_MILLI_MS] += elapsed * row[st.USED_MILLI]
        if settings.tracks_work:
            row[st.OVERHEAD_MILLI_MS] += elapsed * row[st.SLOW_MILLI]
            row[st.SAVED_MILLI_MS] += elapsed * row[st.SAVED_MILLI]
        if settings.is_stochastic:
            row[st.IDLE_NODE_MS] += elapsed * row[st.DRAINING]
            row[st.DOWN_NODE_MS] += elapsed * row[st.DOWN]
    c.clock[st.WAITED_MILLI_MS] += elapsed * c.clock[st.PENDING_MILLI]
    if settings.queue.defers:
        c.clock[st.WAITED_MILLI_MS] -= elapsed * c.clock[st.DEFERRED_MILLI]
    c.clock[st.NOW] = until


@helper
def finish_job(c: Cluster, jobs: Table, pools: Table, settings: Settings) -> None:
    """End the job that finishes first."""
    slot = pop_running(c)
    job = c.run[slot, st.RUN_JOB]
    record_parts(c, jobs, pools, JOB_END, slot)
    release(c, jobs, pools, settings, slot)
    if job >= c.clock[st.FIRST_JOB]:
        c.queue[job - c.clock[st.FIRST_JOB], st.JOB_END] = c.clock[st.NOW]
    c.clock[st.FINISHED] += 1
    if settings.queue.counts_misses and c.clock[st.NOW] > jobs[job, st.DEADLINE_MS]:
        c.clock[st.DEADLINE_MISSES] += 1


@helper
def make_room(c: Cluster, settings: Settings) -> None:
    """Move the queue to the front of its memory; preempted jobs come back and could run out of it."""
    head, length = c.clock[st.QUEUE_HEAD], c.clock[st.QUEUE_TAIL] - c.clock[st.QUEUE_HEAD]
    for index in range(length):
        move_waiting(c, settings, head + index, index)
    c.clock[st.QUEUE_HEAD], c.clock[st.QUEUE_TAIL] = 0, length


@helper
def enqueue(c: Cluster, jobs: Table, settings: Settings, job: int, left: int) -> None:
    """Put a job with `left` of its work in its place in the queue; `order_queue` comes later where usage counts."""
    if c.clock[st.QUEUE_TAIL] == c.queue.shape[0]:
        make_room(c, settings)
    at = c.clock[st.QUEUE_TAIL]
    while at > c.clock[st.QUEUE_HEAD] and precedes(c, jobs, settings, job, c.queue[at - 1, st.QUEUE_JOB]):
        move_waiting(c, settings, at - 1, at)
        at -= 1
    c.queue[at, st.QUEUE_JOB] = job
    if settings.tracks_work:
        c.queue[at, st.QUEUE_LEFT] = left
    if settings.queue.goes_in_turn:
        c.queue[at, st.QUEUE_POOL] = st.JUST_QUEUED  # one that was preempted has no turn before the next decision
    if settings.queue.defers:
        add_deferred(c, jobs, settings, job)
    c.clock[st.QUEUE_TAIL] += 1
    c.clock[st.PENDING_MILLI] += jobs[job, st.MILLI]
    if jobs[job, st.MILLI] < 1000:
        c.clock[st.PENDING_SHARES] += 1
    c.pool[jobs[job, st.DEFAULT_POOL], st.PENDING_DEFAULT_MILLI] += jobs[job, st.MILLI]


@helper
def next_ready(c: Cluster, pools: Table, pool: int) -> int:
    """When the next boot of a pool ends."""
    if c.pool[pool, st.BOOT_HEAD] == c.pool[pool, st.BOOT_TAIL]:
        return st.NEVER
    return c.node[pools[pool, st.NODE_OFFSET] + c.pool[pool, st.BOOT_HEAD], st.BOOT_READY]


@helper
def idle_for(c: Cluster, pools: Table, pool: int, age_ms: int, most: int) -> int:
    """How many idle nodes of a pool, at most `most`, have been idle for `age_ms`; they are the first of the ring."""
    low, high = c.pool[pool, st.IDLE_HEAD], c.pool[pool, st.IDLE_HEAD] + most
    head, nodes, offset = low, pools[pool, st.MAX_NODES], pools[pool, st.NODE_OFFSET]
    while low < high:
        middle = (low + high) >> 1
        if c.clock[st.NOW] - c.node[offset + wrap(middle, nodes), st.IDLE_SINCE] >= age_ms:
            low = middle + 1
        else:
            high = middle
    return low - head


@helper
def next_age(c: Cluster, pools: Table) -> int:
    """When the next idle node passes one of `IDLE_AGE_EDGES_SECONDS`."""
    time = st.NEVER
    for pool in range(c.pool.shape[0]):
        head, tail = c.pool[pool, st.IDLE_HEAD], c.pool[pool, st.IDLE_TAIL]
        old = tail - head
        if old == 0:
            continue
        for edge in EDGES_MS:
            before_edge = old
            old = idle_for(c, pools, pool, edge, old)
            if old < before_edge:
                position = head + old
                since = c.node[pools[pool, st.NODE_OFFSET] + wrap(position, pools[pool, st.MAX_NODES]), st.IDLE_SINCE]
                time = min(time, since + edge)
    return time
