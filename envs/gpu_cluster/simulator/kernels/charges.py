"""What time costs: energy and carbon at the tariff in force, and waiting. Compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper
from envs.gpu_cluster.accounting import Amounts
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.world import World
from envs.gpu_cluster.simulator.objective import WAITING, add_costs, add_spendings, energy_amounts
from envs.gpu_cluster.simulator.state import Cluster


@helper
def begin_charges(world: World, index: int, cluster: Cluster) -> None:
    """Nothing has cost anything at the beginning of an episode; look up the piece of the tariff that is in force."""
    outcome, edges = world.outcome, world.tariff.edges_ms
    outcome.paid[index] = 0
    outcome.booked[index] = 0
    outcome.booked[index, world.pools.shape[0], st.BOOKED_TIME] = cluster.clock[st.NOW]
    outcome.paid[index, world.pools.shape[0], st.PAID_CHARGED] = cluster.clock[st.NOW]
    outcome.paid[index, world.pools.shape[0], st.PAID_TIME] = cluster.clock[st.NOW]
    outcome.reward[index] = 0.0
    outcome.terms[index] = 0.0
    outcome.spendings[index] = 0.0
    cluster.clock[st.PIECE] = np.searchsorted(edges, cluster.clock[st.NOW], side="right") - 1
    set_piece_end(world, cluster)


@helper
def set_piece_end(world: World, cluster: Cluster) -> None:
    """Write when the piece in force ends."""
    following = cluster.clock[st.PIECE] + 1
    cluster.clock[st.PIECE_END] = st.NEVER
    if following < world.tariff.edges_ms.shape[0]:
        cluster.clock[st.PIECE_END] = world.tariff.edges_ms[following]


@helper
def amounts_since(before: NDArray[np.int64], row: NDArray[np.int64], pool: NDArray[np.int64], elapsed: int) -> Amounts:
    """The amounts of energy of one pool since its integrals were those of `before`."""
    return energy_amounts(
        row[st.IDLE_NODE_MS] - before[0],
        row[st.BUSY_NODE_MS] - before[1],
        row[st.BOOT_NODE_MS] - before[2],
        row[st.USED_MILLI_MS] - before[3],
        row[st.SAVED_MILLI_MS] - before[5],
        row[st.TRANSFERRED_MB] - before[6],
        pool[st.GPUS],
        pool[st.MAX_NODES],
        elapsed,
    )


@helper
def charge_energy(world: World, index: int, cluster: Cluster) -> None:
    """Add what the energy since the last charge cost to the terms of the step."""
    terms, paid, last = world.outcome.terms[index], world.outcome.paid[index], world.pools.shape[0]
    piece = cluster.clock[st.PIECE]
    elapsed = cluster.clock[st.NOW] - paid[last, st.PAID_TIME]
    for pool in range(last):
        row = cluster.pool[pool]
        amounts = amounts_since(paid[pool], row, world.pools[pool], elapsed)
        overhead = row[st.OVERHEAD_MILLI_MS] - paid[pool, 4]
        waiting, useful = world.settings.usd_per_waited_milli_ms, world.settings.usd_per_useful_milli_ms
        add_costs(terms, amounts, overhead, world.tariff.rates[piece, pool], waiting, useful)
        for column in range(st.PAID_COLUMNS):
            paid[pool, column] = row[st.IDLE_NODE_MS + column]
    paid[last, st.PAID_TIME] = cluster.clock[st.NOW]


@helper
def book_piece(world: World, index: int, cluster: Cluster) -> None:
    """Add what a piece of the tariff, which ends now, cost and emitted to the spendings of the episode."""
    # Once for a piece and not for each step, so that sums do not depend on when it was decided, to the last digit.
    booked, last = world.outcome.booked[index], world.pools.shape[0]
    elapsed = cluster.clock[st.NOW] - booked[last, st.BOOKED_TIME]
    for pool in range(last):
        row = cluster.pool[pool]
        amounts = amounts_since(booked[pool], row, world.pools[pool], elapsed)
        rates = world.tariff.spending_rates[cluster.clock[st.PIECE], pool]
        add_spendings(world.outcome.spendings[index, pool], amounts, rates)
        for column in range(st.PAID_COLUMNS):
            booked[pool, column] = row[st.IDLE_NODE_MS + column]
    booked[last, st.BOOKED_TIME] = cluster.clock[st.NOW]


@helper
def charge_step(world: World, index: int, cluster: Cluster) -> None:
    """Complete the terms of the cost since the last decision, and write the reward."""
    terms, paid = world.outcome.terms[index], world.outcome.paid[index, world.pools.shape[0]]
    charge_energy(world, index, cluster)
    waited = cluster.clock[st.WAITED_MILLI_MS] - paid[st.PAID_WAITED]
    terms[WAITING] = waited * world.settings.usd_per_waited_milli_ms
    cost = 0.0
    for term in range(st.TERM_SECONDS):
        cost += terms[term]
    world.outcome.reward[index] = -cost
    terms[st.TERM_SECONDS] = (cluster.clock[st.NOW] - paid[st.PAID_CHARGED]) / 1000.0
    paid[st.PAID_WAITED], paid[st.PAID_CHARGED] = cluster.clock[st.WAITED_MILLI_MS], cluster.clock[st.NOW]
