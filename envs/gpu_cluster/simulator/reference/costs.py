"""What time costs: energy and carbon at the tariff in force, and waiting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.accounting import AMOUNTS, SPENDINGS
from envs.gpu_cluster.simulator.objective import (
    COST_TERMS,
    WAITING,
    add_costs,
    add_spendings,
    energy_amounts,
)
from envs.gpu_cluster.simulator.reference.objects import Totals
from envs.gpu_cluster.simulator.reference.state import State


def begin_charges(state: State) -> None:
    """Nothing has cost anything at the beginning of an episode; look up the piece of the tariff that is in force."""
    state.piece = sum(edge <= state.now for edge in state.problem.prices.tariff.edges_ms.tolist()) - 1
    state.paid = [pool_integrals(totals) for totals in state.totals]
    state.charged_until = state.last_decision = state.now
    state.paid_waited = state.waited_milli_ms
    state.booked, state.booked_until = list(state.paid), state.now
    state.costs = np.zeros(len(COST_TERMS))
    state.spendings = np.zeros((len(state.totals), len(AMOUNTS), len(SPENDINGS)))


def pool_integrals(pool: Totals) -> tuple[int, ...]:
    """What costs in a pool, so far."""
    return (
        pool.idle_node_ms,
        pool.busy_node_ms,
        pool.boot_node_ms,
        pool.used_milli_ms,
        pool.overhead_milli_ms,
        pool.saved_milli_ms,
        pool.transferred_mb,
    )


def charge_energy(state: State) -> None:
    """Add what the energy since the last charge cost to the costs of the step."""
    settings, tariff = state.problem.settings, state.problem.prices.tariff
    elapsed, state.charged_until = state.now - state.charged_until, state.now
    prices = (settings.usd_per_waited_milli_ms, settings.usd_per_useful_milli_ms)
    for number, (pool, totals) in enumerate(zip(state.problem.cluster.pools, state.totals, strict=True)):
        integrals = pool_integrals(totals)
        idle, busy, boot, used, overhead, saved, transferred = (
            after - before for after, before in zip(integrals, state.paid[number], strict=True)
        )
        state.paid[number] = integrals
        sums = (idle, busy, boot, used, saved, transferred)
        amounts = energy_amounts(*sums, pool.gpus_per_node, pool.max_nodes, elapsed)
        add_costs(state.costs, amounts, overhead, tariff.rates[state.piece, number], *prices)


def spendings(state: State) -> NDArray[np.float64]:
    """What the energy of the episode cost and emitted so far, with the piece of the tariff that is in force."""
    found, elapsed = state.spendings.copy(), state.now - state.booked_until
    for number, (pool, totals) in enumerate(zip(state.problem.cluster.pools, state.totals, strict=True)):
        idle, busy, boot, used, _, saved, transferred = (
            after - before for after, before in zip(pool_integrals(totals), state.booked[number], strict=True)
        )
        sums = (idle, busy, boot, used, saved, transferred)
        amounts = energy_amounts(*sums, pool.gpus_per_node, pool.max_nodes, elapsed)
        add_spendings(found[number], amounts, state.problem.prices.tariff.spending_rates[state.piece, number])
    return found


def book_piece(state: State) -> None:
    """A piece of the tariff ends now."""
    state.spendings = spendings(state)
    state.booked, state.booked_until = [pool_integrals(totals) for totals in state.totals], state.now


def reward_of(state: State) -> float:
    """Minus the cost since the last decision, without the energy of GPUs that work."""
    charge_energy(state)
    state.costs[WAITING] = (state.waited_milli_ms - state.paid_waited) * state.problem.settings.usd_per_waited_milli_ms
    costs = state.costs.tolist()
    state.terms = (*costs, (state.now - state.last_decision) / 1000)
    state.costs = np.zeros(len(COST_TERMS))
    state.paid_waited, state.last_decision = state.waited_milli_ms, state.now
    return -sum(costs)
