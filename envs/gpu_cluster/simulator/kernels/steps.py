"""The compiled simulator: decisions, snapshots, steps and whole replays, for one cluster or a batch in one call.

`envs/gpu_cluster/simulator/reference/` defines the meaning of everything here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, kernel, rare
from envs.gpu_cluster.codec import NO_SETPOINT, ClusterSnapshot, Decision, PackingPlan, Pool
from envs.gpu_cluster.codec.levers import GROW, RESUME, SHRINK, SUSPEND
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.arrivals import fill_arrivals
from envs.gpu_cluster.simulator.kernels.charges import begin_charges, charge_step
from envs.gpu_cluster.simulator.kernels.compiled_codec import codec
from envs.gpu_cluster.simulator.kernels.events import enqueue
from envs.gpu_cluster.simulator.kernels.grid import curb, find_event
from envs.gpu_cluster.simulator.kernels.invariants import check
from envs.gpu_cluster.simulator.kernels.moves import consolidate
from envs.gpu_cluster.simulator.kernels.nodes import begin_service, in_backoff, order_node, switch_off_oldest, switch_on
from envs.gpu_cluster.simulator.kernels.power import may_order
from envs.gpu_cluster.simulator.kernels.rates import cap_power, grow_jobs, shrink_jobs
from envs.gpu_cluster.simulator.kernels.snapshots import (
    fill_allowed,
    fill_pool_signals,
    fill_pools,
    fill_prices,
    fill_queue,
    fill_signals,
    fill_transfer,
)
from envs.gpu_cluster.simulator.kernels.starts import start_job, start_waiting
from envs.gpu_cluster.simulator.kernels.suspension import resume_jobs, suspend_jobs
from envs.gpu_cluster.simulator.kernels.timeline import advance
from envs.gpu_cluster.simulator.kernels.world import World, cluster_of, plan_of, snapshot_of
from envs.gpu_cluster.simulator.log import DECISION, is_log_filling, record
from envs.gpu_cluster.simulator.packing.bits import set_bit
from envs.gpu_cluster.simulator.packing.detailed import clear_detail, nodes_for_stuck
from envs.gpu_cluster.simulator.queues import prepare_queue
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table

encode, decode, write_mask, default_action = (
    codec[name] for name in ("encode", "decode", "write_mask", "default_action")
)
plan_window, place_default, is_exhausted = (codec[name] for name in ("plan_window", "place_default", "is_exhausted"))


@helper
def put_in_force(cluster: Cluster, pool: int, setpoint: int, reserve: int) -> None:
    """Let a setpoint and a reserve in nodes be those in force; two that are already stay it from when they came."""
    row = cluster.pool[pool]
    if row[st.SETPOINT] != setpoint or row[st.RESERVE] != reserve:
        row[st.SETPOINT], row[st.RESERVE], row[st.SETPOINT_MS] = setpoint, reserve, cluster.clock[st.NOW]


@helper
def scale(cluster: Cluster, pools: Table, settings: Settings, pool: int, target: int) -> None:
    """Order nodes, or switch off idle nodes, the longest idle first, until `target` are on."""
    row = cluster.pool[pool]
    idle = row[st.IDLE_TAIL] - row[st.IDLE_HEAD]
    nodes = idle + row[st.BUSY] + row[st.BOOT_TAIL] - row[st.BOOT_HEAD]
    if settings.is_detailed:
        target = nodes_for_stuck(cluster, pools, pool, target)
    add = min(target, pools[pool, st.MAX_NODES] - row[st.DRAINING] - row[st.DOWN]) - nodes
    if settings.has_grid and add > 0:
        add = may_order(cluster, pools, settings, pool, add)
    if add > 0 and not in_backoff(cluster, pool):
        for _ in range(add):
            order_node(cluster, pools, settings, pool)
        row[st.NODES_ADDED] += add
        row[st.SCALE_UPS] += 1
    remove = min(idle, nodes - max(target, pools[pool, st.MIN_NODES]))
    if remove > 0:
        for _ in range(remove):
            switch_off_oldest(cluster, pools, settings, pool)
        row[st.NODES_REMOVED] += remove
        row[st.SCALE_DOWNS] += 1


@rare
def offer_pools(world: World, cluster: Cluster, snapshot: ClusterSnapshot, plan: PackingPlan) -> None:
    """Give each job behind the window its default pool, after the jobs before it, until no pool can take any more."""
    window = snapshot.queue.shape[0]
    head, tail = cluster.clock[st.QUEUE_HEAD], cluster.clock[st.QUEUE_TAIL]
    at = head + window
    if at >= tail:
        return
    plan_window(snapshot, world.tables, plan)
    while at < tail and not is_exhausted(snapshot, world.tables, plan):
        job = cluster.queue[at, st.QUEUE_JOB]
        if not (world.settings.queue.has_quotas and cluster.queue[at, st.QUEUE_POOL] < 0):
            fill_allowed(world.jobs, world.curves, world.settings, job, world.pools.shape[0], plan.allowed)
            if world.settings.transfers:
                fill_transfer(cluster, world.jobs, job, world.pools.shape[0], plan.transfer_gb)
            predicted = world.jobs[job, st.PREDICTED_MS] / 1000.0 if world.settings.queue.has_facts else 0.0
            gpus = world.jobs[job, st.MILLI] / 1000.0
            pool = place_default(snapshot, world.tables, plan, gpus, plan.allowed, plan.transfer_gb, predicted)
            snapshot.pools[world.jobs[job, st.DEFAULT_POOL], Pool.BACKLOG_GPUS] -= world.jobs[job, st.MILLI]
            snapshot.pools[pool, Pool.BACKLOG_GPUS] += world.jobs[job, st.MILLI]
            cluster.queue[at, st.QUEUE_POOL] = pool
        at += 1
    cluster.clock[st.OFFERED] = at - head


@helper
def finish_backlog(world: World, cluster: Cluster, snapshot: ClusterSnapshot, plan: PackingPlan) -> None:
    """Let the jobs behind the window overflow, and write what they request in GPUs."""
    cluster.clock[st.OFFERED] = 0
    if world.settings.overflows > 0:
        offer_pools(world, cluster, snapshot, plan)
    for pool in range(world.pools.shape[0]):  # thousandths up to here, so that sums and differences are exact
        snapshot.pools[pool, Pool.BACKLOG_GPUS] /= 1000.0


@helper
def fill_snapshot(world: World, cluster: Cluster, snapshot: ClusterSnapshot, plan: PackingPlan) -> None:
    """Bring the queue in order and write the snapshot of a cluster."""
    prepare_queue(cluster, world.jobs, world.settings)
    fill_pools(cluster, world.jobs, world.pools, world.settings, world.template, snapshot)
    fill_signals(cluster, world.jobs, world.pools, world.settings, snapshot.signals)
    fill_arrivals(cluster, world.memories, snapshot.signals)
    if world.settings.moves_prices:
        fill_prices(world.template, world.slopes, snapshot)
    fill_pool_signals(cluster, world.outlook, snapshot.pool_signals)
    fill_queue(cluster, world.jobs, world.pools, world.curves, world.settings, snapshot, snapshot.queue.shape[0])
    finish_backlog(world, cluster, snapshot, plan)  # last, for it reads all of the others


@helper
def clear(cluster: Cluster, pools: Table, settings: Settings, seed: int) -> None:
    """Every node off, no job, all counters zero."""
    # Only what is read before it is written: `run`, `heap` and most of `node` may be large and stay as they are.
    cluster.clock[:] = 0
    cluster.clock[st.NEXT_LATEST] = st.NEVER
    cluster.clock[st.NEXT_RESUME] = st.NEVER
    cluster.pool[:] = 0
    cluster.owner[:] = 0
    cluster.bits[:] = 0
    cluster.queue[:, st.JOB_START] = st.NEVER
    cluster.queue[:, st.JOB_END] = st.NEVER
    cluster.node[:, st.NODE_SLOTS] = 0
    cluster.node[:, st.NODE_FIXED] = 0
    cluster.node[:, st.NODE_ROUND] = 0
    cluster.level[:, : st.LEVELS] = -1
    cluster.level[:, st.LEVELS :] = 0
    cluster.clock[st.SEED], cluster.clock[st.NEXT_NODE_EVENT] = seed, st.NEVER
    if settings.is_stochastic:
        cluster.queue[:, st.JOB_LOSSES] = 0
        cluster.node[:, st.NODE_LIFE] = 0
        cluster.node[:, st.NODE_EVENT] = st.NEVER
    if settings.transfers:
        cluster.queue[:, st.JOB_DATA_BITS] = 0
    if settings.suspends:
        cluster.queue[:, st.JOB_SUSPENDED_MS] = 0
        cluster.queue[:, st.JOB_IS_SUSPENDED] = 0
    cluster.clock[st.UNUSED_SHARES] = cluster.share.shape[0]
    for share in range(cluster.share.shape[0]):
        cluster.share[share, st.SHARE_STACK] = cluster.share.shape[0] - 1 - share
    for pool in range(pools.shape[0]):
        offset = cluster.pool[pool, st.LOWEST_OFF] = pools[pool, st.NODE_OFFSET]
        for node in range(offset, offset + pools[pool, st.MAX_NODES]):
            set_bit(cluster, 0, node)


@helper
def add_idle(cluster: Cluster, pools: Table, settings: Settings, pool: int) -> None:
    """Switch a node on that is ready at once, at the start of an episode; one must be off."""
    begin_service(cluster, pools, settings, pool, switch_on(cluster, pools, settings, pool))


@helper
def begin_running(cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, job: int) -> None:
    """Let a job run that was submitted before the episode, on as many nodes as it takes in the first pool that can."""
    left = (jobs[job, st.SUBMIT_MS] + jobs[job, st.DURATION_MS] - cluster.clock[st.NOW]) * st.PPM
    for pool in range(pools.shape[0]):
        if (jobs[job, st.ALLOWED_BITS] >> pool) & 1 == 1:
            row, is_full = cluster.pool[pool], False
            while not is_full:
                if start_job(cluster, jobs, pools, curves, settings, job, pool, left):
                    return
                is_full = row[st.IDLE_TAIL] - row[st.IDLE_HEAD] + row[st.BUSY] == pools[pool, st.MAX_NODES]
                if not is_full:
                    add_idle(cluster, pools, settings, pool)
    enqueue(cluster, jobs, settings, job, left)


@helper
def reset(
    cluster: Cluster,
    jobs: Table,
    pools: Table,
    curves: Table,
    settings: Settings,
    episode: NDArray[np.int64],
    seed: int,
) -> None:
    """Begin an episode, see `reset_clusters`, with the jobs that then run, if each had started when submitted."""
    start, end, last_job = episode[0], episode[1], episode[2]
    clear(cluster, pools, settings, seed)
    if settings.is_detailed:
        clear_detail(settings.detail, cluster, pools)
    first = np.searchsorted(jobs[: jobs.shape[0] - 1, st.SUBMIT_MS], start)  # the last row is no job
    cluster.clock[st.NOW], cluster.clock[st.EPISODE_START], cluster.clock[st.EPISODE_END] = start, start, end
    cluster.clock[st.FIRST_JOB], cluster.clock[st.NEXT_JOB], cluster.clock[st.LAST_JOB] = first, first, last_job
    cluster.owner[:, st.OWNER_SINCE] = start
    for pool in range(pools.shape[0]):
        cluster.pool[pool, st.CONSOLIDATED_MS] = start
        cluster.pool[pool, st.SETPOINT], cluster.pool[pool, st.SETPOINT_MS] = NO_SETPOINT, start
        for _ in range(pools[pool, st.MIN_NODES]):
            add_idle(cluster, pools, settings, pool)
    for job in range(first):
        if jobs[job, st.SUBMIT_MS] + jobs[job, st.DURATION_MS] > start:
            begin_running(cluster, jobs, pools, curves, settings, job)
    while cluster.clock[st.NEXT_JOB] < last_job and jobs[cluster.clock[st.NEXT_JOB], st.SUBMIT_MS] <= start:
        enqueue(
            cluster,
            jobs,
            settings,
            cluster.clock[st.NEXT_JOB],
            jobs[cluster.clock[st.NEXT_JOB], st.DURATION_MS] * st.PPM,
        )
        cluster.clock[st.NEXT_JOB] += 1


@rare
def observe(world: World, index: int, snapshot: ClusterSnapshot, plan: PackingPlan) -> None:
    """Encode a snapshot and its mask."""
    encode(snapshot, world.tables, plan, world.outcome.observation[index])
    write_mask(snapshot, world.tables, world.outcome.mask[index])


@helper
def pull_levers(world: World, cluster: Cluster, decision: Decision, is_curbed: bool) -> None:
    """Carry out what frees GPUs or power, before jobs start; and keep a budget of power that is in force."""
    jobs, pools, curves, settings = world.jobs, world.pools, world.curves, world.settings
    if world.settings.has_curves:
        for pool in range(pools.shape[0]):
            cap_power(cluster, jobs, curves, pool, decision.power_cap[pool])
            if decision.width[pool] == SHRINK:
                shrink_jobs(cluster, jobs, pools, curves, settings, pool)
    if world.settings.suspends:
        for pool in range(pools.shape[0]):
            if decision.suspension[pool] == SUSPEND:
                suspend_jobs(cluster, jobs, pools, settings, pool)
            elif decision.suspension[pool] == RESUME:
                resume_jobs(cluster, pool)
    if world.settings.has_grid and is_curbed:
        curb(cluster, jobs, pools, curves, settings)


@helper
def pull_late_levers(world: World, cluster: Cluster, decision: Decision, is_curbed: bool) -> None:
    """Carry out what takes free GPUs, after jobs started."""
    jobs, pools, curves, settings = world.jobs, world.pools, world.curves, world.settings
    for pool in range(pools.shape[0]):
        if world.settings.has_curves and decision.width[pool] == GROW and not is_curbed:
            grow_jobs(cluster, jobs, pools, curves, settings, pool)
        if world.settings.moves_jobs and decision.consolidation[pool] > 0:
            consolidate(cluster, jobs, pools, settings, pool, decision.consolidation[pool])
    if world.settings.has_grid and is_curbed:  # once more, for a node that was emptied may draw more than a busy one
        curb(cluster, jobs, pools, curves, settings)


@helper
def decide(world: World, index: int, cluster: Cluster, snapshot: ClusterSnapshot, plan: PackingPlan) -> None:
    """Carry out an action, then run to the next decision."""
    target_nodes, placement = world.outcome.target_nodes[index], world.outcome.placement[index]
    levers = world.outcome.levers[index]
    setpoint = world.outcome.setpoint[index]
    decision = Decision(target_nodes, placement, levers[0], levers[1], levers[2], levers[3], levers[4], setpoint)
    decode(world.outcome.action[index], snapshot, world.tables, plan, decision)
    is_curbed = world.settings.has_grid and cluster.clock[st.GRID_PHASE] >= st.ACTIVE
    pull_levers(world, cluster, decision, is_curbed)
    start_waiting(cluster, world.jobs, world.pools, world.curves, world.settings, placement)
    pull_late_levers(world, cluster, decision, is_curbed)
    for pool in range(world.pools.shape[0]):
        put_in_force(cluster, pool, decision.setpoint[pool], decision.reserve_nodes[pool])
        scale(cluster, world.pools, world.settings, pool, target_nodes[pool])
        record(cluster, DECISION, pool, -1, -1, target_nodes[pool])
    if world.settings.debug:
        check(cluster, world.jobs, world.pools, world.settings)
    cluster.clock[st.DECISIONS] += 1
    world.outcome.terms[index] = 0.0
    advance(world, index, cluster)
    fill_snapshot(world, cluster, snapshot, plan)


@kernel
def reset_clusters(
    world: World, clusters: NDArray[np.int64], episodes: NDArray[np.int64], seeds: NDArray[np.int64]
) -> None:
    """Begin episodes and observe their first moment.

    Args:
        world: all that kernels read and write.
        clusters: [K] int64, which clusters.
        episodes: [K, 3] int64: start and end (`NEVER`: when all jobs are done) in ms, and the number of the first job
            that is not submitted any more.
        seeds: [K] int64, of all random draws.
    """
    for k in range(clusters.shape[0]):
        index = clusters[k]
        cluster, snapshot = cluster_of(world.clusters, index), snapshot_of(world.snapshots, index)
        plan = plan_of(world.plans, index)
        reset(cluster, world.jobs, world.pools, world.curves, world.settings, episodes[k], seeds[k])
        begin_charges(world, index, cluster)
        if world.settings.has_grid:
            find_event(cluster, world.events)
        fill_snapshot(world, cluster, snapshot, plan)
        observe(world, index, snapshot, plan)


@kernel
def step_clusters(world: World, first: int, end: int) -> None:
    """Carry out the actions in `outcome` and run clusters that are not done to their next decision.

    Args:
        world: all that kernels read and write.
        first: the first cluster.
        end: the cluster after the last one.
    """
    for index in range(first, end):
        cluster, snapshot, plan = (
            cluster_of(world.clusters, index),
            snapshot_of(world.snapshots, index),
            plan_of(world.plans, index),
        )
        if cluster.clock[st.DONE] == 0:
            decide(world, index, cluster, snapshot, plan)
            observe(world, index, snapshot, plan)
            charge_step(world, index, cluster)


@kernel
def replay_clusters(world: World, first: int, end: int, rules: NDArray[np.int64], decisions: int) -> bool:
    """Run clusters under a fixed rule, for at most `decisions` more decisions each; return whether all are done.

    Args:
        world: all that kernels read and write.
        first: the first cluster.
        end: the cluster after the last one.
        rules: [N, RULE_SIZE] int64, the choices of each cluster, see `envs.gpu_cluster.codec.default_action`.
        decisions: how many.
    """
    done = True
    for index in range(first, end):
        cluster, snapshot, plan = (
            cluster_of(world.clusters, index),
            snapshot_of(world.snapshots, index),
            plan_of(world.plans, index),
        )
        for _ in range(decisions):
            if cluster.clock[st.DONE] != 0 or is_log_filling(cluster):
                break
            default_action(snapshot, world.tables, plan, rules[index], world.outcome.action[index])
            decide(world, index, cluster, snapshot, plan)
        done = done and cluster.clock[st.DONE] != 0
    return done
