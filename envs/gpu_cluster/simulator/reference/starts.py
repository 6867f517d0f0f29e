"""Which of the jobs that wait start in a decision, and where."""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.objects import Reservation
from envs.gpu_cluster.simulator.reference.power import may_draw
from envs.gpu_cluster.simulator.reference.reservations import make_way, reserve, start_behind
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.reference.stuck import note_stuck
from envs.gpu_cluster.simulator.reference.work import start
from envs.gpu_cluster.simulator.state import NEVER


def start_waiting(state: State) -> None:
    """Offer each waiting job, in order, the pool of its slot, or its default pool behind the window."""
    state.stuck = [[] for _ in state.stuck]
    policy = state.problem.config.physics.queue.backfill_policy
    heads: dict[int, Reservation] = {}
    for slot, job in enumerate(list(state.queue)):
        in_window = slot < len(state.decision.placement)
        pool = int(state.decision.placement[slot]) if in_window else state.offers.get(job.number, job.pools[0])
        if pool < 0 or job.number in state.over_quota or not may_draw(state, job, pool):
            continue
        if pool not in heads:
            started = start(state, job, pool) or make_way(state, job, pool)
            if not started and policy == "backfill":
                heads[pool] = reserve(state, job, pool)
            elif not started and policy == "none":
                heads[pool] = Reservation(job, NEVER, set())
        elif policy == "backfill":
            started = start_behind(state, job, pool, heads[pool])
        else:
            continue
        if not started and in_window:
            note_stuck(state, job, pool)
        if started:
            state.queue.remove(job)
            if job.number >= state.first_job:
                job.has_run, job.is_suspended = True, False
                state.job_starts.setdefault(job.number, state.now)
