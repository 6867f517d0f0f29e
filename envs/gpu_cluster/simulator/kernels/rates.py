"""How fast a running job goes, what that costs, and the two levers that change it: power caps and elastic width.

Compiled; `reference/` says the same in plain words. The speed of a job is the product of what its GPU model, the
number of its nodes, its width and the power cap make of it, each looked up in `Problem.curves`.
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.events import heapify
from envs.gpu_cluster.simulator.kernels.work import delay, finish_time, set_pace, settle
from envs.gpu_cluster.simulator.log import JOB_RESIZE, record
from envs.gpu_cluster.simulator.packing.counted import link_part, move_node
from envs.gpu_cluster.simulator.packing.detailed import most_more_gpus, retake_part
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table


@helper
def count_nodes(cluster: Cluster, slot: int) -> int:
    """The nodes that a running job is on."""
    nodes = 1 if cluster.run[slot, st.RUN_GPUS] > 0 or cluster.run[slot, st.RUN_SHARE] >= 0 else 0
    node = cluster.run[slot, st.RUN_CHAIN]
    while node >= 0:
        nodes += 1
        node = cluster.node[node, st.NEXT_NODE]
    return nodes


@helper
def times(rate: int, ppm: int) -> int:
    """A rate times parts per million, rounded down."""
    return rate * ppm // st.PPM


@helper
def pace(cluster: Cluster, jobs: Table, curves: Table, slot: int) -> None:
    """Work out the rate of a running job, and what its GPUs lose and save; its finish is not changed."""
    job, pool, pools = cluster.run[slot, st.RUN_JOB], cluster.run[slot, st.RUN_POOL], cluster.pool.shape[0]
    row, milli = curves[jobs[job, st.WORKLOAD]], cluster.run[slot, st.RUN_MILLI]
    # The order of the columns is that of `Curves.flat`. Each factor is rounded down on its own, as in the reference.
    spread_at = pools
    scaling_at = spread_at + st.MAX_SPREAD_NODES + 1
    cap_at = scaling_at + st.MAX_WIDTH_GPUS + 1 + pool * st.POWER_CAPS
    if jobs[job, st.FLAGS] & st.UNTOUCHED == 0:
        cap_at += cluster.pool[pool, st.POWER_CAP]
    rate = times(st.PPM, row[pool])
    rate = times(rate, row[spread_at + min(count_nodes(cluster, slot), st.MAX_SPREAD_NODES)])
    if milli != jobs[job, st.MILLI]:
        requested = row[scaling_at + min(jobs[job, st.MILLI] // 1000, st.MAX_WIDTH_GPUS)]
        rate = rate * row[scaling_at + min(milli // 1000, st.MAX_WIDTH_GPUS)] // requested
    rate = max(1, times(rate, row[cap_at]))
    saved = times(milli, st.PPM - row[cap_at + pools * st.POWER_CAPS])
    set_pace(cluster, slot, rate, milli - times(jobs[job, st.MILLI], rate), saved)


@rare
def cap_power(cluster: Cluster, jobs: Table, curves: Table, pool: int, level: int) -> None:
    """Put a pool's GPUs under a power cap; all its jobs go on at once at their new speed."""
    if level == cluster.pool[pool, st.POWER_CAP]:
        return
    cluster.pool[pool, st.POWER_CAP] = level
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        if cluster.run[slot, st.RUN_POOL] == pool:
            settle(cluster, slot)
            pace(cluster, jobs, curves, slot)
            cluster.run[slot, st.RUN_FINISH] = finish_time(cluster, slot)
    heapify(cluster)  # once for all of them: to put each in its place it would have to be searched for


@helper
def shrinkable(cluster: Cluster, jobs: Table, pools: Table, slot: int) -> int:
    """GPUs that a running job would give back if it were narrowed; it keeps one on its last node."""
    above = (cluster.run[slot, st.RUN_MILLI] - jobs[cluster.run[slot, st.RUN_JOB], st.MIN_MILLI]) // 1000
    last = (
        cluster.run[slot, st.RUN_GPUS]
        if cluster.run[slot, st.RUN_GPUS] > 0
        else pools[cluster.run[slot, st.RUN_POOL], st.GPUS]
    )
    return max(0, min(above, last - 1)) if cluster.run[slot, st.RUN_SHARE] < 0 else 0


@helper
def growable(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int) -> int:
    """GPUs that a running job would take if it were widened: those free on the node that it has a part of."""
    below = (jobs[cluster.run[slot, st.RUN_JOB], st.MAX_MILLI] - cluster.run[slot, st.RUN_MILLI]) // 1000
    if below <= 0 or cluster.run[slot, st.RUN_GPUS] == 0:
        return 0
    below = min(below, cluster.node[cluster.run[slot, st.RUN_NODE], st.FREE_GPUS])
    return most_more_gpus(cluster, jobs, pools, slot, below) if settings.is_detailed else below


@helper
def resize(
    cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, slot: int, gpus: int
) -> None:
    """Give a running job more GPUs of the node that it has a part of, or take some away; it restarts."""
    pool, node = cluster.run[slot, st.RUN_POOL], cluster.run[slot, st.RUN_NODE]
    cluster.run[slot, st.RUN_GPUS] += gpus
    if settings.is_detailed:
        retake_part(settings.detail, cluster, jobs, pools, slot, node, cluster.run[slot, st.RUN_GPUS] - gpus)
    else:
        move_node(cluster, pools, pool, node, cluster.node[node, st.FREE_GPUS] - gpus, cluster.clock[st.NOW])
    cluster.run[slot, st.RUN_MILLI] += gpus * 1000
    cluster.pool[pool, st.USED_MILLI] += gpus * 1000
    record(cluster, JOB_RESIZE, pool, cluster.run[slot, st.RUN_JOB], node, cluster.run[slot, st.RUN_GPUS] * 1000)
    cluster.pool[pool, st.RESIZES] += 1
    settle(cluster, slot)
    pace(cluster, jobs, curves, slot)
    delay(cluster, jobs, settings, slot, settings.resize_ms)


@helper
def open_last_node(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int) -> None:
    """Let a job of whole nodes have a part of one instead, as large as the node: the one that it took first."""
    node = cluster.run[slot, st.RUN_CHAIN]
    cluster.run[slot, st.RUN_CHAIN] = cluster.node[node, st.NEXT_NODE]
    cluster.run[slot, st.RUN_NODE], cluster.run[slot, st.RUN_GPUS] = (
        node,
        pools[cluster.run[slot, st.RUN_POOL], st.GPUS],
    )
    if settings.is_detailed:
        cluster.run[slot, st.RUN_BITS] = (1 << cluster.run[slot, st.RUN_GPUS]) - 1
    if settings.moves_jobs:
        link_part(cluster, jobs, slot, node)


@helper
def next_to_resize(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, grow: bool) -> int:
    """The running slot of the lowest job of a pool that can be widened, or narrowed; -1 if there is none."""
    best = -1
    for slot in range(cluster.clock[st.SLOTS]):
        is_here = cluster.run[slot, st.RUN_MILLI] > 0 and cluster.run[slot, st.RUN_POOL] == pool
        is_next = best < 0 or cluster.run[slot, st.RUN_JOB] < cluster.run[best, st.RUN_JOB]
        if is_here and is_next:
            gpus = growable(cluster, jobs, pools, settings, slot) if grow else shrinkable(cluster, jobs, pools, slot)
            if gpus > 0:
                best = slot
    return best


@rare
def shrink_next(cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, pool: int) -> bool:
    """Narrow the first elastic job of a pool that can be; False: there is none."""
    slot = next_to_resize(cluster, jobs, pools, settings, pool, False)
    if slot < 0:
        return False
    gpus = shrinkable(cluster, jobs, pools, slot)
    if cluster.run[slot, st.RUN_GPUS] == 0:
        open_last_node(cluster, jobs, pools, settings, slot)
    resize(cluster, jobs, pools, curves, settings, slot, -gpus)
    return True


@rare
def shrink_jobs(cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, pool: int) -> None:
    """Narrow all elastic jobs of a pool, in order of submission: it decides which GPUs of a node they keep."""
    more = True
    while more:
        more = shrink_next(cluster, jobs, pools, curves, settings, pool)


@rare
def grow_jobs(cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, pool: int) -> None:
    """Widen all elastic jobs of a pool into free GPUs of their nodes, in order of submission."""
    slot = next_to_resize(cluster, jobs, pools, settings, pool, True)
    while slot >= 0:
        resize(cluster, jobs, pools, curves, settings, slot, growable(cluster, jobs, pools, settings, slot))
        slot = next_to_resize(cluster, jobs, pools, settings, pool, True)
