"""Copies of clusters, each with its own end, and a look-ahead that tries choices in copies. Compiled.

A copy is a cluster like any other: it steps and replays. In the simulator that it came from, its future is the true
one; in another one, whose trace has other jobs from now on, it has that future.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, kernel, rare
from envs.gpu_cluster.codec import ClusterSnapshot, PackingPlan, Pool
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.beliefs import extend_run_times, forget_arrivals, imagine_arrivals
from envs.gpu_cluster.simulator.kernels.charges import charge_step
from envs.gpu_cluster.simulator.kernels.compiled_codec import codec
from envs.gpu_cluster.simulator.kernels.events import heapify
from envs.gpu_cluster.simulator.kernels.replay import decide_by_rule
from envs.gpu_cluster.simulator.kernels.steps import decide
from envs.gpu_cluster.simulator.kernels.world import World, cluster_of, plan_of, snapshot_of
from envs.gpu_cluster.simulator.state import Cluster

default_action = codec["default_action"]


# Entry by entry: to assign arrays to slices would allocate memory, which kernels do not.


@helper
def copy_row(source: NDArray[Any], target: NDArray[Any]) -> None:
    """Copy a row."""
    for column in range(source.shape[0]):
        target[column] = source[column]


@helper
def copy_rows(source: NDArray[Any], target: NDArray[Any], first: int, end: int) -> None:
    """Copy rows of a table."""
    for row in range(first, end):
        for column in range(source.shape[1]):
            target[row, column] = source[row, column]


@helper
def copy_table(source: NDArray[Any], target: NDArray[Any]) -> None:
    """Copy all rows of a table."""
    copy_rows(source, target, 0, source.shape[0])


@helper
def copy_suspensions(source: Cluster, target: Cluster, jobs: int) -> None:
    """Copy the suspended jobs, and what is kept of those jobs that came until now; of the others there is nothing."""
    for at in range(source.clock[st.SUSPENDED]):
        for column in range(st.SUSPENDED_JOB, st.SUSPENDED_UNTIL + 1):
            target.queue[at, column] = source.queue[at, column]
    known = source.clock[st.NEXT_JOB] - source.clock[st.FIRST_JOB]
    for row in range(jobs):
        for column in range(st.JOB_SUSPENDED_MS, source.queue.shape[1]):
            target.queue[row, column] = source.queue[row, column] if row < known else 0
        if row < known:
            target.queue[row, st.JOB_START] = source.queue[row, st.JOB_START]


@helper
def copy_queue(source: Cluster, target: Cluster) -> None:
    """Copy the waiting jobs, and of the times of jobs those that the future of a copy depends on."""
    first, old_next = source.clock[st.FIRST_JOB], target.clock[st.NEXT_JOB] - target.clock[st.FIRST_JOB]
    head, tail = source.clock[st.QUEUE_HEAD], source.clock[st.QUEUE_TAIL]
    copy_rows(source.queue, target.queue, head, tail)
    for at in range(head, tail):
        row = source.queue[at, st.QUEUE_JOB] - first
        if row >= 0:
            target.queue[row, st.JOB_START] = source.queue[row, st.JOB_START]
    # What an earlier copy started that came in the meantime has not started yet.
    for row in range(source.clock[st.NEXT_JOB] - first, old_next):
        target.queue[row, st.JOB_START] = target.queue[row, st.JOB_END] = st.NEVER
    if source.queue.shape[1] > st.JOB_IS_SUSPENDED:
        copy_suspensions(source, target, max(old_next, source.clock[st.NEXT_JOB] - first))


@helper
def copy_state(source: Cluster, target: Cluster, has_all_times: bool) -> None:
    """Copy all of a cluster that its future depends on, and with `has_all_times` also when jobs started and ended."""
    if has_all_times:
        rows = min(source.queue.shape[0], target.queue.shape[0])
        copy_rows(source.queue, target.queue, 0, rows)
        target.queue[rows:, st.JOB_START] = st.NEVER
        target.queue[rows:, st.JOB_END] = st.NEVER
        if target.queue.shape[1] > st.JOB_IS_SUSPENDED:
            target.queue[rows:, st.JOB_SUSPENDED_MS :] = 0
    else:
        copy_queue(source, target)
    slots = source.clock[st.SLOTS]
    copy_rows(source.run, target.run, 0, slots)
    copy_rows(source.heap, target.heap, 0, slots)
    copy_table(source.pool, target.pool)
    copy_table(source.node, target.node)
    copy_table(source.share, target.share)
    copy_table(source.level, target.level)
    copy_table(source.owner, target.owner)
    copy_table(source.bits, target.bits)
    copy_table(source.detail.node, target.detail.node)
    copy_table(source.detail.gpu, target.detail.gpu)
    copy_table(source.detail.kind, target.detail.kind)
    copy_row(source.detail.clock, target.detail.clock)
    copy_row(source.clock, target.clock)
    target.clock[st.LOGGED] = 0


@helper
def copy_shown(origin: World, source: int, world: World, target: int) -> None:
    """Copy the snapshot and what has been paid; the cost of the copy counts from now on."""
    ours, theirs = snapshot_of(world.snapshots, target), snapshot_of(origin.snapshots, source)
    copy_table(theirs.pools, ours.pools)
    copy_table(theirs.idle_age_nodes, ours.idle_age_nodes)
    copy_table(theirs.free_nodes, ours.free_nodes)
    copy_table(theirs.queue, ours.queue)
    copy_table(theirs.allowed, ours.allowed)
    copy_table(theirs.transfer_gb, ours.transfer_gb)
    copy_row(theirs.signals, ours.signals)
    copy_table(theirs.pool_signals, ours.pool_signals)
    copy_table(origin.outcome.paid[source], world.outcome.paid[target])
    copy_table(origin.outcome.booked[source], world.outcome.booked[target])
    for pool in range(world.pools.shape[0]):
        copy_table(origin.outcome.spendings[source, pool], world.outcome.spendings[target, pool])
    charge_step(world, target, cluster_of(world.clusters, target))
    world.outcome.terms[target] = 0.0
    world.outcome.reward[target] = 0.0


@helper
def adopt_run_times(origin: World, world: World, cluster: Cluster) -> None:
    """Let running jobs end as the run times of another trace say, and at the earliest in a millisecond."""
    changed = False
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        job = cluster.run[slot, st.RUN_JOB]
        more = world.jobs[job, st.DURATION_MS] - origin.jobs[job, st.DURATION_MS]
        if more != 0:
            changed = True
            earliest = cluster.clock[st.NOW] + 1
            if world.settings.tracks_work:
                cluster.run[slot, st.RUN_LEFT] = max(1, cluster.run[slot, st.RUN_LEFT] + more * st.PPM)
                left, rate = cluster.run[slot, st.RUN_LEFT], cluster.run[slot, st.RUN_RATE]
                finish = cluster.run[slot, st.RUN_SINCE] + (left + rate - 1) // rate
            else:
                finish = cluster.run[slot, st.RUN_FINISH] + more
            cluster.run[slot, st.RUN_FINISH] = max(earliest, finish)
    if changed:
        heapify(cluster)


@rare
def copy_to_try(origin: World, source: int, world: World, target: int, is_elsewhere: bool) -> None:
    """Copy a cluster to try something in the copy, where `is_elsewhere` into another simulator with other run times."""
    cluster = cluster_of(world.clusters, target)
    copy_state(cluster_of(origin.clusters, source), cluster, False)
    if is_elsewhere:
        adopt_run_times(origin, world, cluster)
    copy_shown(origin, source, world, target)


@kernel
def copy_clusters(
    origin: World,
    sources: NDArray[np.int64],
    world: World,
    targets: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> None:
    """Copy clusters of one batch into clusters of another one, or of the same.

    Args:
        origin: where the originals are.
        sources: [K] int64, which.
        world: where the copies go.
        targets: [K] int64, which clusters they replace.
        ends: [K] int64, when each copy ends in ms; below 0: as its original.
    """
    for k in range(sources.shape[0]):
        source, target = sources[k], targets[k]
        cluster = cluster_of(world.clusters, target)
        copy_state(cluster_of(origin.clusters, source), cluster, True)
        adopt_run_times(origin, world, cluster)
        last, ours = origin.jobs.shape[0] - 1, world.jobs.shape[0] - 1  # the last row is no job
        cluster.clock[st.LAST_JOB] = (
            ours if cluster.clock[st.LAST_JOB] == last else min(cluster.clock[st.LAST_JOB], ours)
        )
        if ends[k] >= 0:
            cluster.clock[st.EPISODE_END] = ends[k]
        copy_row(origin.outcome.observation[source], world.outcome.observation[target])
        copy_row(origin.outcome.mask[source], world.outcome.mask[target])
        copy_shown(origin, source, world, target)


@rare
def decide_by(
    world: World, index: int, cluster: Cluster, snapshot: ClusterSnapshot, plan: PackingPlan, rule: NDArray[np.int64]
) -> None:
    """Decide by a fixed rule, through the whole codec, and run to the next decision."""
    default_action(snapshot, world.tables, plan, rule, world.outcome.action[index])
    decide(world, index, cluster, snapshot, plan)


@helper
def cost_of_trying(
    world: World,
    target: int,
    rule: NDArray[np.int64],
    base: NDArray[np.int64],
    hold: int,
    horizon: int,
    is_plain: bool,
) -> float:
    """What a rule costs a copy until the horizon, in USD, if it is followed for a while and another one afterwards."""
    cluster, snapshot, plan = (
        cluster_of(world.clusters, target),
        snapshot_of(world.snapshots, target),
        plan_of(world.plans, target),
    )
    now, cost, is_first = cluster.clock[st.NOW], 0.0, True
    cluster.clock[st.EPISODE_END] = min(cluster.clock[st.EPISODE_END], now + horizon)
    while cluster.clock[st.DONE] == 0:
        followed = rule if is_first or cluster.clock[st.NOW] < now + hold else base
        is_first = False
        if is_plain:
            decide_by_rule(world, target, cluster, snapshot, plan, followed)
        else:  # which begins to count anew what it costs
            decide_by(world, target, cluster, snapshot, plan, followed)
            charge_step(world, target, cluster)
            cost -= world.outcome.reward[target]
    if is_plain:
        charge_step(world, target, cluster)
        cost = -world.outcome.reward[target]
    return cost


@helper
def may_choose(world: World, snapshot: ClusterSnapshot) -> bool:
    """Whether the setpoint of any pool may be changed now."""
    for pool in range(world.pools.shape[0]):  # noqa: SIM110 (numba compiles no generator)
        if snapshot.pools[pool, Pool.SETPOINT_HELD] == 0.0:
            return True
    return False


@helper
def try_rules(
    world: World,
    index: int,
    copies: World,
    target: int,
    rules: NDArray[np.int64],
    hold: int,
    horizon: int,
    shifts: NDArray[np.int64],
    is_elsewhere: bool,
    is_plain: bool,
    costs: NDArray[np.float64],
) -> None:
    """Write what each rule costs cluster `index` in copies, the sum over all futures that are believed in."""
    costs[:] = 0.0
    cluster = cluster_of(world.clusters, index)
    if is_elsewhere:
        extend_run_times(world, cluster, copies)
    for shift in shifts:
        came = 0
        if shift > 0:
            came = imagine_arrivals(world, cluster, copies, shift, horizon)
        for number in range(rules.shape[0]):
            copy_to_try(world, index, copies, target, is_elsewhere)
            if shift > 0:
                copies.clusters.clock[target, st.LAST_JOB] = cluster.clock[st.NEXT_JOB] + came + 1
            costs[number] += cost_of_trying(copies, target, rules[number], rules[0], hold, horizon, is_plain)
        if shift > 0:
            forget_arrivals(world, cluster, copies, came)


@kernel
def look_ahead(
    world: World,
    first: int,
    end: int,
    copies: World,
    targets: NDArray[np.int64],
    rules: NDArray[np.int64],
    hold: int,
    horizon: int,
    shifts: NDArray[np.int64],
    is_elsewhere: bool,
    is_plain: bool,
    costs: NDArray[np.float64],
    decisions: int,
) -> bool:
    """Run clusters by a look-ahead over rules, for at most `decisions` more decisions each.

    At each decision every rule is tried in a copy, followed for `hold` ms, then the first rule until `horizon` ms from
    now. The cheapest is followed; the first one if none is cheaper.

    Args:
        world: all that kernels read and write.
        first: the first cluster.
        end: the cluster after the last one.
        copies: the world of the copies; the same one, or with `is_elsewhere` one that believes in other run times.
        targets: [N] int64, the cluster of `copies` that each cluster is copied to.
        rules: [R, RULE_SIZE] int64.
        hold: ms; the first decision follows the rule even if it is 0.
        horizon: ms.
        shifts: [S] int64, the futures: the arrivals of so many ms before, 0: the true ones.
        is_elsewhere: whether `copies` is another world.
        is_plain: whether no rule pulls a lever, so that copies can decide as in `kernels.replay`.
        costs: [N, R] float64, scratch.
        decisions: how many.

    Returns:
        Whether all of them are done.
    """
    done = True
    for index in range(first, end):
        cluster, snapshot, plan = (
            cluster_of(world.clusters, index),
            snapshot_of(world.snapshots, index),
            plan_of(world.plans, index),
        )
        for _ in range(decisions):
            if cluster.clock[st.DONE] != 0:
                break
            best, least = 0, np.inf
            if may_choose(world, snapshot):
                try_rules(
                    world,
                    index,
                    copies,
                    targets[index],
                    rules,
                    hold,
                    horizon,
                    shifts,
                    is_elsewhere,
                    is_plain,
                    costs[index],
                )
                for number in range(rules.shape[0]):
                    if costs[index, number] < least - 1e-9:
                        best, least = number, costs[index, number]
            decide_by(world, index, cluster, snapshot, plan, rules[best])
        done = done and cluster.clock[st.DONE] != 0
    return done
