"""Preemption by priority: which jobs make way for a more urgent one. Compiled; `reference/` defines it."""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.reservations import change_job, fits_trial, open_trial
from envs.gpu_cluster.simulator.kernels.work import preempt
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table


@helper
def may_preempt(cluster: Cluster, jobs: Table, slot: int, pool: int, job: int) -> bool:
    """Whether a running job may make way for another: it can be checkpointed and its priority is lower."""
    other = cluster.run[slot, st.RUN_JOB]
    if cluster.run[slot, st.RUN_POOL] != pool or jobs[other, st.PRIORITY] >= jobs[job, st.PRIORITY]:
        return False
    return jobs[other, st.FLAGS] & st.MOVABLE != 0


@helper
def follows(jobs: Table, job: int, other: int) -> bool:
    """Whether a job may stay rather than another only after that one: its priority is lower, or it is a later one."""
    if jobs[job, st.PRIORITY] != jobs[other, st.PRIORITY]:
        return jobs[job, st.PRIORITY] < jobs[other, st.PRIORITY]
    return job > other


@helper
def list_victims(cluster: Cluster, jobs: Table, pool: int, job: int) -> int:
    """List the slots of the jobs that may make way; return how many."""
    count = 0
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        if may_preempt(cluster, jobs, slot, pool, job):
            cluster.run[count, st.RUN_LISTED] = slot
            count += 1
    return count


@helper
def listed_job(cluster: Cluster, at: int) -> int:
    """The job of a slot that is listed."""
    return cluster.run[cluster.run[at, st.RUN_LISTED], st.RUN_JOB]


@helper
def sink(cluster: Cluster, jobs: Table, at: int, count: int) -> None:
    """Let a slot of the heap of the first `count` that are listed sink until none below it has to go before it."""
    slot, job, child = cluster.run[at, st.RUN_LISTED], listed_job(cluster, at), 2 * at + 1
    while child < count:
        if child + 1 < count and follows(jobs, listed_job(cluster, child + 1), listed_job(cluster, child)):
            child += 1
        if not follows(jobs, listed_job(cluster, child), job):
            break
        cluster.run[at, st.RUN_LISTED] = cluster.run[child, st.RUN_LISTED]
        at, child = child, 2 * child + 1
    cluster.run[at, st.RUN_LISTED] = slot


@helper
def heap_victims(cluster: Cluster, jobs: Table, count: int) -> None:
    """Bring the list in the order of a heap, with the job on top that has to go first."""
    for at in range(count // 2 - 1, -1, -1):
        sink(cluster, jobs, at, count)


@helper
def pop_victim(cluster: Cluster, jobs: Table, count: int) -> int:
    """Take the job that has to go first off the heap of `count`, and put it behind the rest; return its slot."""
    slot = cluster.run[0, st.RUN_LISTED]
    cluster.run[0, st.RUN_LISTED] = cluster.run[count - 1, st.RUN_LISTED]
    sink(cluster, jobs, 0, count - 1)
    cluster.run[count - 1, st.RUN_LISTED] = slot
    return slot


@helper
def choose_victims(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, job: int) -> int:
    """Write the slots of the jobs that make way, and count them; 0: not even all of them are enough.

    As Kubernetes does: all are set aside, then from the most urgent on each is put back that leaves
    enough free. Free capacity only grows with each that is set aside, so those that are not needed go back at once.
    """
    count, victims = list_victims(cluster, jobs, pool, job), 0
    if count == 0:
        return 0
    heap_victims(cluster, jobs, count)  # a heap, for in most cases a few of many have to go
    open_trial(cluster, pools, settings, pool)
    stay = count
    while not fits_trial(cluster, jobs, pools, settings, job, pool):
        if stay == 0:
            return 0
        change_job(cluster, jobs, pools, settings, pop_victim(cluster, jobs, stay), 1)
        stay -= 1
    if stay < count:  # the last one is needed: without it the job did not fit
        cluster.run[0, st.RUN_LISTED], victims = cluster.run[stay, st.RUN_LISTED], 1
    for index in range(stay + 1, count):
        slot = cluster.run[index, st.RUN_LISTED]
        change_job(cluster, jobs, pools, settings, slot, -1)
        if not fits_trial(cluster, jobs, pools, settings, job, pool):
            change_job(cluster, jobs, pools, settings, slot, 1)
            cluster.run[victims, st.RUN_LISTED] = slot
            victims += 1
    return victims


@rare
def make_way(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int) -> bool:
    """Preempt jobs so that another fits, at most `max_victims`; False: it cannot be, and nothing has changed."""
    victims = choose_victims(cluster, jobs, pools, settings, pool, job)
    if victims == 0 or victims > settings.queue.max_victims:
        return False
    for index in range(victims):
        preempt(cluster, jobs, pools, settings, cluster.run[index, st.RUN_LISTED], settings.queue.has_notice)
    return True
