"""The compiled simulator: decisions, snapshots, steps and whole replays, for one cluster or a batch in one call.

`envs/gpu_cluster/simulator/reference/` defines the meaning of everything here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, kernel, rare
from envs.gpu_cluster.codec import ClusterSnapshot, CodecTables, Decision, PackingPlan
from envs.gpu_cluster.codec.levers import GROW, SHRINK
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.compiled_codec import compile_codec
from envs.gpu_cluster.simulator.kernels.events import enqueue
from envs.gpu_cluster.simulator.kernels.invariants import check
from envs.gpu_cluster.simulator.kernels.moves import consolidate
from envs.gpu_cluster.simulator.kernels.nodes import begin_service, order_node, switch_off_oldest, switch_on
from envs.gpu_cluster.simulator.kernels.rates import cap_power, grow_jobs, shrink_jobs
from envs.gpu_cluster.simulator.kernels.snapshots import fill_pools, fill_queue, fill_signals
from envs.gpu_cluster.simulator.kernels.starts import start_job, start_waiting
from envs.gpu_cluster.simulator.kernels.timeline import advance
from envs.gpu_cluster.simulator.log import DECISION, is_log_filling, record
from envs.gpu_cluster.simulator.packing.bits import set_bit
from envs.gpu_cluster.simulator.packing.detailed import clear_detail, nodes_for_stuck
from envs.gpu_cluster.simulator.queues import prepare_queue
from envs.gpu_cluster.simulator.state import Cluster, Outcome, Settings, Table

codec = compile_codec()
encode, decode, write_mask, default_action = (
    codec[name] for name in ("encode", "decode", "write_mask", "default_action")
)


class World(NamedTuple):
    """Everything that a kernel reads and writes.

    Attributes:
        clusters: the state of N clusters.
        snapshots: what the codec reads of each.
        outcome: what each shows.
        plans: scratch memory of the codec for each cluster, so that threads do not share any.
        jobs: [J + 1, 6] int64, the trace.
        pools: [P, 5] int64, the cluster, and more columns where lots are drawn.
        curves: [C, columns] int64, see `envs.gpu_cluster.simulator.curves.Curves`.
        template: [P, len(Pool)] float64, the constant columns of a snapshot's pool.
        rates: [P, 6] float64, USD per unit of an integral, see `envs.gpu_cluster.simulator.objective.kwh_rates`.
        settings: numbers of the environment.
        tables: the codec's layout.
    """

    clusters: Cluster
    snapshots: ClusterSnapshot
    outcome: Outcome
    plans: PackingPlan
    jobs: Table
    pools: Table
    curves: Table
    template: NDArray[np.float64]
    rates: NDArray[np.float64]
    settings: Settings
    tables: CodecTables


@helper
def cluster_of(batch: Cluster, index: int) -> Cluster:
    """One cluster of a batch: the same fields without their first dimension."""
    return Cluster(
        batch.clock[index],
        batch.pool[index],
        batch.node[index],
        batch.bits[index],
        batch.run[index],
        batch.heap[index],
        batch.queue[index],
        batch.share[index],
        batch.level[index],
        batch.log[index],
        batch.owner[index],
        ns.Nodes(
            batch.detail.node[index],
            batch.detail.gpu[index],
            batch.detail.kind[index],
            batch.detail.key[index],
            batch.detail.synced[index],
            batch.detail.log[index],
            batch.detail.clock[index],
        ),
        batch.pod[index],
    )


@helper
def snapshot_of(batch: ClusterSnapshot, index: int) -> ClusterSnapshot:
    """One snapshot of a batch."""
    return ClusterSnapshot(
        batch.pools[index],
        batch.idle_age_nodes[index],
        batch.free_nodes[index],
        batch.queue[index],
        batch.allowed[index],
        batch.signals[index],
    )


@helper
def plan_of(batch: PackingPlan, index: int) -> PackingPlan:
    """One cluster's scratch memory."""
    return PackingPlan(
        batch.free[index],
        batch.upcoming[index],
        batch.shared_free_gpus[index],
        batch.idle_nodes[index],
        batch.booting_nodes[index],
        batch.new_nodes[index],
    )


@helper
def scale(c: Cluster, pools: Table, settings: Settings, pool: int, target: int) -> None:
    """Order nodes, or switch off idle nodes, the longest idle first, until `target` are on."""
    row = c.pool[pool]
    idle = row[st.IDLE_TAIL] - row[st.IDLE_HEAD]
    nodes = idle + row[st.BUSY] + row[st.BOOT_TAIL] - row[st.BOOT_HEAD]
    if settings.is_detailed:
        target = nodes_for_stuck(c, pools, pool, target)
    add = min(target, pools[pool, st.MAX_NODES] - row[st.DRAINING] - row[st.DOWN]) - nodes
    if add > 0:
        for _ in range(add):
            order_node(c, pools, settings, pool)
        row[st.NODES_ADDED] += add
        row[st.SCALE_UPS] += 1
    remove = min(idle, nodes - max(target, pools[pool, st.MIN_NODES]))
    if remove > 0:
        for _ in range(remove):
            switch_off_oldest(c, pools, settings, pool)
        row[st.NODES_REMOVED] += remove
        row[st.SCALE_DOWNS] += 1


@helper
def fill_snapshot(w: World, c: Cluster, snapshot: ClusterSnapshot) -> None:
    """Bring the queue in order and write the snapshot of a cluster."""
    prepare_queue(c, w.jobs, w.settings)
    fill_pools(c, w.jobs, w.pools, w.settings, w.template, snapshot)
    fill_queue(c, w.jobs, w.pools, w.curves, w.settings, snapshot, snapshot.queue.shape[0])
    fill_signals(c, w.jobs, w.settings, snapshot.signals)


@helper
def charge(w: World, index: int, c: Cluster) -> None:
    """Write the terms of the cost since the last charge, and the reward."""
    terms, paid, last = w.outcome.terms[index], w.outcome.paid[index], w.pools.shape[0]
    terms[:] = 0.0
    elapsed = c.clock[st.NOW] - paid[last, st.PAID_TIME]
    for pool in range(last):
        row, rates = c.pool[pool], w.rates[pool]
        idle = row[st.IDLE_NODE_MS] - paid[pool, 0]
        busy = row[st.BUSY_NODE_MS] - paid[pool, 1]
        boot = row[st.BOOT_NODE_MS] - paid[pool, 2]
        used = row[st.USED_MILLI_MS] - paid[pool, 3]
        off = elapsed * w.pools[pool, st.MAX_NODES] - idle - busy - boot
        terms[st.TERM_IDLE] += idle * rates[0]
        terms[st.TERM_FRAGMENTATION] += (busy * w.pools[pool, st.GPUS] * 1000 - used) * rates[1]
        terms[st.TERM_BOOT] += boot * rates[2]
        terms[st.TERM_OFF] += off * rates[3]
        overhead = row[st.OVERHEAD_MILLI_MS] - paid[pool, 4]
        saved = row[st.SAVED_MILLI_MS] - paid[pool, 5]
        terms[st.TERM_OVERHEAD] += overhead * (rates[4] + w.settings.usd_per_waited_milli_ms)
        terms[st.TERM_BUSY] += (used - overhead) * (rates[4] - w.settings.usd_per_milli_ms) - saved * rates[5]
        for column in range(st.PAID_COLUMNS):
            paid[pool, column] = row[st.IDLE_NODE_MS + column]
    waited = c.clock[st.WAITED_MILLI_MS] - paid[last, st.PAID_WAITED]
    terms[st.TERM_WAITING] = waited * w.settings.usd_per_waited_milli_ms
    cost = 0.0
    for term in range(st.TERM_SECONDS):
        cost += terms[term]
    w.outcome.reward[index] = -cost
    terms[st.TERM_SECONDS] = elapsed / 1000.0
    paid[last, st.PAID_WAITED], paid[last, st.PAID_TIME] = c.clock[st.WAITED_MILLI_MS], c.clock[st.NOW]


@helper
def clear(c: Cluster, pools: Table, settings: Settings, seed: int) -> None:
    """Every node off, no job, all counters zero."""
    c.clock[:] = 0
    c.clock[st.NEXT_LATEST] = st.NEVER
    c.pool[:] = 0
    c.owner[:] = 0
    c.bits[:] = 0
    c.queue[:, st.JOB_START] = st.NEVER
    c.queue[:, st.JOB_END] = st.NEVER
    c.node[:, st.NODE_SLOTS] = 0
    c.node[:, st.NODE_FIXED] = 0
    c.node[:, st.NODE_ROUND] = 0
    c.level[:, : st.LEVELS] = -1
    c.level[:, st.LEVELS :] = 0
    c.clock[st.SEED], c.clock[st.NEXT_NODE_EVENT] = seed, st.NEVER
    if settings.is_stochastic:
        c.queue[:, st.JOB_LOSSES] = 0
        c.node[:, st.NODE_LIFE] = 0
        c.node[:, st.NODE_EVENT] = st.NEVER
    c.clock[st.UNUSED_SHARES] = c.share.shape[0]
    for share in range(c.share.shape[0]):
        c.share[share, st.SHARE_STACK] = c.share.shape[0] - 1 - share
    for pool in range(pools.shape[0]):
        offset = c.pool[pool, st.LOWEST_OFF] = pools[pool, st.NODE_OFFSET]
        for node in range(offset, offset + pools[pool, st.MAX_NODES]):
            set_bit(c, 0, node)


@helper
def add_idle(c: Cluster, pools: Table, settings: Settings, pool: int) -> None:
    """Switch a node on that is ready at once, at the start of an episode; one must be off."""
    begin_service(c, pools, settings, pool, switch_on(c, pools, settings, pool))


@helper
def begin_running(c: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, job: int) -> None:
    """Let a job run that was submitted before the episode: on as many nodes as it takes, else in the queue."""
    pool = jobs[job, st.DEFAULT_POOL]
    left = (jobs[job, st.SUBMIT_MS] + jobs[job, st.DURATION_MS] - c.clock[st.NOW]) * st.PPM
    while not start_job(c, jobs, pools, curves, settings, job, pool, left):
        row = c.pool[pool]
        if row[st.IDLE_TAIL] - row[st.IDLE_HEAD] + row[st.BUSY] == pools[pool, st.MAX_NODES]:
            enqueue(c, jobs, settings, job, left)
            return
        add_idle(c, pools, settings, pool)


@helper
def reset(
    c: Cluster,
    jobs: Table,
    pools: Table,
    curves: Table,
    settings: Settings,
    episode: NDArray[np.int64],
    seed: int,
) -> None:
    """Begin an episode, see `reset_clusters`, with the jobs that then run, if each had started when submitted."""
    start, end, last_job = episode[0], episode[1], episode[2]
    clear(c, pools, settings, seed)
    if settings.is_detailed:
        clear_detail(settings.detail, c, pools)
    first = np.searchsorted(jobs[: jobs.shape[0] - 1, st.SUBMIT_MS], start)
    c.clock[st.NOW], c.clock[st.EPISODE_START], c.clock[st.EPISODE_END] = start, start, end
    c.clock[st.FIRST_JOB], c.clock[st.NEXT_JOB], c.clock[st.LAST_JOB] = first, first, last_job
    c.owner[:, st.OWNER_SINCE] = start
    for pool in range(pools.shape[0]):
        c.pool[pool, st.CONSOLIDATED_MS] = start
        for _ in range(pools[pool, st.MIN_NODES]):
            add_idle(c, pools, settings, pool)
    for job in range(first):
        if jobs[job, st.SUBMIT_MS] + jobs[job, st.DURATION_MS] > start:
            begin_running(c, jobs, pools, curves, settings, job)
    while c.clock[st.NEXT_JOB] < last_job and jobs[c.clock[st.NEXT_JOB], st.SUBMIT_MS] <= start:
        enqueue(c, jobs, settings, c.clock[st.NEXT_JOB], jobs[c.clock[st.NEXT_JOB], st.DURATION_MS] * st.PPM)
        c.clock[st.NEXT_JOB] += 1


@rare
def observe(w: World, index: int, snapshot: ClusterSnapshot, plan: PackingPlan) -> None:
    """Encode a snapshot and its mask."""
    encode(snapshot, w.tables, plan, w.outcome.observation[index])
    write_mask(snapshot, w.tables, w.outcome.mask[index])


@helper
def decide(w: World, index: int, c: Cluster, snapshot: ClusterSnapshot, plan: PackingPlan) -> None:
    """Carry out an action, then run to the next decision."""
    target_nodes, placement = w.outcome.target_nodes[index], w.outcome.placement[index]
    levers = w.outcome.levers[index]
    decision = Decision(target_nodes, placement, levers[0], levers[1], levers[2])
    decode(w.outcome.action[index], snapshot, w.tables, plan, decision)
    if w.settings.has_curves:
        for pool in range(w.pools.shape[0]):
            cap_power(c, w.jobs, w.curves, pool, decision.power_cap[pool])
            if decision.width[pool] == SHRINK:
                shrink_jobs(c, w.jobs, w.pools, w.curves, w.settings, pool)
    start_waiting(c, w.jobs, w.pools, w.curves, w.settings, placement)
    for pool in range(w.pools.shape[0]):
        if decision.width[pool] == GROW and w.settings.has_curves:
            grow_jobs(c, w.jobs, w.pools, w.curves, w.settings, pool)
        if w.settings.moves_jobs and decision.consolidation[pool] > 0:
            consolidate(c, w.jobs, w.pools, w.settings, pool, decision.consolidation[pool])
    for pool in range(w.pools.shape[0]):
        scale(c, w.pools, w.settings, pool, target_nodes[pool])
        record(c, DECISION, pool, -1, -1, target_nodes[pool])
    if w.settings.debug:
        check(c, w.jobs, w.pools, w.settings)
    c.clock[st.DECISIONS] += 1
    advance(c, w.jobs, w.pools, w.settings)
    fill_snapshot(w, c, snapshot)


@kernel
def reset_clusters(
    w: World, clusters: NDArray[np.int64], episodes: NDArray[np.int64], seeds: NDArray[np.int64]
) -> None:
    """Begin episodes and observe their first moment.

    Args:
        w: the world.
        clusters: [K] int64, which clusters.
        episodes: [K, 3] int64: start and end (`NEVER`: when all jobs are done) in ms, and the number of the first job
            that is not submitted any more.
        seeds: [K] int64, of the lots.
    """
    for k in range(clusters.shape[0]):
        index = clusters[k]
        c, snapshot = cluster_of(w.clusters, index), snapshot_of(w.snapshots, index)
        reset(c, w.jobs, w.pools, w.curves, w.settings, episodes[k], seeds[k])
        w.outcome.paid[index] = 0
        w.outcome.paid[index, w.pools.shape[0], st.PAID_TIME] = c.clock[st.NOW]
        w.outcome.reward[index] = 0.0
        w.outcome.terms[index] = 0.0
        fill_snapshot(w, c, snapshot)
        observe(w, index, snapshot, plan_of(w.plans, index))


@kernel
def step_clusters(w: World, first: int, end: int) -> None:
    """Carry out the actions in `outcome` and run clusters that are not done to their next decision.

    Args:
        w: the world.
        first: the first cluster.
        end: the cluster behind the last one.
    """
    for index in range(first, end):
        c, snapshot, plan = cluster_of(w.clusters, index), snapshot_of(w.snapshots, index), plan_of(w.plans, index)
        if c.clock[st.DONE] == 0:
            decide(w, index, c, snapshot, plan)
            observe(w, index, snapshot, plan)
            charge(w, index, c)


@kernel
def replay_clusters(w: World, first: int, end: int, rules: NDArray[np.int64], decisions: int) -> bool:
    """Run clusters under a fixed rule, for at most `decisions` more decisions each; return whether all are done.

    Args:
        w: the world.
        first: the first cluster.
        end: the cluster behind the last one.
        rules: [N, RULE_SIZE] int64, the choices of each cluster, see `envs.gpu_cluster.codec.default_action`.
        decisions: how many.
    """
    done = True
    for index in range(first, end):
        c, snapshot, plan = cluster_of(w.clusters, index), snapshot_of(w.snapshots, index), plan_of(w.plans, index)
        for _ in range(decisions):
            if c.clock[st.DONE] != 0 or is_log_filling(c):
                break
            default_action(snapshot, w.tables, plan, rules[index], w.outcome.action[index])
            decide(w, index, c, snapshot, plan)
        done = done and c.clock[st.DONE] != 0
    return done
