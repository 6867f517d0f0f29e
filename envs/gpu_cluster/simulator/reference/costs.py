"""What a decision cost."""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.state import State


def cost_integrals(c: State) -> list[tuple[int, ...]]:
    """What costs, so far: a row for each pool, and one for waiting and time."""
    waiting = (c.waited_milli_ms, c.now, 0, 0, 0, 0)
    pools = [
        (
            pool.idle_node_ms,
            pool.busy_node_ms,
            pool.boot_node_ms,
            pool.used_milli_ms,
            pool.overhead_milli_ms,
            pool.saved_milli_ms,
        )
        for pool in c.totals
    ]
    return [*pools, waiting]


def reward_of(c: State) -> float:
    """Minus the cost since the last decision, without the energy of GPUs that work."""
    integrals = cost_integrals(c)
    spent = [
        tuple(after - before for after, before in zip(row, paid, strict=True))
        for row, paid in zip(integrals, c.paid, strict=True)
    ]
    c.paid = integrals
    terms = [0.0] * 7
    settings = c.problem.settings
    for config, rates, (idle, busy, boot, used, overhead, saved) in zip(
        c.problem.cluster.pools, c.problem.rates, spent[:-1], strict=True
    ):
        off = spent[-1][1] * config.max_nodes - idle - busy - boot
        amounts = (idle, busy * config.gpus_per_node * 1000 - used, boot, off)
        for index, amount in enumerate(amounts):
            terms[index] += amount * rates[index]
        terms[4] += overhead * (rates[4] + settings.usd_per_waited_milli_ms)
        terms[5] += (used - overhead) * (rates[4] - settings.usd_per_milli_ms) - saved * rates[5]
    terms[6] = spent[-1][0] * settings.usd_per_waited_milli_ms
    c.terms = (*terms, spent[-1][1] / 1000)
    return -sum(terms)
