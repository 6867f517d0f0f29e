"""Whole replays under learned choices: many policies on many clusters in one call, without Python in between.

`envs.gpu_cluster.codec.setpoint_policy` is the policy; here it reads features that the codec's own functions wrote, so
a replay has the decisions that `agents.setpoints.LearnedSetpoints` takes step by step, and a test compares them. A
replay that explores adds noise to the outputs, and writes down what an agent that learns from it needs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, kernel
from envs.gpu_cluster.codec import RULE_RESERVE_NODES, ClusterSnapshot, PackingPlan, Pool, SetpointPolicies
from envs.gpu_cluster.codec.features import PoolFeature, SignalFeature
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.arrivals import fill_arrivals
from envs.gpu_cluster.simulator.kernels.charges import charge_step
from envs.gpu_cluster.simulator.kernels.compiled_codec import codec
from envs.gpu_cluster.simulator.kernels.replay import RESERVES, finish_decision, plan_queue
from envs.gpu_cluster.simulator.kernels.snapshots import fill_pool_signals, fill_pools, fill_signals
from envs.gpu_cluster.simulator.kernels.steps import decide, fill_snapshot, observe
from envs.gpu_cluster.simulator.kernels.world import World, cluster_of, plan_of, snapshot_of
from envs.gpu_cluster.simulator.log import is_log_filling
from envs.gpu_cluster.simulator.state import Cluster

write_global, write_pool, write_in_force, write_levers, write_signals, pool_features = (
    codec[name]
    for name in ("write_global", "write_pool", "write_in_force", "write_levers", "write_signals", "pool_features")
)
encode, default_action, chosen_setpoint, chosen_reserve = (
    codec[name] for name in ("encode", "default_action", "chosen_setpoint", "chosen_reserve")
)
write_inputs, learned_outputs, write_choices = (
    codec[name] for name in ("write_inputs", "learned_outputs", "write_choices")
)
POOL_FEATURES, SIGNAL_FEATURES = len(PoolFeature), len(SignalFeature)


class Exploration(NamedTuple):
    """Noise on the outputs of policies in N clusters, and the decisions that it was drawn for.

    The noise of a row is added from its decision on until the next row's: the first decision that may change the
    setpoint of the pool after `hold_ms`. The last row's stays until the end.

    Attributes:
        noise: [N, pools, rows, outputs] float64, in choices; zero rows: nothing is explored.
        inputs: [N, pools, rows, inputs] float64, what the policy read, written.
        outputs: [N, pools, rows, outputs] float64, what it put out with the noise, as indices not rounded, written.
        time_ms: [N, pools, rows] int64, when, written.
        usd: [N, pools, rows] float64, what the cluster had cost by then, written.
        drawn: [N, pools] int64, rows written so far.
        spent_usd: [N] float64, what clusters had cost when the last row was written.
        hold_ms: least time between two rows of a pool.
    """

    noise: NDArray[np.float64]
    inputs: NDArray[np.float64]
    outputs: NDArray[np.float64]
    time_ms: NDArray[np.int64]
    usd: NDArray[np.float64]
    drawn: NDArray[np.int64]
    spent_usd: NDArray[np.float64]
    hold_ms: int


@helper
def explore(
    world: World,
    index: int,
    cluster: Cluster,
    snapshot: ClusterSnapshot,
    policies: SetpointPolicies,
    pool: int,
    outputs: NDArray[np.float64],
    explored: Exploration,
) -> None:
    """Add the noise in force to the outputs of a policy for a pool; write a row down where it is time for new noise."""
    row, rows = explored.drawn[index, pool], explored.noise.shape[2]
    is_free = snapshot.pools[pool, Pool.SETPOINT_HELD] == 0.0
    is_over = row == 0 or cluster.clock[st.NOW] - explored.time_ms[index, pool, row - 1] >= explored.hold_ms
    is_new = row < rows and is_free and is_over
    if not is_new:
        row -= 1
    if row >= 0:
        for output in range(explored.noise.shape[3]):
            outputs[output] += explored.noise[index, pool, row, output]
    if is_new:
        charge_step(world, index, cluster)
        for term in range(st.TERM_SECONDS):
            explored.spent_usd[index] += world.outcome.terms[index, term]
        world.outcome.terms[index] = 0.0
        write_inputs(policies, world.outcome.observation[index], pool, explored.inputs[index, pool, row])
        for output in range(explored.noise.shape[3]):
            explored.outputs[index, pool, row, output] = outputs[output]
        explored.time_ms[index, pool, row] = cluster.clock[st.NOW]
        explored.usd[index, pool, row] = explored.spent_usd[index]
        explored.drawn[index, pool] = row + 1


@helper
def choose(
    world: World,
    index: int,
    cluster: Cluster,
    snapshot: ClusterSnapshot,
    policies: SetpointPolicies,
    number: int,
    pool: int,
    values: NDArray[np.float64],
    explored: Exploration,
) -> None:
    """Write the choices for a pool by a policy, and by noise where that explores, into row 2 of `values`."""
    at = learned_outputs(policies, number, world.outcome.observation[index], pool, values)
    if explored.noise.shape[2] > 0 and snapshot.pools[pool, Pool.PRESENT] > 0.0:
        explore(world, index, cluster, snapshot, policies, pool, values[at], explored)
    write_choices(policies, at, values)


@helper
def write_features(
    world: World, index: int, cluster: Cluster, snapshot: ClusterSnapshot, plan: PackingPlan, waiting: bool
) -> None:
    """Write the features of cluster and pools into the observation, and the plan; slots stay as they are."""
    observation = world.outcome.observation[index]
    fill_pools(cluster, world.jobs, world.pools, world.settings, world.template, snapshot)
    fill_signals(cluster, world.jobs, world.pools, world.settings, snapshot.signals)
    fill_arrivals(cluster, world.memories, snapshot.signals)
    fill_pool_signals(cluster, world.outlook, snapshot.pool_signals)
    if waiting:
        plan_queue(world, cluster, snapshot, plan, world.outcome.placement[index])
    else:
        for pool in range(world.pools.shape[0]):
            row = cluster.pool[pool]
            plan.idle_nodes[pool] = row[st.IDLE_TAIL] - row[st.IDLE_HEAD]
            plan.booting_nodes[pool] = row[st.BOOT_TAIL] - row[st.BOOT_HEAD]
            plan.new_nodes[pool] = 0.0
    at = write_global(snapshot, world.tables, observation)
    for pool in range(world.pools.shape[0]):
        write_pool(snapshot, plan, pool, at, observation)
        write_in_force(snapshot, world.tables, pool, at, observation)
        write_levers(snapshot, world.tables, pool, at + POOL_FEATURES, observation)
        at += pool_features(world.tables)
        if world.tables.has_signals:
            write_signals(snapshot, pool, at - SIGNAL_FEATURES, observation)


@helper
def decide_by_policy(
    world: World,
    index: int,
    cluster: Cluster,
    snapshot: ClusterSnapshot,
    plan: PackingPlan,
    policies: SetpointPolicies,
    number: int,
    values: NDArray[np.float64],
    reserve: int,
    explored: Exploration,
) -> None:
    """Decide by learned setpoints and reserves, and all else by default, then run to the next decision."""
    waiting = cluster.clock[st.QUEUE_TAIL] > cluster.clock[st.QUEUE_HEAD]
    constant = reserve if world.tables.has_reserve_nodes else 0
    write_features(world, index, cluster, snapshot, plan, waiting)
    for pool in range(world.pools.shape[0]):
        choose(world, index, cluster, snapshot, policies, number, pool, values, explored)
        wanted = values[2, 1] if policies.levers.shape[0] > 0 else constant
        world.outcome.setpoint[index, pool] = chosen_setpoint(snapshot, pool, values[2, 0])
        world.outcome.levers[index, RESERVES, pool] = chosen_reserve(snapshot, pool, wanted)
    finish_decision(world, index, cluster, snapshot, plan, waiting)


@kernel
def replay_by_policy(
    world: World,
    first: int,
    end: int,
    policies: SetpointPolicies,
    numbers: NDArray[np.int64],
    scratch: NDArray[np.float64],
    rule: NDArray[np.int64],
    explored: Exploration,
    decisions: int,
) -> bool:
    """Run clusters under policies that pull no lever but the reserve, for at most `decisions` more decisions each.

    Args:
        world: all that kernels read and write.
        first: the first cluster.
        end: the cluster after the last one.
        policies: all policies.
        numbers: [N] int64, which of them each cluster follows.
        scratch: [N, 3, most units] float64.
        rule: [RULE_SIZE] int64, of which only the reserve counts, where policies have no output for it.
        explored: noise, and what is written down of it.
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
            if cluster.clock[st.DONE] != 0 or is_log_filling(cluster):
                break
            decide_by_policy(
                world,
                index,
                cluster,
                snapshot,
                plan,
                policies,
                numbers[index],
                scratch[index],
                rule[RULE_RESERVE_NODES],
                explored,
            )
        fill_snapshot(world, cluster, snapshot, plan)
        observe(world, index, snapshot, plan)
        done = done and cluster.clock[st.DONE] != 0
    return done


@kernel
def replay_by_policy_with_levers(
    world: World,
    first: int,
    end: int,
    policies: SetpointPolicies,
    numbers: NDArray[np.int64],
    scratch: NDArray[np.float64],
    rule: NDArray[np.int64],
    explored: Exploration,
    kept: NDArray[np.float64],
    decisions: int,
) -> bool:
    """Do the same with all levers, constant or learned, and through the whole codec.

    Args:
        world: all that kernels read and write.
        first: the first cluster.
        end: the cluster after the last one.
        policies: all policies.
        numbers: [N] int64, which of them each cluster follows.
        scratch: [N, 3, most units] float64.
        rule: [RULE_SIZE] int64, of which the levers count that policies have no output for.
        explored: noise, and what is written down of it.
        kept: [N, TERM_COLUMNS] float64, scratch.
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
        action, observation = world.outcome.action[index], world.outcome.observation[index]
        for _ in range(decisions):
            if cluster.clock[st.DONE] != 0 or is_log_filling(cluster):
                break
            default_action(snapshot, world.tables, plan, rule, action)
            encode(snapshot, world.tables, plan, observation)
            for pool in range(world.tables.max_pools):
                values = scratch[index]
                choose(world, index, cluster, snapshot, policies, numbers[index], pool, values, explored)
                action[pool] = chosen_setpoint(snapshot, pool, values[2, 0])
                for entry in range(policies.levers.shape[0]):
                    action[policies.lever_at[entry] + pool] = int(values[2, 1 + entry])
            # A step begins to count anew what it costs; `take_costs` counts since the beginning.
            for term in range(kept.shape[1]):
                kept[index, term] = world.outcome.terms[index, term]
            decide(world, index, cluster, snapshot, plan)
            for term in range(kept.shape[1]):
                world.outcome.terms[index, term] += kept[index, term]
        observe(world, index, snapshot, plan)
        done = done and cluster.clock[st.DONE] != 0
    return done


@kernel
def take_costs(world: World, first: int, end: int, costs: NDArray[np.float64]) -> None:
    """Write what clusters cost since they were reset, copied or asked last, and begin to count anew.

    Args:
        world: all that kernels read and write.
        first: the first cluster.
        end: the cluster after the last one.
        costs: [N, len(COST_TERMS)] float64, USD, written.
    """
    for index in range(first, end):
        charge_step(world, index, cluster_of(world.clusters, index))
        for term in range(costs.shape[1]):
            costs[index, term] = world.outcome.terms[index, term]
        world.outcome.terms[index] = 0.0
