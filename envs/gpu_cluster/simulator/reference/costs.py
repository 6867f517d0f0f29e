"""What a decision cost."""

from __future__ import annotations

import numpy as np

from envs.gpu_cluster.simulator.objective import COST_TERMS, WAITING, add_costs, energy_amounts
from envs.gpu_cluster.simulator.reference.state import State


def cost_integrals(state: State) -> list[tuple[int, ...]]:
    """What costs, so far: a row for each pool, and one for waiting and time."""
    waiting = (state.waited_milli_ms, state.now, 0, 0, 0, 0)
    pools = [
        (
            pool.idle_node_ms,
            pool.busy_node_ms,
            pool.boot_node_ms,
            pool.used_milli_ms,
            pool.overhead_milli_ms,
            pool.saved_milli_ms,
        )
        for pool in state.totals
    ]
    return [*pools, waiting]


def reward_of(state: State) -> float:
    """Minus the cost since the last decision, without the energy of GPUs that work."""
    integrals = cost_integrals(state)
    spent = [
        tuple(after - before for after, before in zip(row, paid, strict=True))
        for row, paid in zip(integrals, state.paid, strict=True)
    ]
    state.paid = integrals
    elapsed = spent[-1][1]
    terms = np.zeros(len(COST_TERMS))
    settings = state.problem.settings
    for pool, rates, (idle, busy, boot, used, overhead, saved) in zip(
        state.problem.cluster.pools, state.problem.rates, spent[:-1], strict=True
    ):
        amounts = energy_amounts(idle, busy, boot, used, saved, pool.gpus_per_node, pool.max_nodes, elapsed)
        prices = (settings.usd_per_waited_milli_ms, settings.usd_per_useful_milli_ms)
        add_costs(terms, amounts, overhead, rates, *prices)
    terms[WAITING] = spent[-1][0] * settings.usd_per_waited_milli_ms
    state.terms = (*terms.tolist(), elapsed / 1000)
    return -sum(terms.tolist())
