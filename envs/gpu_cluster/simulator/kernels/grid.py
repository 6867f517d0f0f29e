"""Grid events: the power that a cluster draws, and how it is kept within a budget. Compiled; `reference/` defines it.

From the start of an event on nothing begins that would break the budget, and what is on is curbed in the order of the
flexibility of jobs, until the power is within it or only what may not be touched is left.
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.nodes import switch_off_oldest
from envs.gpu_cluster.simulator.kernels.power import headroom_uw
from envs.gpu_cluster.simulator.kernels.rates import cap_power, shrink_next
from envs.gpu_cluster.simulator.kernels.suspension import suspend
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table


@helper
def find_event(cluster: Cluster, events: Table) -> None:
    """Look up the grid event that is to come or in force now, and in which phase it is."""
    event, now = cluster.clock[st.GRID_EVENT], cluster.clock[st.NOW]
    while event < events.shape[0] and events[event, st.EVENT_ENDS] <= now:
        event += 1
    cluster.clock[st.GRID_EVENT], cluster.clock[st.GRID_PHASE] = event, st.UNKNOWN
    cluster.clock[st.NEXT_GRID] = st.NEVER
    if event == events.shape[0]:
        return
    phase = 0
    while phase < st.EVENT_ENDS and events[event, phase] <= now:
        phase += 1
    cluster.clock[st.GRID_PHASE], cluster.clock[st.NEXT_GRID] = phase, events[event, phase]
    cluster.clock[st.GRID_START], cluster.clock[st.GRID_END] = (
        events[event, st.EVENT_STARTS],
        events[event, st.EVENT_ENDS],
    )
    cluster.clock[st.BUDGET_UW] = events[event, st.EVENT_UW]


@helper
def switch_off_idle(cluster: Cluster, pools: Table, settings: Settings) -> None:
    """Switch off idle nodes, those idle longest first, until the power is within the budget; also below `min_nodes`."""
    for pool in range(pools.shape[0]):
        row = cluster.pool[pool]
        while row[st.IDLE_TAIL] > row[st.IDLE_HEAD] and headroom_uw(cluster, pools) < 0:
            switch_off_oldest(cluster, pools, settings, pool)
            row[st.NODES_REMOVED] += 1


@helper
def next_to_stop(cluster: Cluster, jobs: Table) -> int:
    """The running slot that is suspended next for the budget: the most GPUs, then the lowest job; -1: there is none."""
    best = -1
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        job = cluster.run[slot, st.RUN_JOB]
        if job >= cluster.clock[st.FIRST_JOB] and jobs[job, st.FLAGS] & st.MOVABLE != 0:
            more = 0 if best < 0 else cluster.run[slot, st.RUN_MILLI] - cluster.run[best, st.RUN_MILLI]
            if best < 0 or more > 0 or (more == 0 and job < cluster.run[best, st.RUN_JOB]):
                best = slot
    return best


@rare
def curb(cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings) -> None:
    """Bring the power within the budget: idle nodes go, then jobs are capped, narrowed and suspended, as needed."""
    switch_off_idle(cluster, pools, settings)
    for level in range(1, st.POWER_CAPS):
        for pool in range(pools.shape[0]):
            if cluster.pool[pool, st.POWER_CAP] < level and headroom_uw(cluster, pools) < 0:
                cap_power(cluster, jobs, curves, pool, level)
    for pool in range(pools.shape[0]):
        may_narrow = settings.resizes_jobs
        while may_narrow and headroom_uw(cluster, pools) < 0:
            may_narrow = shrink_next(cluster, jobs, pools, curves, settings, pool)
    slot = next_to_stop(cluster, jobs)
    while slot >= 0 and headroom_uw(cluster, pools) < 0:
        suspend(cluster, jobs, pools, settings, slot, cluster.clock[st.GRID_END])
        switch_off_idle(cluster, pools, settings)
        slot = next_to_stop(cluster, jobs)
