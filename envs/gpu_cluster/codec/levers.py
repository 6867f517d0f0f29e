"""The decision, and the levers that an experiment can switch on beside setpoint and placement.

CPython and numba both run this file.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.holding import chosen_reserve
from envs.gpu_cluster.codec.layout import (
    CONSOLIDATION_CHOICES,
    LEVERS,
    POWER_CAP_FRACTIONS,
    RESERVE_NODES,
    SUSPENSION_CHOICES,
    WIDTH_CHOICES,
    CodecLayout,
    CodecTables,
    Pool,
)
from envs.gpu_cluster.codec.snapshot import ClusterSnapshot

CONSOLIDATIONS = len(CONSOLIDATION_CHOICES)
POWER_CAPS = len(POWER_CAP_FRACTIONS)
WIDTHS = len(WIDTH_CHOICES)
KEEP, SHRINK, GROW = range(WIDTHS)
SUSPENSIONS = len(SUSPENSION_CHOICES)
GO_ON, SUSPEND, RESUME = range(SUSPENSIONS)
RESERVES = len(RESERVE_NODES)
RULE_SIZE = 1 + len(LEVERS)
RULE_SETPOINT, RULE_CONSOLIDATION, RULE_POWER_CAP, RULE_WIDTH, RULE_SUSPENSION, RULE_RESERVE_NODES = range(RULE_SIZE)


class Decision(NamedTuple):
    """What an action means for this cluster now.

    Attributes:
        target_nodes: [P] int64, nodes that must be on (ready or booting); 0 for an absent pool.
        placement: [W] int64, the pool that the job of each slot runs in, -1 to leave it in the queue. A job that does
            not fit in its pool yet waits there and counts as its demand.
        consolidation: [P] int64, index into `CONSOLIDATION_CHOICES`.
        power_cap: [P] int64, index into `POWER_CAP_FRACTIONS`.
        width: [P] int64, index into `WIDTH_CHOICES`.
        suspension: [P] int64, index into `SUSPENSION_CHOICES`.
        reserve_nodes: [P] int64, index into `RESERVE_NODES`, in force from now on.
        setpoint: [P] int64, the setpoint that is in force from now on; 0 for an absent pool.
    """

    target_nodes: NDArray[np.int64]
    placement: NDArray[np.int64]
    consolidation: NDArray[np.int64]
    power_cap: NDArray[np.int64]
    width: NDArray[np.int64]
    suspension: NDArray[np.int64]
    reserve_nodes: NDArray[np.int64]
    setpoint: NDArray[np.int64]


def empty_decision(layout: CodecLayout) -> Decision:
    """A decision that does nothing, with the shapes of a layout."""
    pools = layout.max_pools
    per_pool = {name: np.zeros(pools, np.int64) for name in Decision._fields if name != "placement"}
    return Decision(placement=np.full(layout.window_slots, -1, np.int64), **per_pool)


def may_consolidate(snapshot: ClusterSnapshot, pool: int, choice: int) -> bool:
    """Whether a choice of the consolidation lever is valid."""
    return bool(choice == 0 or (0 < choice < CONSOLIDATIONS and snapshot.pools[pool, Pool.CONSOLIDATABLE] > 0.0))


def may_cap(snapshot: ClusterSnapshot, pool: int, choice: int) -> bool:
    """Whether a choice of the power lever is valid."""
    return bool(choice == 0 or (0 < choice < POWER_CAPS and snapshot.pools[pool, Pool.PRESENT] > 0.0))


def may_resize(snapshot: ClusterSnapshot, pool: int, choice: int) -> bool:
    """Whether a choice of the width lever is valid."""
    if choice == SHRINK:
        return bool(snapshot.pools[pool, Pool.SHRINKABLE_GPUS] > 0.0)
    if choice == GROW:
        return bool(snapshot.pools[pool, Pool.GROWABLE_GPUS] > 0.0)
    return choice == KEEP


def may_suspend(snapshot: ClusterSnapshot, pool: int, choice: int) -> bool:
    """Whether a choice of the suspension lever is valid."""
    if choice == SUSPEND:
        return bool(snapshot.pools[pool, Pool.SUSPENDABLE_GPUS] > 0.0)
    if choice == RESUME:
        return bool(snapshot.pools[pool, Pool.SUSPENDED_GPUS] > 0.0)
    return choice == GO_ON


def write_reserve_mask(snapshot: ClusterSnapshot, tables: CodecTables, at: int, mask: NDArray[np.bool_]) -> None:
    """Mark the valid reserves in nodes of each pool, from index `at` on, where they are on."""
    if not tables.has_reserve_nodes:
        return
    for pool in range(tables.max_pools):
        for choice in range(RESERVES):
            mask[at + choice] = chosen_reserve(snapshot, pool, choice) == choice
        at += RESERVES


def decode_reserves(
    action: NDArray[np.int64], snapshot: ClusterSnapshot, tables: CodecTables, at: int, decision: Decision
) -> None:
    """Write the reserves in nodes of a decision, from component `at` of the action on, where they are on."""
    if not tables.has_reserve_nodes:
        return
    for pool in range(tables.max_pools):
        decision.reserve_nodes[pool] = chosen_reserve(snapshot, pool, action[at + pool])


def write_lever_mask(snapshot: ClusterSnapshot, tables: CodecTables, at: int, mask: NDArray[np.bool_]) -> None:
    """Mark the valid choices of the levers that are on, from index `at` on."""
    if tables.has_consolidation:
        for pool in range(tables.max_pools):
            for choice in range(CONSOLIDATIONS):
                mask[at + choice] = may_consolidate(snapshot, pool, choice)
            at += CONSOLIDATIONS
    if tables.has_power_caps:
        for pool in range(tables.max_pools):
            for choice in range(POWER_CAPS):
                mask[at + choice] = may_cap(snapshot, pool, choice)
            at += POWER_CAPS
    if tables.has_width:
        for pool in range(tables.max_pools):
            for choice in range(WIDTHS):
                mask[at + choice] = may_resize(snapshot, pool, choice)
            at += WIDTHS
    if tables.has_suspension:
        for pool in range(tables.max_pools):
            for choice in range(SUSPENSIONS):
                mask[at + choice] = may_suspend(snapshot, pool, choice)
            at += SUSPENSIONS
    write_reserve_mask(snapshot, tables, at, mask)


def decode_levers(
    action: NDArray[np.int64], snapshot: ClusterSnapshot, tables: CodecTables, decision: Decision
) -> None:
    """Write the levers' part of a decision; a choice outside the mask does nothing, or means the reserve in force."""
    at = tables.max_pools + tables.window_slots
    decision.consolidation[:] = 0
    decision.power_cap[:] = 0
    decision.width[:] = KEEP
    decision.suspension[:] = GO_ON
    decision.reserve_nodes[:] = 0
    if tables.has_consolidation:
        for pool in range(tables.max_pools):
            if may_consolidate(snapshot, pool, action[at + pool]):
                decision.consolidation[pool] = action[at + pool]
        at += tables.max_pools
    if tables.has_power_caps:
        for pool in range(tables.max_pools):
            if may_cap(snapshot, pool, action[at + pool]):
                decision.power_cap[pool] = action[at + pool]
        at += tables.max_pools
    if tables.has_width:
        for pool in range(tables.max_pools):
            if may_resize(snapshot, pool, action[at + pool]):
                decision.width[pool] = action[at + pool]
        at += tables.max_pools
    if tables.has_suspension:
        for pool in range(tables.max_pools):
            if may_suspend(snapshot, pool, action[at + pool]):
                decision.suspension[pool] = action[at + pool]
        at += tables.max_pools
    decode_reserves(action, snapshot, tables, at, decision)


def default_levers(
    snapshot: ClusterSnapshot, tables: CodecTables, rule: NDArray[np.int64], action: NDArray[np.int64]
) -> None:
    """Write the levers' part of a fixed rule's action: its choice wherever that is valid."""
    at = tables.max_pools + tables.window_slots
    if tables.has_consolidation:
        for pool in range(tables.max_pools):
            choice = rule[RULE_CONSOLIDATION]
            action[at + pool] = choice if may_consolidate(snapshot, pool, choice) else 0
        at += tables.max_pools
    if tables.has_power_caps:
        for pool in range(tables.max_pools):
            choice = rule[RULE_POWER_CAP]
            action[at + pool] = choice if may_cap(snapshot, pool, choice) else 0
        at += tables.max_pools
    if tables.has_width:
        for pool in range(tables.max_pools):
            choice = rule[RULE_WIDTH]
            action[at + pool] = choice if may_resize(snapshot, pool, choice) else KEEP
        at += tables.max_pools
    if tables.has_suspension:
        for pool in range(tables.max_pools):
            choice = rule[RULE_SUSPENSION]
            action[at + pool] = choice if may_suspend(snapshot, pool, choice) else GO_ON
        at += tables.max_pools
    if tables.has_reserve_nodes:
        for pool in range(tables.max_pools):
            action[at + pool] = chosen_reserve(snapshot, pool, rule[RULE_RESERVE_NODES])
