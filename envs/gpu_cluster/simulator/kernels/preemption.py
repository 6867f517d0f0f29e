"""Preemption by priority: which jobs make way for a more urgent one. Compiled; `reference/` defines it."""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.reservations import change_job, has_room, open_room
from envs.gpu_cluster.simulator.kernels.work import preempt
from envs.gpu_cluster.simulator.state import Cluster, Settings, Table


@helper
def may_preempt(c: Cluster, jobs: Table, slot: int, pool: int, job: int) -> bool:
    """Whether a running job may make way for another: it can be checkpointed and its priority is lower."""
    other = c.run[slot, st.RUN_JOB]
    if c.run[slot, st.RUN_POOL] != pool or jobs[other, st.PRIORITY] >= jobs[job, st.PRIORITY]:
        return False
    return jobs[other, st.FLAGS] & st.MOVABLE != 0


@helper
def follows(jobs: Table, job: int, other: int) -> bool:
    """Whether a job may stay rather than another only after that one: its priority is lower, or it is a later one."""
    if jobs[job, st.PRIORITY] != jobs[other, st.PRIORITY]:
        return jobs[job, st.PRIORITY] < jobs[other, st.PRIORITY]
    return job > other


@helper
def list_victims(c: Cluster, jobs: Table, pool: int, job: int) -> int:
    """List the slots of the jobs that may make way; return how many."""
    count = 0
    for index in range(c.clock[st.RUNNING]):
        slot = c.heap[index, st.HEAP_SLOT]
        if may_preempt(c, jobs, slot, pool, job):
            c.run[count, st.RUN_LISTED] = slot
            count += 1
    return count


@helper
def listed_job(c: Cluster, at: int) -> int:
    """The job of a slot that is listed."""
    return c.run[c.run[at, st.RUN_LISTED], st.RUN_JOB]


@helper
def sink(c: Cluster, jobs: Table, at: int, count: int) -> None:
    """Let a slot of the heap of the first `count` that are listed sink until none below it has to go before it."""
    slot, job, child = c.run[at, st.RUN_LISTED], listed_job(c, at), 2 * at + 1
    while child < count:
        if child + 1 < count and follows(jobs, listed_job(c, child + 1), listed_job(c, child)):
            child += 1
        if not follows(jobs, listed_job(c, child), job):
            break
        c.run[at, st.RUN_LISTED] = c.run[child, st.RUN_LISTED]
        at, child = child, 2 * child + 1
    c.run[at, st.RUN_LISTED] = slot


@helper
def heap_victims(c: Cluster, jobs: Table, count: int) -> None:
    """Bring the list in the order of a heap, with the job on top that has to go first."""
    for at in range(count // 2 - 1, -1, -1):
        sink(c, jobs, at, count)


@helper
def pop_victim(c: Cluster, jobs: Table, count: int) -> int:
    """Take the job that has to go first off the heap of `count`, and put it behind the rest; return its slot."""
    slot = c.run[0, st.RUN_LISTED]
    c.run[0, st.RUN_LISTED] = c.run[count - 1, st.RUN_LISTED]
    sink(c, jobs, 0, count - 1)
    c.run[count - 1, st.RUN_LISTED] = slot
    return slot


@helper
def choose_victims(c: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, job: int) -> int:
    """Write the slots of the jobs that make way, and count them; 0: not even all of them are enough.

    As Kubernetes does: all are set aside, then from the most urgent on each is put back that leaves room enough. Room
    only grows with each that is set aside, so that those are put back at once which are not needed to make room.
    """
    count, victims = list_victims(c, jobs, pool, job), 0
    if count == 0:
        return 0
    heap_victims(c, jobs, count)
    open_room(c, pools, settings, pool)
    stay = count
    while not has_room(c, jobs, pools, settings, job, pool):
        if stay == 0:
            return 0
        change_job(c, jobs, pools, settings, pop_victim(c, jobs, stay), 1)
        stay -= 1
    if stay < count:  # the one that made room is needed
        c.run[0, st.RUN_LISTED], victims = c.run[stay, st.RUN_LISTED], 1
    for index in range(stay + 1, count):
        slot = c.run[index, st.RUN_LISTED]
        change_job(c, jobs, pools, settings, slot, -1)
        if not has_room(c, jobs, pools, settings, job, pool):
            change_job(c, jobs, pools, settings, slot, 1)
            c.run[victims, st.RUN_LISTED] = slot
            victims += 1
    return victims


@rare
def make_way(c: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int) -> bool:
    """Preempt jobs so that another finds room, at most `max_victims`; False: it cannot be, and nothing has changed."""
    victims = choose_victims(c, jobs, pools, settings, pool, job)
    if victims == 0 or victims > settings.queue.max_victims:
        return False
    for index in range(victims):
        preempt(c, jobs, pools, settings, c.run[index, st.RUN_LISTED], settings.queue.has_notice)
    return True
