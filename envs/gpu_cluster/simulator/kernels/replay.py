"""Whole replays under a fixed rule: the same decisions as the codec's, without the snapshot and the action in between.

The rule is a setpoint and a reserve in nodes; every other lever keeps its default. It needs few numbers of a snapshot,
and the plan of the default placement that `default_action` makes is the one that `decode` would make again. So a
decision here fills only what `target_nodes` reads, and plans once; with an empty queue the plan is what the pools have.
All arithmetic is the codec's own, and a test compares every decision with `kernels.replay_clusters`, which goes through
the codec.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, kernel
from envs.gpu_cluster.codec import RULE_RESERVE_NODES, RULE_SETPOINT, ClusterSnapshot, PackingPlan, Pool
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.compiled_codec import codec
from envs.gpu_cluster.simulator.kernels.events import EDGES_MS, idle_for
from envs.gpu_cluster.simulator.kernels.snapshots import (
    fill_limits,
    fill_pool_signals,
    fill_prices,
    fill_queue,
    fill_setpoint,
    fill_signals,
)
from envs.gpu_cluster.simulator.kernels.starts import start_waiting
from envs.gpu_cluster.simulator.kernels.steps import fill_snapshot, finish_backlog, put_in_force, scale
from envs.gpu_cluster.simulator.kernels.timeline import advance
from envs.gpu_cluster.simulator.kernels.world import World, cluster_of, plan_of, snapshot_of
from envs.gpu_cluster.simulator.log import DECISION, is_log_filling, record
from envs.gpu_cluster.simulator.queues import prepare_queue
from envs.gpu_cluster.simulator.state import Cluster

start_plan, place_slot, place_backlog, target_nodes = (
    codec[name] for name in ("start_plan", "place_slot", "place_backlog", "target_nodes")
)
chosen_setpoint, chosen_reserve = codec["chosen_setpoint"], codec["chosen_reserve"]

RESERVES = RULE_RESERVE_NODES - 1
"""Row of `Outcome.levers`."""


@helper
def fill_plan(
    world: World,
    cluster: Cluster,
    snapshot: ClusterSnapshot,
    plan: PackingPlan,
    rule: NDArray[np.int64],
    setpoints: NDArray[np.int64],
    reserves: NDArray[np.int64],
) -> None:
    """Write setpoint and reserve of each pool, what `target_nodes` reads of it, and the plan of an empty queue."""
    reserve = rule[RULE_RESERVE_NODES] if world.tables.has_reserve_nodes else 0
    for pool in range(world.pools.shape[0]):
        row, out = cluster.pool[pool], snapshot.pools[pool]
        idle, booting = row[st.IDLE_TAIL] - row[st.IDLE_HEAD], row[st.BOOT_TAIL] - row[st.BOOT_HEAD]
        out[Pool.IDLE_NODES], out[Pool.BUSY_NODES], out[Pool.BOOTING_NODES] = idle, row[st.BUSY], booting
        fill_limits(cluster, world.pools, world.settings, pool, out)
        fill_setpoint(cluster, world.settings, pool, out)
        setpoints[pool] = chosen_setpoint(snapshot, pool, rule[RULE_SETPOINT])
        reserves[pool] = chosen_reserve(snapshot, pool, reserve)
        edge = world.tables.setpoint_edge[setpoints[pool]]
        snapshot.idle_age_nodes[pool, edge] = idle_for(cluster, world.pools, pool, EDGES_MS[edge], idle)
        plan.idle_nodes[pool], plan.booting_nodes[pool], plan.new_nodes[pool] = idle, booting, 0.0


@helper
def plan_queue(
    world: World, cluster: Cluster, snapshot: ClusterSnapshot, plan: PackingPlan, placement: NDArray[np.int64]
) -> None:
    """Plan the queue with the default placement, and write that."""
    for pool in range(world.pools.shape[0]):
        snapshot.pools[pool, Pool.SHARED_FREE_GPUS] = cluster.pool[pool, st.SHARED_FREE_MILLI] / 1000.0
        for free in range(world.pools[pool, st.GPUS] + 1):
            snapshot.free_nodes[pool, free] = cluster.pool[pool, st.FREE_COUNT + free]
    if world.settings.moves_prices:
        fill_signals(cluster, world.jobs, world.pools, world.settings, snapshot.signals)
        fill_prices(world.template, world.slopes, snapshot)
    fill_pool_signals(cluster, world.outlook, snapshot.pool_signals)
    prepare_queue(cluster, world.jobs, world.settings)
    slots = min(world.tables.window_slots, cluster.clock[st.QUEUE_TAIL] - cluster.clock[st.QUEUE_HEAD])
    fill_queue(cluster, world.jobs, world.pools, world.curves, world.settings, snapshot, slots)
    finish_backlog(world, cluster, snapshot, plan)
    start_plan(snapshot, world.tables, plan)
    for slot in range(slots):
        placement[slot] = place_slot(snapshot, world.tables, plan, slot)
    place_backlog(snapshot, world.tables, plan)


@helper
def finish_decision(
    world: World, index: int, cluster: Cluster, snapshot: ClusterSnapshot, plan: PackingPlan, waiting: bool
) -> None:
    """Carry out the setpoints and reserves in `outcome` with the plan, then run to the next decision."""
    targets, setpoints = world.outcome.target_nodes[index], world.outcome.setpoint[index]
    reserves = world.outcome.levers[index, RESERVES]
    for pool in range(world.pools.shape[0]):
        targets[pool] = target_nodes(snapshot, world.tables, plan, pool, setpoints[pool], reserves[pool])
    if waiting:
        start_waiting(cluster, world.jobs, world.pools, world.curves, world.settings, world.outcome.placement[index])
    for pool in range(world.pools.shape[0]):
        put_in_force(cluster, pool, setpoints[pool], reserves[pool])
        scale(cluster, world.pools, world.settings, pool, targets[pool])
        record(cluster, DECISION, pool, -1, -1, targets[pool])
    cluster.clock[st.DECISIONS] += 1
    advance(world, index, cluster)


@helper
def decide_by_rule(
    world: World, index: int, cluster: Cluster, snapshot: ClusterSnapshot, plan: PackingPlan, rule: NDArray[np.int64]
) -> None:
    """Decide by a rule and the default placement, then run to the next decision."""
    outcome = world.outcome
    fill_plan(world, cluster, snapshot, plan, rule, outcome.setpoint[index], outcome.levers[index, RESERVES])
    waiting = cluster.clock[st.QUEUE_TAIL] > cluster.clock[st.QUEUE_HEAD]
    if waiting:
        plan_queue(world, cluster, snapshot, plan, world.outcome.placement[index])
    finish_decision(world, index, cluster, snapshot, plan, waiting)


@kernel
def replay_by_rule(world: World, first: int, end: int, rules: NDArray[np.int64], decisions: int) -> bool:
    """Do what `kernels.replay_clusters` does; `outcome` is not written.

    Args:
        world: all that kernels read and write.
        first: the first cluster.
        end: the cluster after the last one.
        rules: [N, RULE_SIZE] int64, of which setpoints and reserves count: other levers keep their default, and always
            did.
        decisions: the most that each cluster takes in this call.
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
            decide_by_rule(world, index, cluster, snapshot, plan, rules[index])
        fill_snapshot(world, cluster, snapshot, plan)
        done = done and cluster.clock[st.DONE] != 0
    return done
