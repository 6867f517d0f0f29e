"""From a policy's action to a decision, and which actions are valid. CPython and numba both run this file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.holding import chosen_setpoint
from envs.gpu_cluster.codec.layout import RESERVE_NODES, CodecTables, Pool, Slot
from envs.gpu_cluster.codec.levers import RULE_SETPOINT, Decision, decode_levers, default_levers, write_lever_mask
from envs.gpu_cluster.codec.packing import (
    can_take,
    default_pool,
    most_nodes,
    place,
    place_backlog,
    place_slot,
    start_plan,
)
from envs.gpu_cluster.codec.snapshot import ClusterSnapshot, PackingPlan

HOLD = 0
"""Placement that leaves a job in the queue; placement k > 0 sends it to pool k - 1."""


def may_hold(snapshot: ClusterSnapshot, tables: CodecTables, slot: int) -> bool:
    """Whether the job of a slot may stay in the queue although a pool could run it.

    A job that may be deferred may be held until its latest start and not after it; another for `max_hold_seconds`.
    """
    row = snapshot.queue[slot]
    if row[Slot.SLACK_SECONDS] != 0.0:
        return bool(row[Slot.SLACK_SECONDS] > 0.0)
    return bool(row[Slot.WAITED_SECONDS] < tables.max_hold_seconds)


def write_mask(snapshot: ClusterSnapshot, tables: CodecTables, mask: NDArray[np.bool_]) -> None:
    """Mark the valid choices of every component of the action.

    An absent pool has only setpoint 0, one whose setpoint is held only that and the reserve in nodes in force; an
    absent slot has only `HOLD`. Choice 0 of other levers does nothing and is always valid, so no component ever lacks a
    valid choice.

    Args:
        snapshot: the cluster now.
        tables: the layout.
        mask: [mask_size] bool, written.
    """
    at = 0
    for pool in range(tables.max_pools):
        for setpoint in range(tables.setpoints):
            mask[at + setpoint] = chosen_setpoint(snapshot, pool, setpoint) == setpoint
        at += tables.setpoints
    for slot in range(tables.window_slots):
        allowed = 0
        for pool in range(tables.max_pools):
            may_run = snapshot.queue[slot, Slot.PRESENT] > 0.0 and snapshot.allowed[slot, pool] > 0.0
            mask[at + 1 + pool] = may_run
            if may_run:
                allowed += 1
        mask[at] = allowed == 0 or may_hold(snapshot, tables, slot)
        at += tables.max_pools + 1
    write_lever_mask(snapshot, tables, at, mask)


def placed_pool(snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan, choice: int, slot: int) -> int:
    """The pool that a slot's choice means, -1 for none.

    A choice outside the mask means the default pool. So does a pool that cannot take the job, where the default pool
    can: who wants a job to wait for one pool holds it.
    """
    if choice == HOLD and may_hold(snapshot, tables, slot):
        return -1
    gpus, predicted = snapshot.queue[slot, Slot.GPUS], snapshot.queue[slot, Slot.PREDICTED_SECONDS]
    allowed, transfer_gb = snapshot.allowed[slot], snapshot.transfer_gb[slot]
    if 0 < choice <= tables.max_pools and allowed[choice - 1] > 0.0:
        if can_take(snapshot, plan, choice - 1, gpus):
            return choice - 1
        other = default_pool(snapshot, tables, plan, gpus, allowed, transfer_gb, predicted)
        return other if can_take(snapshot, plan, other, gpus) else choice - 1
    return default_pool(snapshot, tables, plan, gpus, allowed, transfer_gb, predicted)


def target_nodes(
    snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan, pool: int, setpoint: int, reserve_nodes: int
) -> int:
    """Nodes that a setpoint wants on in a pool, after the plan placed the queue, of those that can be on.

    The reserve is its share of the demand, or a choice of `RESERVE_NODES` where that is more: a share of nothing is
    nothing, and of a few nodes it is one, whatever the share.

    Idle nodes beyond the reserve go once they are older than the time-out; the plan uses the youngest idle nodes first,
    as the packers do, so the old ones are those left.
    """
    row = snapshot.pools[pool]
    most = most_nodes(row)
    if tables.setpoint_headroom[setpoint] < 0.0:
        return int(most)
    nodes = row[Pool.IDLE_NODES] + row[Pool.BUSY_NODES] + row[Pool.BOOTING_NODES]
    spare = plan.idle_nodes[pool] + plan.booting_nodes[pool]
    demand = nodes - spare + plan.new_nodes[pool]
    reserve = np.ceil(tables.setpoint_headroom[setpoint] * demand)
    if tables.has_reserve_nodes:
        reserve = max(reserve, float(RESERVE_NODES[reserve_nodes]))
    target = nodes + plan.new_nodes[pool]
    if spare < reserve:
        target += reserve - spare
    else:
        aged = snapshot.idle_age_nodes[pool, tables.setpoint_edge[setpoint]]
        target -= min(aged, plan.idle_nodes[pool], spare - reserve)
    return int(min(max(row[Pool.MIN_NODES], target), most))


def decode(
    action: NDArray[np.int64],
    snapshot: ClusterSnapshot,
    tables: CodecTables,
    plan: PackingPlan,
    decision: Decision,
) -> None:
    """Turn an action into a decision.

    Args:
        action: [components] int64, a setpoint per pool, a placement per slot (`HOLD`, or pool + 1), and for each lever
            that is on a choice per pool.
        snapshot: the cluster now.
        tables: the layout.
        plan: scratch memory.
        decision: written.
    """
    start_plan(snapshot, tables, plan)
    for slot in range(tables.window_slots):
        decision.placement[slot] = -1
        if snapshot.queue[slot, Slot.PRESENT] > 0.0:
            pool = placed_pool(snapshot, tables, plan, action[tables.max_pools + slot], slot)
            decision.placement[slot] = pool
            if pool >= 0:
                gpus_per_node = int(snapshot.pools[pool, Pool.GPUS_PER_NODE])
                place(plan, pool, snapshot.queue[slot, Slot.GPUS], gpus_per_node)
    place_backlog(snapshot, tables, plan)
    decode_levers(action, snapshot, tables, decision)
    for pool in range(tables.max_pools):
        setpoint = chosen_setpoint(snapshot, pool, action[pool])
        decision.setpoint[pool] = setpoint
        decision.target_nodes[pool] = 0
        if snapshot.pools[pool, Pool.PRESENT] > 0.0:
            reserve = decision.reserve_nodes[pool]
            decision.target_nodes[pool] = target_nodes(snapshot, tables, plan, pool, setpoint, reserve)


def default_action(
    snapshot: ClusterSnapshot,
    tables: CodecTables,
    plan: PackingPlan,
    rule: NDArray[np.int64],
    action: NDArray[np.int64],
) -> None:
    """Write the action of a fixed rule: the same choices wherever they are valid, every job to its default pool.

    Args:
        snapshot: the cluster now.
        tables: the layout.
        plan: scratch memory.
        rule: [RULE_SIZE] int64, the setpoint and the choice of each lever.
        action: [components] int64, written.
    """
    for pool in range(tables.max_pools):
        action[pool] = chosen_setpoint(snapshot, pool, rule[RULE_SETPOINT])
    default_levers(snapshot, tables, rule, action)
    start_plan(snapshot, tables, plan)
    for slot in range(tables.window_slots):
        action[tables.max_pools + slot] = HOLD
        if snapshot.queue[slot, Slot.PRESENT] > 0.0:
            action[tables.max_pools + slot] = place_slot(snapshot, tables, plan, slot) + 1
