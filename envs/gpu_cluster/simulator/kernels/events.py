"""Jobs that end, wait or are submitted, the heap of those that run, and the passing of time. Compiled."""

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.gpu_cluster.codec import IDLE_AGE_EDGES_SECONDS
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.power import count_excess
from envs.gpu_cluster.simulator.log import JOB_END, record_parts
from envs.gpu_cluster.simulator.packing.counted import wrap
from envs.gpu_cluster.simulator.packing.detailed import release
from envs.gpu_cluster.simulator.queues import add_deferred, move_waiting, precedes
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table

EDGES = len(IDLE_AGE_EDGES_SECONDS)
EDGES_MS = tuple(round(edge * 1000) for edge in IDLE_AGE_EDGES_SECONDS)


@helper
def parent(at: int) -> int:
    """The position above another one in the heap."""
    return (at - 1) >> st.HEAP_SHIFT


@helper
def before(cluster: Cluster, slot: int, finish: int, at: int) -> bool:
    """Whether a slot whose job ends at `finish` goes before that at a position; equal times go by job number."""
    if finish != cluster.heap[at, st.HEAP_FINISH]:
        return finish < cluster.heap[at, st.HEAP_FINISH]
    return cluster.run[slot, st.RUN_JOB] < cluster.run[cluster.heap[at, st.HEAP_SLOT], st.RUN_JOB]


@helper
def copy_entry(cluster: Cluster, at: int, to: int) -> None:
    """Copy an entry of the heap."""
    cluster.heap[to, st.HEAP_SLOT], cluster.heap[to, st.HEAP_FINISH] = (
        cluster.heap[at, st.HEAP_SLOT],
        cluster.heap[at, st.HEAP_FINISH],
    )


@helper
def free_slot(cluster: Cluster) -> int:
    """The slot of the next job to start: the one freed last, or the first that had none."""
    # Free slots lie behind the heap, in its memory, so that no more memory is touched than jobs ever ran at once.
    running = cluster.clock[st.RUNNING]
    if running == cluster.clock[st.SLOTS]:
        cluster.heap[running, st.HEAP_SLOT] = running
        cluster.clock[st.SLOTS] = running + 1
    return cluster.heap[running, st.HEAP_SLOT]


@helper
def push_running(cluster: Cluster, slot: int) -> None:
    """Add a slot to the heap of finishes."""
    cluster.clock[st.RUNNING] += 1
    sift(cluster, cluster.clock[st.RUNNING] - 1, slot)


@helper
def pop_running(cluster: Cluster) -> int:
    """Take the slot that finishes first off the heap; it goes to the free slots behind the heap."""
    first = cluster.heap[0, st.HEAP_SLOT]
    size = cluster.clock[st.RUNNING] - 1
    cluster.clock[st.RUNNING] = size
    sift(cluster, 0, cluster.heap[size, st.HEAP_SLOT])
    cluster.heap[size, st.HEAP_SLOT] = first
    return first


@helper
def position_of(cluster: Cluster, slot: int) -> int:
    """Where a running slot stands in the heap, which is searched for it."""
    at = 0
    while cluster.heap[at, st.HEAP_SLOT] != slot:
        at += 1
    return at


@helper
def sift(cluster: Cluster, at: int, slot: int) -> None:
    """Put a slot where it belongs in the heap, beginning at a position that may be overwritten."""
    finish, size = cluster.run[slot, st.RUN_FINISH], cluster.clock[st.RUNNING]
    # Up, then down: at most one of the loops moves anything, and callers need not know which way it goes.
    while at > 0 and before(cluster, slot, finish, parent(at)):
        copy_entry(cluster, parent(at), at)
        at = parent(at)
    while st.HEAP_ARITY * at + 1 < size:
        child = st.HEAP_ARITY * at + 1
        for other in range(child + 1, min(child + st.HEAP_ARITY, size)):
            if before(cluster, cluster.heap[other, st.HEAP_SLOT], cluster.heap[other, st.HEAP_FINISH], child):
                child = other
        if before(cluster, slot, finish, child):
            break
        copy_entry(cluster, child, at)
        at = child
    cluster.heap[at, st.HEAP_SLOT], cluster.heap[at, st.HEAP_FINISH] = slot, finish


@helper
def remove_running(cluster: Cluster, slot: int) -> None:
    """Take a slot out of the heap, wherever it stands; it goes to the free slots behind the heap."""
    at, size = position_of(cluster, slot), cluster.clock[st.RUNNING] - 1
    cluster.clock[st.RUNNING] = size
    last = cluster.heap[size, st.HEAP_SLOT]
    if at < size:
        sift(cluster, at, last)
    cluster.heap[size, st.HEAP_SLOT] = slot


@helper
def change_finish(cluster: Cluster, slot: int, finish: int) -> None:
    """Give a running slot another finish and put it in its place in the heap."""
    at = position_of(cluster, slot)
    cluster.run[slot, st.RUN_FINISH] = finish
    sift(cluster, at, slot)


@helper
def heapify(cluster: Cluster) -> None:
    """Bring the heap in order after many finishes changed."""
    # Positions before `at` are a heap already, by the finishes that are now; those behind keep old ones until then.
    for at in range(cluster.clock[st.RUNNING]):
        slot, to = cluster.heap[at, st.HEAP_SLOT], at
        finish = cluster.run[slot, st.RUN_FINISH]
        while to > 0 and before(cluster, slot, finish, parent(to)):
            copy_entry(cluster, parent(to), to)
            to = parent(to)
        cluster.heap[to, st.HEAP_SLOT], cluster.heap[to, st.HEAP_FINISH] = slot, finish


@helper
def integrate(cluster: Cluster, pools: Table, settings: Settings, until: int) -> None:
    """Add the time from now to `until` to every integral and move the clock."""
    elapsed = until - cluster.clock[st.NOW]
    if elapsed == 0:
        return
    for pool in range(cluster.pool.shape[0]):
        row = cluster.pool[pool]
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
    cluster.clock[st.WAITED_MILLI_MS] += elapsed * cluster.clock[st.PENDING_MILLI]
    if settings.queue.defers:
        cluster.clock[st.WAITED_MILLI_MS] -= elapsed * cluster.clock[st.DEFERRED_MILLI]
    if settings.suspends:
        cluster.clock[st.WAITED_MILLI_MS] += elapsed * cluster.clock[st.SUSPENDED_MILLI]
    if settings.has_grid:
        count_excess(cluster, pools, elapsed)
    cluster.clock[st.NOW] = until


@helper
def finish_job(cluster: Cluster, jobs: Table, pools: Table, settings: Settings) -> None:
    """End the job that finishes first."""
    slot = pop_running(cluster)
    job = cluster.run[slot, st.RUN_JOB]
    record_parts(cluster, jobs, pools, JOB_END, slot)
    release(cluster, jobs, pools, settings, slot)
    if job >= cluster.clock[st.FIRST_JOB]:  # jobs from before the episode have no row
        cluster.queue[job - cluster.clock[st.FIRST_JOB], st.JOB_END] = cluster.clock[st.NOW]
    cluster.clock[st.FINISHED] += 1
    if settings.queue.counts_misses and cluster.clock[st.NOW] > jobs[job, st.DEADLINE_MS]:
        cluster.clock[st.DEADLINE_MISSES] += 1


@helper
def compact_queue(cluster: Cluster, settings: Settings) -> None:
    """Move the queue to the front of its memory; preempted jobs come back and could run out of it."""
    head, length = cluster.clock[st.QUEUE_HEAD], cluster.clock[st.QUEUE_TAIL] - cluster.clock[st.QUEUE_HEAD]
    for index in range(length):
        move_waiting(cluster, settings, head + index, index)
    cluster.clock[st.QUEUE_HEAD], cluster.clock[st.QUEUE_TAIL] = 0, length


@helper
def enqueue(cluster: Cluster, jobs: Table, settings: Settings, job: int, left: int) -> None:
    """Put a job with `left` of its work in its place in the queue; `order_queue` comes later where usage counts."""
    if cluster.clock[st.QUEUE_TAIL] == cluster.queue.shape[0]:
        compact_queue(cluster, settings)
    # From the end: a job that comes last in its order, as nearly all do in the order of submission, moves no other.
    at = cluster.clock[st.QUEUE_TAIL]
    while at > cluster.clock[st.QUEUE_HEAD] and precedes(
        cluster, jobs, settings, job, cluster.queue[at - 1, st.QUEUE_JOB]
    ):
        move_waiting(cluster, settings, at - 1, at)
        at -= 1
    cluster.queue[at, st.QUEUE_JOB] = job
    if settings.tracks_work:
        cluster.queue[at, st.QUEUE_LEFT] = left
    if settings.queue.goes_in_turn:
        cluster.queue[at, st.QUEUE_POOL] = st.JUST_QUEUED  # one that was preempted has no turn before the next decision
    if settings.queue.defers:
        add_deferred(cluster, jobs, settings, job)
    cluster.clock[st.QUEUE_TAIL] += 1
    cluster.clock[st.PENDING_MILLI] += jobs[job, st.MILLI]
    if jobs[job, st.MILLI] < 1000:
        cluster.clock[st.PENDING_SHARES] += 1
    cluster.pool[jobs[job, st.DEFAULT_POOL], st.PENDING_DEFAULT_MILLI] += jobs[job, st.MILLI]


@helper
def next_ready(cluster: Cluster, pools: Table, pool: int) -> int:
    """When the next boot of a pool ends."""
    if cluster.pool[pool, st.BOOT_HEAD] == cluster.pool[pool, st.BOOT_TAIL]:
        return st.NEVER
    return cluster.node[pools[pool, st.NODE_OFFSET] + cluster.pool[pool, st.BOOT_HEAD], st.BOOT_READY]


@helper
def idle_for(cluster: Cluster, pools: Table, pool: int, age_ms: int, most: int) -> int:
    """How many idle nodes of a pool, at most `most`, have been idle for `age_ms`; they are the first of the ring."""
    low, high = cluster.pool[pool, st.IDLE_HEAD], cluster.pool[pool, st.IDLE_HEAD] + most
    head, nodes, offset = low, pools[pool, st.MAX_NODES], pools[pool, st.NODE_OFFSET]
    while low < high:  # by bisection, for the ring is in the order in which its nodes became idle
        middle = (low + high) >> 1
        if cluster.clock[st.NOW] - cluster.node[offset + wrap(middle, nodes), st.IDLE_SINCE] >= age_ms:
            low = middle + 1
        else:
            high = middle
    return low - head


@helper
def next_age(cluster: Cluster, pools: Table) -> int:
    """When the next idle node passes one of `IDLE_AGE_EDGES_SECONDS`."""
    time = st.NEVER
    for pool in range(cluster.pool.shape[0]):
        head, tail = cluster.pool[pool, st.IDLE_HEAD], cluster.pool[pool, st.IDLE_TAIL]
        old = tail - head
        if old == 0:
            continue
        for edge in EDGES_MS:
            before_edge = old
            old = idle_for(cluster, pools, pool, edge, old)
            if old < before_edge:  # some are younger than the edge: the oldest of those is the first to pass it
                position = head + old
                since = cluster.node[
                    pools[pool, st.NODE_OFFSET] + wrap(position, pools[pool, st.MAX_NODES]), st.IDLE_SINCE
                ]
                time = min(time, since + edge)
    return time
