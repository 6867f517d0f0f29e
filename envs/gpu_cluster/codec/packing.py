"""Estimate, from counts alone, which jobs of the window fit now and how many nodes the others need.

Written in the part of Python that CPython and numba both run, with IEEE-exact operations only, so both give the same
bits. This is the question that Cluster Autoscaler's estimator answers: pack the pending pods first on what is there,
then on what is coming, and count the nodes that are still missing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.layout import CodecTables, Pool, Signal, Slot
from envs.gpu_cluster.codec.prices import energy_price
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


def missing_nodes(plan: PackingPlan, pool: int, gpus: float, gpus_per_node: int) -> float:
    """Nodes that must be ordered for a job of `gpus` GPUs, beyond what the plan has left of those on or coming."""
    if gpus < 1.0 and plan.shared_free_gpus[pool] >= gpus:
        return 0.0
    nodes = int(gpus) // gpus_per_node
    rest = int(np.ceil(gpus)) - nodes * gpus_per_node
    if rest > 0:
        has_part = smallest_fit(plan.free[pool], rest, gpus_per_node) >= 0
        if not has_part and smallest_fit(plan.upcoming[pool], rest, gpus_per_node) < 0:
            nodes += 1
    return max(0.0, nodes - plan.idle_nodes[pool] - plan.booting_nodes[pool])


def most_nodes(row: NDArray[np.float64]) -> float:
    """Nodes of a pool (its row of the snapshot) that can be on now."""
    return max(0.0, row[Pool.MAX_NODES] - row[Pool.UNAVAILABLE_NODES])


def can_grow(snapshot: ClusterSnapshot, plan: PackingPlan, pool: int, nodes: float) -> bool:
    """Whether a pool has capacity to grow by the nodes that the plan orders and by `nodes` more.

    A pool with more nodes than it may have still uses those that it has, so its capacity is 0 and not less.
    """
    row = snapshot.pools[pool]
    exists = row[Pool.IDLE_NODES] + row[Pool.BUSY_NODES] + row[Pool.BOOTING_NODES]
    return bool(plan.new_nodes[pool] + nodes <= max(0.0, most_nodes(row) - exists))


def can_take(snapshot: ClusterSnapshot, plan: PackingPlan, pool: int, gpus: float) -> bool:
    """Whether a pool runs a job at once, or once nodes are ready that are coming or can still be ordered."""
    gpus_per_node = int(snapshot.pools[pool, Pool.GPUS_PER_NODE])
    if fits_now(plan, pool, gpus, gpus_per_node):
        return True
    return can_grow(snapshot, plan, pool, missing_nodes(plan, pool, gpus, gpus_per_node))


def are_similar(snapshot: ClusterSnapshot, allowed: NDArray[np.float64], pool: int, other: int) -> bool:
    """Whether two pools differ in nothing that matters to a job: size, boot, power, price, and its speed."""
    row, others = snapshot.pools[pool], snapshot.pools[other]
    return bool(
        allowed[pool] == allowed[other]
        and row[Pool.GPUS_PER_NODE] == others[Pool.GPUS_PER_NODE]
        and row[Pool.BOOT_SECONDS] == others[Pool.BOOT_SECONDS]
        and row[Pool.IDLE_NODE_WATTS] == others[Pool.IDLE_NODE_WATTS]
        and row[Pool.BUSY_GPU_WATTS] == others[Pool.BUSY_GPU_WATTS]
        and row[Pool.USD_PER_KWH] == others[Pool.USD_PER_KWH]
        and row[Pool.USD_PER_NODE_HOUR] == others[Pool.USD_PER_NODE_HOUR]
    )


def planned_nodes(snapshot: ClusterSnapshot, plan: PackingPlan, pool: int) -> float:
    """Nodes of a pool that are on or coming, with those that the plan orders."""
    row = snapshot.pools[pool]
    return float(row[Pool.IDLE_NODES] + row[Pool.BUSY_NODES] + row[Pool.BOOTING_NODES] + plan.new_nodes[pool])


def growing_pool(
    snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan, gpus: float, allowed: NDArray[np.float64]
) -> int:
    """The pool that takes a job which fits nowhere now, -1: none can.

    The first whose coming nodes hold the job, so that nothing is ordered beside them; else the first that can grow
    enough for it, or, where pools are balanced, the one with the fewest nodes of those that are similar to that one.
    """
    chosen = -1
    for pool in range(tables.max_pools):
        if allowed[pool] > 0.0:
            nodes = missing_nodes(plan, pool, gpus, int(snapshot.pools[pool, Pool.GPUS_PER_NODE]))
            if can_grow(snapshot, plan, pool, nodes):
                if nodes == 0.0:
                    return pool
                if chosen < 0 or (
                    tables.balances_pools
                    and are_similar(snapshot, allowed, chosen, pool)
                    and planned_nodes(snapshot, plan, pool) < planned_nodes(snapshot, plan, chosen)
                ):
                    chosen = pool
    return chosen


def transfer_cost(snapshot: ClusterSnapshot, tables: CodecTables, pool: int, gigabytes: float) -> float:
    """USD of the network for data that come to a pool."""
    row = snapshot.pools[pool]
    price = energy_price(snapshot, tables, pool, gigabytes * row[Pool.TRANSFER_SECONDS_PER_GB])
    return float(gigabytes * (row[Pool.TRANSFER_KWH_PER_GB] * price + row[Pool.TRANSFER_USD_PER_GB]))


def run_cost(
    snapshot: ClusterSnapshot,
    tables: CodecTables,
    pool: int,
    gpus: float,
    speed: float,
    gigabytes: float,
    seconds: float,
) -> float:
    """USD for each GPU of a job that runs `seconds` at speed 1: energy, nodes, and delay.

    It is delayed where it runs slower, and where it holds its GPUs while `gigabytes` of data come, which cost too.
    """
    row = snapshot.pools[pool]
    runs = seconds / speed + gigabytes * row[Pool.TRANSFER_SECONDS_PER_GB]
    watts = row[Pool.IDLE_NODE_WATTS] / row[Pool.GPUS_PER_NODE] + row[Pool.BUSY_GPU_WATTS]
    energy = watts / 1000.0 * energy_price(snapshot, tables, pool, runs)
    node = row[Pool.USD_PER_NODE_HOUR] / row[Pool.GPUS_PER_NODE]
    hourly = energy + node + snapshot.signals[Signal.USD_PER_GPU_HOUR]
    return float(runs / 3600.0 * hourly + transfer_cost(snapshot, tables, pool, gigabytes) / gpus)


def boot_cost(snapshot: ClusterSnapshot, tables: CodecTables, pool: int, nodes: float, gpus: float) -> float:
    """USD for each GPU of a job that waits for nodes of a pool: its delay, and the boots of `nodes` new ones.

    Nodes that are on their way already are ready, at a guess, after half of their boot.
    """
    row = snapshot.pools[pool]
    hours = row[Pool.BOOT_SECONDS] / 3600.0
    delay = hours * snapshot.signals[Signal.USD_PER_GPU_HOUR]
    if nodes == 0.0:
        return float(delay / 2.0)
    energy = row[Pool.IDLE_NODE_WATTS] / 1000.0 * energy_price(snapshot, tables, pool, row[Pool.BOOT_SECONDS])
    return float(delay + nodes * hours * (energy + row[Pool.USD_PER_NODE_HOUR]) / gpus)


def cheapest_pool(
    snapshot: ClusterSnapshot,
    tables: CodecTables,
    plan: PackingPlan,
    gpus: float,
    allowed: NDArray[np.float64],
    transfer_gb: NDArray[np.float64],
    seconds: float,
) -> int:
    """The pool where a job is cheapest, of those that run it at once or can get nodes for it; -1: none.

    Between pools of equal cost it is the one that runs the job soonest, then the one with the fewest nodes where pools
    are balanced, then the first.
    """
    chosen, least, chosen_steps = -1, 0.0, 0
    for pool in range(tables.max_pools):
        if allowed[pool] > 0.0:
            gpus_per_node = int(snapshot.pools[pool, Pool.GPUS_PER_NODE])
            cost = run_cost(snapshot, tables, pool, gpus, allowed[pool], transfer_gb[pool], seconds)
            steps = 0
            if not fits_now(plan, pool, gpus, gpus_per_node):
                nodes = missing_nodes(plan, pool, gpus, gpus_per_node)
                if not can_grow(snapshot, plan, pool, nodes):
                    continue
                cost, steps = cost + boot_cost(snapshot, tables, pool, nodes, gpus), 1 if nodes == 0.0 else 2
            if chosen < 0 or cost < least or (cost == least and steps < chosen_steps):
                chosen, least, chosen_steps = pool, cost, steps
            elif (
                tables.balances_pools
                and cost == least
                and steps == chosen_steps == 2
                and are_similar(snapshot, allowed, chosen, pool)
                and planned_nodes(snapshot, plan, pool) < planned_nodes(snapshot, plan, chosen)
            ):
                chosen = pool
    return chosen


def soonest_pool(
    snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan, gpus: float, allowed: NDArray[np.float64]
) -> int:
    """The first allowed pool where a job starts at once, else `growing_pool`."""
    for pool in range(tables.max_pools):
        if allowed[pool] > 0.0 and fits_now(plan, pool, gpus, int(snapshot.pools[pool, Pool.GPUS_PER_NODE])):
            return pool
    return growing_pool(snapshot, tables, plan, gpus, allowed)


def default_pool(
    snapshot: ClusterSnapshot,
    tables: CodecTables,
    plan: PackingPlan,
    gpus: float,
    allowed: NDArray[np.float64],
    transfer_gb: NDArray[np.float64],
    predicted_seconds: float,
) -> int:
    """Where a job goes unless a policy says otherwise: it overflows to another pool where one cannot take it.

    Args:
        snapshot: the cluster now.
        tables: the layout.
        plan: what is left after the jobs before it.
        gpus: GPUs that the job requests.
        allowed: [P] float64, a row of `ClusterSnapshot.allowed`.
        transfer_gb: [P] float64, a row of `ClusterSnapshot.transfer_gb`.
        predicted_seconds: the run time that is expected, 0: unknown.

    Returns:
        `cheapest_pool`, or `soonest_pool` where the order of the pools is their priority, else the first allowed pool,
        else -1.
    """
    first, last = -1, -1
    for pool in range(tables.max_pools):
        if allowed[pool] > 0.0:
            first, last = pool if first < 0 else first, pool
    if first == last:
        return first
    if tables.places_by_cost:
        seconds = predicted_seconds if predicted_seconds > 0.0 else tables.expected_run_seconds
        chosen = cheapest_pool(snapshot, tables, plan, gpus, allowed, transfer_gb, seconds)
    else:
        chosen = soonest_pool(snapshot, tables, plan, gpus, allowed)
    return chosen if chosen >= 0 else first


def place_default(
    snapshot: ClusterSnapshot,
    tables: CodecTables,
    plan: PackingPlan,
    gpus: float,
    allowed: NDArray[np.float64],
    transfer_gb: NDArray[np.float64],
    predicted_seconds: float,
) -> int:
    """Add a job to the plan of its default pool, and return that; -1: no pool may run it."""
    pool = default_pool(snapshot, tables, plan, gpus, allowed, transfer_gb, predicted_seconds)
    if pool >= 0:
        place(plan, pool, gpus, int(snapshot.pools[pool, Pool.GPUS_PER_NODE]))
    return pool


def place_slot(snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan, slot: int) -> int:
    """Add the job of a slot to the plan of its default pool, and return that; -1: no pool may run it."""
    row, allowed, transfer_gb = snapshot.queue[slot], snapshot.allowed[slot], snapshot.transfer_gb[slot]
    return place_default(snapshot, tables, plan, row[Slot.GPUS], allowed, transfer_gb, row[Slot.PREDICTED_SECONDS])


def plan_window(snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan) -> None:
    """Fill a plan with the window's jobs in their default pools: what the jobs behind the window find left."""
    start_plan(snapshot, tables, plan)
    for slot in range(tables.window_slots):
        if snapshot.queue[slot, Slot.PRESENT] > 0.0:
            place_slot(snapshot, tables, plan, slot)


def is_exhausted(snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan) -> bool:
    """Whether no pool can take any further job: the default pool of all others is then the first allowed one."""
    for pool in range(tables.max_pools):
        if snapshot.pools[pool, Pool.PRESENT] > 0.0:
            if plan.idle_nodes[pool] + plan.booting_nodes[pool] + plan.shared_free_gpus[pool] > 0.0:
                return False
            if can_grow(snapshot, plan, pool, 1.0):
                return False
            gpus_per_node, is_real = int(snapshot.pools[pool, Pool.GPUS_PER_NODE]), can_grow(snapshot, plan, pool, 0.0)
            for free in range(1, gpus_per_node + 1):
                if plan.free[pool, free] > 0.0 or (is_real and plan.upcoming[pool, free] > 0.0):
                    return False
    return True


def backlog_pools(
    snapshot: ClusterSnapshot,
    tables: CodecTables,
    plan: PackingPlan,
    gpus: Sequence[float],
    allowed: NDArray[np.float64],
    transfer_gb: NDArray[np.float64],
    predicted_seconds: Sequence[float],
) -> list[int]:
    """The default pools of the jobs behind the window. The simulator's kernels do the same on their own queue.

    Args:
        snapshot: the cluster now, its window included.
        tables: the layout.
        plan: scratch memory.
        gpus: GPUs that each of the B jobs requests, in the order of the queue.
        allowed: [B, P] float64, as `ClusterSnapshot.allowed`; each job has a pool.
        transfer_gb: [B, P] float64, as `ClusterSnapshot.transfer_gb`.
        predicted_seconds: the run time that is expected of each, 0: unknown.
    """
    if not (np.count_nonzero(allowed, axis=1) > 1).any():
        return [int(pool) for pool in (allowed > 0.0).argmax(axis=1)]
    pools: list[int] = []
    plan_window(snapshot, tables, plan)
    for requested, row, data, seconds in zip(gpus, allowed, transfer_gb, predicted_seconds, strict=True):
        if is_exhausted(snapshot, tables, plan):
            return pools + [int(pool) for pool in (allowed[len(pools) :] > 0.0).argmax(axis=1)]
        pools.append(place_default(snapshot, tables, plan, requested, row, data, seconds))
    return pools


def place_backlog(snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan) -> None:
    """Add the jobs behind the window to the plan, as if they packed perfectly on whole nodes."""
    for pool in range(tables.max_pools):
        backlog = snapshot.pools[pool, Pool.BACKLOG_GPUS]
        if backlog > 0.0:
            take_nodes(plan, pool, int(np.ceil(backlog / snapshot.pools[pool, Pool.GPUS_PER_NODE])))
