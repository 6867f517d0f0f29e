"""What a step costs: the parts of energy and money that decisions change, for kernels.

Energy itself is counted by `envs.gpu_cluster.accounting`, which the live loop shares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper
from envs.gpu_cluster import accounting

COST_TERMS = (
    *("idle_usd", "fragmentation_usd", "boot_usd", "off_usd"),
    *("overhead_usd", "busy_usd", "waiting_usd"),
)
"""The parts of what a step cost; the reward is minus their sum."""
IDLE, FRAGMENTATION, BOOT, OFF, OVERHEAD, BUSY, WAITING = range(len(COST_TERMS))

energy_amounts = helper(accounting.energy_amounts)
add_spendings = helper(accounting.add_spendings)


@helper
def add_costs(
    terms: NDArray[np.float64],
    amounts: accounting.Amounts,
    overhead: int,
    rates: NDArray[np.float64],
    usd_per_waited_milli_ms: float,
    usd_per_useful_milli_ms: float,
) -> None:
    """Add what one pool cost to the terms of the cost of a step; the reward is minus their sum.

    GPU time beyond the work is as expensive as waiting, and its energy on top; data that jobs bring with them count
    there too. Useful GPU time costs what it costs more than in the pool where its energy is cheapest, for only that
    part depends on decisions.

    Args:
        terms: [at least len(COST_TERMS)] float64, USD, changed.
        amounts: of `energy_amounts`, since the last step.
        overhead: the part of the GPU time beyond the work of jobs, in thousandths of a GPU times ms.
        rates: [len(AMOUNTS)] float64, USD for each unit of the amounts.
        usd_per_waited_milli_ms: price of waiting.
        usd_per_useful_milli_ms: price of the energy of work where it is cheapest.
    """
    idle, unused, boot, off, used, saved, transferred = amounts
    terms[IDLE] += idle * rates[0]
    terms[FRAGMENTATION] += unused * rates[1]
    terms[BOOT] += boot * rates[2]
    terms[OFF] += off * rates[3]
    terms[OVERHEAD] += overhead * (rates[4] + usd_per_waited_milli_ms) + transferred * rates[6]
    terms[BUSY] += (used - overhead) * (rates[4] - usd_per_useful_milli_ms) + saved * rates[5]
