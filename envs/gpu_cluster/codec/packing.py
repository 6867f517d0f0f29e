"""Estimate, from counts alone, which jobs of the window fit now and how many nodes the others need.

Written in the part of Python that CPython and numba both run, with IEEE-exact operations only, so both give the same
bits. This is the question that Cluster Autoscaler's estimator answers: pack the pending pods first on what is there,
then on what is coming, and count the nodes that are still missing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.layout import CodecTables, Pool, Slot
from envs.gpu_cluster.codec.snapshot import ClusterSnapshot, PackingPlan


def smallest_fit(row: NDArray[np.float64], gpus: int, gpus_per_node: int) -> int:
    """The smallest number of free GPUs, from `gpus` up, that some node of `row` has; -1 if none."""
    for free in range(gpus, gpus_per_node + 1):
        if row[free] > 0.0:
            return free
    return -1


def start_plan(snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan) -> None:
    """Fill a plan with what the snapshot has, before any job is placed."""
    for pool in range(tables.max_pools):
        row = snapshot.pools[pool]
        for free in range(int(row[Pool.GPUS_PER_NODE]) + 1):
            plan.free[pool, free] = snapshot.free_nodes[pool, free]
            plan.upcoming[pool, free] = 0.0
        plan.shared_free_gpus[pool] = row[Pool.SHARED_FREE_GPUS]
        plan.idle_nodes[pool] = row[Pool.IDLE_NODES]
        plan.booting_nodes[pool] = row[Pool.BOOTING_NODES]
        plan.new_nodes[pool] = 0.0


def fits_now(plan: PackingPlan, pool: int, gpus: float, gpus_per_node: int) -> bool:
    """Whether a job of `gpus` GPUs starts at once on what the plan has left of a pool."""
    if gpus < 1.0 and plan.shared_free_gpus[pool] >= gpus:
        return True
    full_nodes = int(gpus) // gpus_per_node
    rest = int(np.ceil(gpus)) - full_nodes * gpus_per_node
    if plan.idle_nodes[pool] < full_nodes:
        return False
    if rest == 0 or plan.idle_nodes[pool] > full_nodes:
        return True
    return smallest_fit(plan.free[pool], rest, gpus_per_node) >= 0


def take_nodes(plan: PackingPlan, pool: int, nodes: int) -> None:
    """Take whole nodes: idle ones first, then booting ones, then new ones."""
    idle = min(plan.idle_nodes[pool], float(nodes))
    plan.idle_nodes[pool] -= idle
    booting = min(plan.booting_nodes[pool], nodes - idle)
    plan.booting_nodes[pool] -= booting
    plan.new_nodes[pool] += nodes - idle - booting


def take_rest(plan: PackingPlan, pool: int, gpus: int, gpus_per_node: int) -> None:
    """Take GPUs of one node: the fullest busy one where they fit, an idle, a planned, a booting or a new one."""
    free = smallest_fit(plan.free[pool], gpus, gpus_per_node)
    if free >= 0:
        plan.free[pool, free] -= 1.0
        plan.free[pool, free - gpus] += 1.0
        return
    if plan.idle_nodes[pool] > 0.0:
        plan.idle_nodes[pool] -= 1.0
        plan.free[pool, gpus_per_node - gpus] += 1.0
        return
    free = smallest_fit(plan.upcoming[pool], gpus, gpus_per_node)
    if free >= 0:
        plan.upcoming[pool, free] -= 1.0
        plan.upcoming[pool, free - gpus] += 1.0
        return
    take_nodes(plan, pool, 1)
    plan.upcoming[pool, gpus_per_node - gpus] += 1.0


def place(plan: PackingPlan, pool: int, gpus: float, gpus_per_node: int) -> None:
    """Add a job of `gpus` GPUs to the plan of a pool."""
    if gpus < 1.0:
        if plan.shared_free_gpus[pool] >= gpus:
            plan.shared_free_gpus[pool] -= gpus
            return
        plan.shared_free_gpus[pool] += 1.0 - gpus
    full_nodes = int(gpus) // gpus_per_node
    rest = int(np.ceil(gpus)) - full_nodes * gpus_per_node
    if full_nodes > 0:
        take_nodes(plan, pool, full_nodes)
    if rest > 0:
        take_rest(plan, pool, rest, gpus_per_node)


def default_pool(snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan, slot: int) -> int:
    """The first pool where the job of a slot starts at once, else the first that may run it, else -1."""
    first = -1
    for pool in range(tables.max_pools):
        if snapshot.allowed[slot, pool] > 0.0:
            gpus_per_node = int(snapshot.pools[pool, Pool.GPUS_PER_NODE])
            if fits_now(plan, pool, snapshot.queue[slot, Slot.GPUS], gpus_per_node):
                return pool
            if first < 0:
                first = pool
    return first


def place_backlog(snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan) -> None:
    """Add the jobs behind the window to the plan, as if they packed perfectly on whole nodes."""
    for pool in range(tables.max_pools):
        backlog = snapshot.pools[pool, Pool.BACKLOG_GPUS]
        if backlog > 0.0:
            take_nodes(plan, pool, int(np.ceil(backlog / snapshot.pools[pool, Pool.GPUS_PER_NODE])))
