"""Grid events: how the power of a cluster is kept within a budget.

Idle nodes go first. Then jobs are touched in the order of their flexibility: tier 1 and above are capped, tier 2 and
above are narrowed, tier 3 is suspended. What is left then may not be touched, and may break the budget.
"""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.power import event_now, headroom_uw
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.reference.suspension import suspend
from envs.gpu_cluster.simulator.reference.width import shrink_next
from envs.gpu_cluster.simulator.reference.work import cap_power
from envs.gpu_cluster.simulator.state import EVENT_ENDS, EVENT_STARTS, EVENT_UW, NEVER, POWER_CAPS


def switch_off_idle(state: State, budget_uw: int) -> None:
    """Switch off idle nodes, also below `min_nodes`, until the power is within the budget."""
    for pool, totals in enumerate(state.totals):
        for node in state.idle_nodes(pool):
            if headroom_uw(state, budget_uw) < 0:
                node.state, node.free, node.event_ms = "off", 0, NEVER
                totals.nodes_removed += 1


def curb(state: State) -> None:
    """Bring the power within the budget that is in force: idle nodes go, jobs are capped, narrowed and suspended."""
    event = event_now(state, EVENT_STARTS)
    if event is None:
        return
    budget, pools = event[EVENT_UW], range(len(state.totals))
    switch_off_idle(state, budget)
    for level in range(1, POWER_CAPS):
        for pool in pools:
            if state.power_cap[pool] < level and headroom_uw(state, budget) < 0:
                cap_power(state, pool, level)
    for pool in pools:
        may_narrow = bool(state.problem.settings.resizes_jobs)
        while may_narrow and headroom_uw(state, budget) < 0:
            may_narrow = shrink_next(state, pool)
    runs = [run for run in state.running if run.job.is_movable and run.job.number >= state.first_job]
    for run in sorted(runs, key=lambda run: (-run.milli, run.job.number)):
        if headroom_uw(state, budget) < 0:
            suspend(state, run, event[EVENT_ENDS])
            switch_off_idle(state, budget)
