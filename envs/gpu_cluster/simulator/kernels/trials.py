"""A trial: what the nodes of a pool would have free, in scratch columns, while something is tried. Compiled.

Where a pool counts GPUs it is the free GPUs of each node; of detailed nodes it is also their CPUs, their memory and
each GPU. Jobs are taken out of it and put into it without touching the cluster, see `reservations.py` and
`preemption.py`; `TRIAL` counts its nodes by free GPUs.
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.packing.counted import wrap
from envs.gpu_cluster.simulator.packing.detailed import (
    NEWEST_IDLE,
    NO_NODE,
    choose_its_gpus,
    part_gpus,
    write_request,
)
from envs.gpu_cluster.simulator.settings import DetailSettings
from envs.gpu_cluster.simulator.state import Cluster, Table


@helper
def change_free(cluster: Cluster, pool: int, node: int, gpus: int) -> None:
    """Give a node more free GPUs in the trial, or fewer."""
    free = cluster.node[node, st.NODE_TRIAL]
    cluster.pool[pool, st.TRIAL + free] -= 1
    cluster.pool[pool, st.TRIAL + free + gpus] += 1
    cluster.node[node, st.NODE_TRIAL] = free + gpus


@rare
def open_detailed_trial(cluster: Cluster, pools: Table, pool: int) -> None:
    """Fill the trial with what detailed nodes have free now; nodes that are not busy have all their GPUs."""
    first, gpus = pools[pool, st.NODE_OFFSET], pools[pool, st.GPUS]
    for node in range(first, first + pools[pool, st.MAX_NODES]):
        row = cluster.detail.node[node]
        row[ns.TRIAL_CPU], row[ns.TRIAL_MEMORY] = row[ns.FREE_CPU], row[ns.FREE_MEMORY]
        cluster.node[node, st.NODE_TRIAL] = row[ns.WHOLE] if row[ns.OPEN] == 1 else gpus
        if cluster.share.shape[0] > 0:
            for gpu in range(gpus):
                row[ns.TRIAL_GPUS + gpu] = cluster.detail.gpu[node, gpu]


@helper
def change_part(cluster: Cluster, pool: int, node: int, bits: int, sign: int) -> None:
    """Remove `cluster.pod` from GPUs (bits) of a node in the trial (sign 1: they become free), or add it (sign -1)."""
    row, whole = cluster.detail.node[node], 0
    row[ns.TRIAL_CPU] += sign * cluster.pod[ns.CPU]
    row[ns.TRIAL_MEMORY] += sign * cluster.pod[ns.MEMORY]
    if cluster.share.shape[0] == 0:  # no job requests a share, and it is enough to count GPUs
        change_free(cluster, pool, node, sign * cluster.pod[ns.NUM_GPUS])
        return
    for gpu in range(row[ns.GPUS]):
        if (bits >> gpu) & 1 == 1:
            row[ns.TRIAL_GPUS + gpu] += sign * cluster.pod[ns.MILLI]
        if row[ns.TRIAL_GPUS + gpu] == 1000:
            whole += 1
    change_free(cluster, pool, node, whole - cluster.node[node, st.NODE_TRIAL])


@rare
def change_detailed_job(cluster: Cluster, jobs: Table, pools: Table, slot: int, sign: int) -> None:
    """Take a running job out of the trial of detailed nodes (sign 1), or put it back (sign -1)."""
    run = cluster.run[slot]
    job, pool, gpus = run[st.RUN_JOB], run[st.RUN_POOL], pools[run[st.RUN_POOL], st.GPUS]
    is_share, has_part = run[st.RUN_SHARE] >= 0, run[st.RUN_SHARE] >= 0 or run[st.RUN_GPUS] > 0
    node, is_last = run[st.RUN_CHAIN], not has_part
    while node >= 0:
        write_request(cluster, jobs, pools, job, pool, gpus, is_last, 1)
        change_part(cluster, pool, node, (1 << gpus) - 1, sign)
        node, is_last = cluster.node[node, st.NEXT_NODE], False
    if has_part:
        node = cluster.share[run[st.RUN_SHARE], st.SHARE_NODE] if is_share else run[st.RUN_NODE]
        write_request(cluster, jobs, pools, job, pool, 1 if is_share else run[st.RUN_GPUS], True, 1)
        change_part(cluster, pool, node, run[st.RUN_BITS], sign)


@helper
def fits_in_trial(cluster: Cluster, node: int) -> bool:
    """Whether a detailed node that is busy in the trial could take `cluster.pod`."""
    row, pod, whole = cluster.detail.node[node], cluster.pod, cluster.node[node, st.NODE_TRIAL]
    if whole == row[ns.GPUS] or row[ns.TRIAL_CPU] < pod[ns.CPU] or row[ns.TRIAL_MEMORY] < pod[ns.MEMORY]:
        return False
    if pod[ns.MILLI] == 1000:
        return whole >= pod[ns.NUM_GPUS]
    for gpu in range(row[ns.GPUS]):  # noqa: SIM110 (numba compiles no generator)
        if row[ns.TRIAL_GPUS + gpu] >= pod[ns.MILLI]:
            return True
    return False


@rare
def fits_detailed_trial(cluster: Cluster, jobs: Table, pools: Table, job: int, pool: int) -> bool:
    """Whether a job fits in the trial of detailed nodes; an empty node of its pool holds any part of it."""
    idle = cluster.pool[pool, st.TRIAL + pools[pool, st.GPUS]]
    full_nodes, rest = jobs[job, st.MILLI] // (1000 * pools[pool, st.GPUS]), part_gpus(jobs, pools, job, pool)
    if idle != full_nodes or rest == 0:
        return idle > full_nodes or (idle == full_nodes and rest == 0)
    write_request(cluster, jobs, pools, job, pool, rest, True, 1)
    first = pools[pool, st.NODE_OFFSET]
    for node in range(first, first + pools[pool, st.MAX_NODES]):  # noqa: SIM110 (numba compiles no generator)
        if fits_in_trial(cluster, node):
            return True
    return False


@rare
def change_detailed_job_to_be(
    detail: DetailSettings,
    cluster: Cluster,
    jobs: Table,
    pools: Table,
    job: int,
    pool: int,
    end: int,
    place: int,
    sign: int,
) -> None:
    """Put what a job would get that started now where `find_place` says into the trial (sign -1), or take it out."""
    gpus, offset = pools[pool, st.GPUS], pools[pool, st.NODE_OFFSET]
    full_nodes = jobs[job, st.MILLI] // (1000 * gpus)
    for index in range(full_nodes + (0 if place == NO_NODE else 1)):
        is_part = index == full_nodes
        node = place
        if not is_part or place == NEWEST_IDLE:
            idle = wrap(cluster.pool[pool, st.IDLE_TAIL] - 1 - index, pools[pool, st.MAX_NODES])
            node = cluster.node[offset + idle, st.IDLE_NODE]
        requested = part_gpus(jobs, pools, job, pool) if is_part else gpus
        write_request(cluster, jobs, pools, job, pool, requested, is_part or (place == NO_NODE and index == 0), end)
        change_part(cluster, pool, node, choose_its_gpus(detail, cluster, node), sign)
