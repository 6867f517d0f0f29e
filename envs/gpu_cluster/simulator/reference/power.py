"""The power that a cluster draws, and what the budget of a grid event leaves of it."""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.objects import Job
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.state import (
    BOOT_UW,
    EVENT_BINDS,
    EVENT_ENDS,
    EVENT_KNOWN,
    EVENT_STARTS,
    EVENT_UW,
    IDLE_UW,
    NEVER,
    OFF_UW,
    SAVED_UW,
    UNUSED_UW,
    USED_UW,
)


def next_event(state: State) -> list[int] | None:
    """The first grid event that has not ended."""
    return next((row for row in state.problem.events.tolist() if row[EVENT_ENDS] > state.now), None)


def event_now(state: State, moment: int = EVENT_KNOWN) -> list[int] | None:
    """The grid event that has not ended, once it has reached a moment of its own, such as its start."""
    event = next_event(state)
    return event if event is not None and event[moment] <= state.now else None


def next_phase_ms(state: State) -> int:
    """When the grid event becomes known, starts, binds or ends next."""
    return min((time for time in (next_event(state) or [])[:EVENT_UW] if time > state.now), default=NEVER)


def drawn_uw(state: State) -> int:
    """The power that the cluster draws now, in microwatts."""
    total = 0
    for pool, config in enumerate(state.problem.cluster.pools):
        rates, nodes = state.problem.pools[pool].tolist(), state.of_pool(pool)
        idle = sum(node.is_idle or node.state == "draining" for node in nodes)
        busy, boot = sum(node.is_busy for node in nodes), sum(node.state == "booting" for node in nodes)
        used = state.used_milli(pool)
        saved = sum(run.saved_milli for run in state.running if run.pool == pool)
        total += idle * rates[IDLE_UW] + boot * rates[BOOT_UW] + (len(nodes) - idle - busy - boot) * rates[OFF_UW]
        total += (1000 * config.gpus_per_node * busy - used) * rates[UNUSED_UW] + used * rates[USED_UW]
        total -= saved * rates[SAVED_UW]
    return total


def headroom_uw(state: State, budget_uw: int) -> int:
    """The power that is left of a budget; nodes that boot count as if they were ready."""
    rates = state.problem.pools
    booting = [node.pool for node in state.nodes if node.state == "booting"]
    more = sum(max(0, int(rates[pool, IDLE_UW] - rates[pool, BOOT_UW])) for pool in booting)
    return budget_uw - drawn_uw(state) - more


def count_excess(state: State, elapsed: int) -> None:
    """Count the power above the budget over a time in which nothing happens; it binds after the ramp."""
    event = event_now(state, EVENT_BINDS)
    if event is not None:
        state.excess_mw_ms += max(0, -(-(drawn_uw(state) - event[EVENT_UW]) // 1000)) * elapsed


def may_draw(state: State, job: Job, pool: int) -> bool:
    """Whether the budget, if one is in force, leaves the power for a job in a pool, on nodes that are idle."""
    event = event_now(state, EVENT_STARTS)
    if event is None:
        return True
    rates, node_milli = state.problem.pools[pool].tolist(), 1000 * state.problem.cluster.pools[pool].gpus_per_node
    nodes = -(-job.milli // node_milli)
    more = job.milli * (rates[USED_UW] - rates[UNUSED_UW])
    more += nodes * max(0, node_milli * rates[UNUSED_UW] - rates[IDLE_UW])
    return bool(more <= headroom_uw(state, event[EVENT_UW]))


def may_order(state: State, pool: int, add: int) -> int:
    """How many nodes of `add` may be ordered: as many as the budget leaves power for, once it is known."""
    event, rates = event_now(state), state.problem.pools[pool].tolist()
    each = max(rates[BOOT_UW], rates[IDLE_UW]) - rates[OFF_UW]
    if event is None or each <= 0:
        return add
    return int(min(add, max(0, headroom_uw(state, event[EVENT_UW])) // each))
