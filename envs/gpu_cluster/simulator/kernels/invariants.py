"""What must hold in a cluster after every event, whatever was decided. Compiled; checked where `Settings.debug`.

Each check has a number, and `RULES` says in words what it requires.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.events import parent
from envs.gpu_cluster.simulator.kernels.suspension import paying_milli
from envs.gpu_cluster.simulator.packing.bits import lowest_node, next_node
from envs.gpu_cluster.simulator.packing.detailed import part_of
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table

RULES = (
    "every rule holds",
    "the counts of busy nodes by free GPUs sum to the busy nodes",
    "the bit sets hold as many busy nodes as the counts say, each with the free GPUs that its set is for",
    "idle, busy, booting, draining and lost nodes and those that are off are all nodes of the pool",
    "the GPUs in use are those that the running jobs have",
    "the used and the free GPUs of busy nodes are all their GPUs",
    "the finishes of running jobs are a heap, and none lies in the past",
    "the GPUs that waiting jobs request are the sum over the queue",
    "idle nodes stand in the order in which they became idle",
    "booting nodes stand in the order in which they will be ready, and none is late",
    "a job that started did so after its submission and ended after its start",
    "no job runs or waits twice",
    "no node gives more CPUs, memory or GPUs than it has, and as many GPUs of it are free as are counted",
    "the CPUs and the memory in use are those that the running jobs request",
    "a suspended job neither runs nor waits, and its waiting is paid for",
)
"""What each rule requires, by number; rule 0 is no rule."""


@helper
def count_bits(cluster: Cluster, pools: Table, pool: int, free: int) -> int:
    """How many nodes stand in a bit set, -1 if one of them has not `free` GPUs; set 0 holds the nodes that are off."""
    nodes, node = 0, lowest_node(cluster, pools, pool, free)
    while node >= 0:
        if free > 0 and cluster.node[node, st.FREE_GPUS] != free:
            return -1
        nodes += 1
        node = next_node(cluster, pools, pool, free, node)
    return nodes


@helper
def broken_counts(cluster: Cluster, pools: Table, pool: int) -> int:
    """The number of a rule about nodes and their free GPUs that does not hold, else 0."""
    row, gpus = cluster.pool[pool], pools[pool, st.GPUS]
    busy, free_gpus, rule = row[st.FREE_COUNT], 0, 0
    for free in range(1, gpus):
        busy += row[st.FREE_COUNT + free]
        free_gpus += free * row[st.FREE_COUNT + free]
        if count_bits(cluster, pools, pool, free) != row[st.FREE_COUNT + free]:
            rule = 2
    idle, booting = row[st.IDLE_TAIL] - row[st.IDLE_HEAD], row[st.BOOT_TAIL] - row[st.BOOT_HEAD]
    nodes = idle + busy + booting + row[st.DRAINING] + row[st.DOWN] + count_bits(cluster, pools, pool, 0)
    if busy != row[st.BUSY]:
        rule = 1
    elif min(idle, booting, row[st.DRAINING], row[st.DOWN]) < 0 or nodes != pools[pool, st.MAX_NODES]:
        rule = 3
    elif row[st.USED_MILLI] + 1000 * free_gpus + row[st.SHARED_FREE_MILLI] != 1000 * busy * gpus:
        rule = 5
    return rule


@helper
def broken_rings(cluster: Cluster, pools: Table, pool: int) -> int:
    """The number of a rule about the order of idle and booting nodes that does not hold, else 0."""
    row, offset, nodes = cluster.pool[pool], pools[pool, st.NODE_OFFSET], pools[pool, st.MAX_NODES]
    before = -st.NEVER
    for position in range(row[st.IDLE_HEAD], row[st.IDLE_TAIL]):
        since = cluster.node[offset + position % nodes, st.IDLE_SINCE]
        if since < before or since > cluster.clock[st.NOW]:
            return 8
        before = since
    before = cluster.clock[st.NOW]
    for position in range(row[st.BOOT_HEAD], row[st.BOOT_TAIL]):
        ready = cluster.node[offset + position % nodes, st.BOOT_READY]
        if ready < before:
            return 9
        before = ready
    return 0


@helper
def requested(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int, what: int, limit: int) -> int:
    """CPUs or memory that a running job has: what goes with each of its GPUs, and what could not be divided."""
    job = cluster.run[slot, st.RUN_JOB]
    if pools[cluster.run[slot, st.RUN_POOL], limit] < 0:
        return 0
    units = max(1, jobs[job, st.MILLI] // 1000)
    has = max(1, cluster.run[slot, st.RUN_MILLI] // 1000) if settings.tracks_work else units
    return part_of(jobs[job, what], units, has, True)


@helper
def broken_nodes(cluster: Cluster, jobs: Table, pools: Table, settings: Settings) -> int:
    """The number of a rule about detailed nodes that does not hold, else 0."""
    cpu, memory = 0, 0
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        cpu += requested(cluster, jobs, pools, settings, slot, st.CPU_MILLI, st.NODE_CPU)
        memory += requested(cluster, jobs, pools, settings, slot, st.MEMORY_MIB, st.NODE_MEMORY)
    for pool in range(pools.shape[0]):
        offset = pools[pool, st.NODE_OFFSET]
        for node in range(offset, offset + pools[pool, st.MAX_NODES]):
            row = cluster.detail.node[node]
            is_over = row[ns.FREE_CPU] < 0 or row[ns.FREE_MEMORY] < 0
            for gpu in range(pools[pool, st.GPUS]):
                is_over = is_over or cluster.detail.gpu[node, gpu] < 0
            if is_over or (row[ns.OPEN] == 1 and row[ns.WHOLE] != cluster.node[node, st.FREE_GPUS]):
                return 12
            if pools[pool, st.NODE_CPU] >= 0:
                cpu -= pools[pool, st.NODE_CPU] - row[ns.FREE_CPU]
            if pools[pool, st.NODE_MEMORY] >= 0:
                memory -= pools[pool, st.NODE_MEMORY] - row[ns.FREE_MEMORY]
    return 13 if cpu != 0 or memory != 0 else 0


@helper
def broken_running(cluster: Cluster, jobs: Table, settings: Settings) -> int:
    """The number of a rule about running jobs that does not hold, else 0."""
    used = 0
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        used += (
            cluster.run[slot, st.RUN_MILLI] if settings.tracks_work else jobs[cluster.run[slot, st.RUN_JOB], st.MILLI]
        )
        above = cluster.heap[parent(index), st.HEAP_SLOT] if index > 0 else slot
        if cluster.heap[index, st.HEAP_FINISH] != cluster.run[slot, st.RUN_FINISH]:
            return 6
        if cluster.run[slot, st.RUN_FINISH] < max(cluster.clock[st.NOW], cluster.run[above, st.RUN_FINISH]):
            return 6
        for other in range(index):
            if cluster.run[cluster.heap[other, st.HEAP_SLOT], st.RUN_JOB] == cluster.run[slot, st.RUN_JOB]:
                return 11
    for pool in range(cluster.pool.shape[0]):
        used -= cluster.pool[pool, st.USED_MILLI]
    return 4 if used != 0 else 0


@helper
def is_running(cluster: Cluster, job: int) -> bool:
    """Whether a job runs."""
    for index in range(cluster.clock[st.RUNNING]):
        if cluster.run[cluster.heap[index, st.HEAP_SLOT], st.RUN_JOB] == job:
            return True
    return False


@helper
def broken_queue(cluster: Cluster, jobs: Table) -> int:
    """The number of a rule about waiting jobs that does not hold, else 0."""
    pending = 0
    for at in range(cluster.clock[st.QUEUE_HEAD], cluster.clock[st.QUEUE_TAIL]):
        job = cluster.queue[at, st.QUEUE_JOB]
        pending += jobs[job, st.MILLI]
        if is_running(cluster, job):
            return 11
        for other in range(at + 1, cluster.clock[st.QUEUE_TAIL]):
            if cluster.queue[other, st.QUEUE_JOB] == job:
                return 11
    return 7 if pending != cluster.clock[st.PENDING_MILLI] else 0


@helper
def broken_times(cluster: Cluster, jobs: Table) -> int:
    """The number of a rule about the times of jobs that does not hold, else 0."""
    for row in range(cluster.clock[st.NEXT_JOB] - cluster.clock[st.FIRST_JOB]):
        start, submit = cluster.queue[row, st.JOB_START], jobs[cluster.clock[st.FIRST_JOB] + row, st.SUBMIT_MS]
        if start < submit or cluster.queue[row, st.JOB_END] < start:
            return 10
    return 0


@helper
def broken_suspensions(cluster: Cluster, jobs: Table, settings: Settings) -> int:
    """The number of a rule about suspended jobs that does not hold, else 0."""
    paying = 0
    for at in range(cluster.clock[st.SUSPENDED]):
        job = cluster.queue[at, st.SUSPENDED_JOB]
        paying += paying_milli(jobs, settings, job)
        if is_running(cluster, job) or cluster.queue[at, st.SUSPENDED_UNTIL] < cluster.clock[st.NOW]:
            return 14
        for waiting in range(cluster.clock[st.QUEUE_HEAD], cluster.clock[st.QUEUE_TAIL]):
            if cluster.queue[waiting, st.QUEUE_JOB] == job:
                return 14
    return 14 if paying != cluster.clock[st.SUSPENDED_MILLI] else 0


@rare
def check(cluster: Cluster, jobs: Table, pools: Table, settings: Settings) -> None:
    """Keep the number of the first rule that did not hold, and when."""
    if cluster.clock[st.BROKEN_RULE] != 0:
        return
    rule = broken_running(cluster, jobs, settings)
    if rule == 0:
        rule = broken_queue(cluster, jobs)
    if rule == 0:
        rule = broken_times(cluster, jobs)
    if rule == 0 and settings.is_detailed:
        rule = broken_nodes(cluster, jobs, pools, settings)
    if rule == 0 and settings.suspends:
        rule = broken_suspensions(cluster, jobs, settings)
    for pool in range(pools.shape[0]):
        if rule == 0:
            rule = broken_counts(cluster, pools, pool)
        if rule == 0:
            rule = broken_rings(cluster, pools, pool)
    if rule != 0:
        cluster.clock[st.BROKEN_RULE], cluster.clock[st.BROKEN_MS] = rule, cluster.clock[st.NOW]


def describe_broken(clock: NDArray[np.int64]) -> str:
    """What did not hold in a cluster, empty where all did.

    Args:
        clock: [CLOCK_SIZE] int64, `Cluster.clock`.
    """
    if clock[st.BROKEN_RULE] == 0:
        return ""
    return f"at {clock[st.BROKEN_MS] / 1000} s it did not hold that {RULES[clock[st.BROKEN_RULE]]}"
