"""Which jobs may pass one that does not fit, and which make way for a more urgent one.

Both are tried on a copy of the cluster.
"""

from __future__ import annotations

import copy

from envs.gpu_cluster.simulator.reference.nodes import become_idle
from envs.gpu_cluster.simulator.reference.objects import Job, Node, Reservation, Running
from envs.gpu_cluster.simulator.reference.placement import release
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.reference.work import preempt, restart_ms, start
from envs.gpu_cluster.simulator.state import NEVER, PPM


def expected_end(state: State, job: Job, end: int) -> int:
    """When a job is expected to end: as far from its true end as the estimate is from its true run time."""
    return max(state.now, end + job.predicted_ms - job.work // PPM) if job.predicted_ms > 0 else NEVER


def trial_of(state: State) -> State:
    """A copy of the cluster to try things on: its nodes, and what jobs hold of them, are its own."""
    trial = copy.copy(state)
    trial.nodes, trial.shares, trial.running, trial.totals = copy.deepcopy(
        (state.nodes, state.shares, state.running, state.totals)
    )
    trial.detail = None if state.detail is None else state.detail.trial()
    return trial


def let_end(state: State, pool: int, ending: set[int]) -> None:
    """Let jobs end."""
    for run in [run for run in state.running if run.pool == pool and run.job.number in ending]:
        release(state, run)


def expected_ready(state: State, node: Node) -> int:
    """When a booting node is expected to be ready: after a mean boot, and once that has passed at any moment."""
    return max(state.now, node.expected_ms)


def advance(state: State, pool: int, time: int, ending: set[int]) -> None:
    """Let jobs end, and nodes become ready, that are expected to until a time."""
    let_end(state, pool, ending)
    for node in state.of_pool(pool):
        if node.state == "booting" and expected_ready(state, node) <= time:
            become_idle(state, node)


def reserve(state: State, job: Job, pool: int) -> Reservation:
    """When a job is expected to fit, if nothing else starts."""
    running = [run for run in state.running if run.pool == pool]
    ends = {run.job.number: expected_end(state, run.job, run.finish_ms) for run in running}
    ready = [expected_ready(state, node) for node in state.of_pool(pool) if node.state == "booting"]
    trial = trial_of(state)
    for time in sorted({state.now, *ready, *ends.values()} - {NEVER}):
        ending = {number for number, end in ends.items() if end <= time}
        advance(trial, pool, time, ending)
        if start(trial, job, pool):
            return Reservation(job, time, ending)
    return Reservation(job, NEVER, set())


def start_behind(state: State, job: Job, pool: int, head: Reservation) -> bool:
    """Start a job that fits, unless the head of its pool would then not fit at its time."""
    end = expected_end(state, job, state.now + restart_ms(state, job) - (-job.left // PPM))
    if end <= head.time:
        head.ending.add(job.number)
        return start(state, job, pool)
    trial = trial_of(state)
    if not start(trial, job, pool):
        return False
    advance(trial, pool, head.time, head.ending)
    return start(trial, head.job, pool) and start(state, job, pool)


def fits_without(state: State, runs: list[Running], job: Job, pool: int) -> bool:
    """Whether a job fits where others are stopped."""
    trial = trial_of(state)
    let_end(trial, pool, {run.job.number for run in runs})
    return start(trial, job, pool)


def make_way(state: State, job: Job, pool: int) -> bool:
    """Start a job in the place of less urgent ones that can be checkpointed, as few as can be."""
    settings = state.problem.settings.queue
    if not settings.preempts:
        return False
    victims = [run for run in state.running if run.pool == pool and run.job.is_movable]
    victims = [run for run in victims if run.job.priority < job.priority]
    victims.sort(key=lambda run: (-run.job.priority, run.job.number))
    if not fits_without(state, victims, job, pool):
        return False
    for run in list(victims):  # the most urgent and the first submitted may stay, where the rest is enough
        others = [other for other in victims if other is not run]
        if fits_without(state, others, job, pool):
            victims = others
    if len(victims) > settings.max_victims:
        return False
    for run in victims:
        preempt(state, run, bool(settings.has_notice))
    return start(state, job, pool)
