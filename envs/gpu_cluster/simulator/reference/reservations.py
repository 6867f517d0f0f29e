"""Which jobs may pass one that found no room, and which make way for a more urgent one.

Both are tried on a copy of the cluster.
"""

from __future__ import annotations

import copy

from envs.gpu_cluster.simulator.reference.nodes import become_idle
from envs.gpu_cluster.simulator.reference.objects import Job, Reservation, Running
from envs.gpu_cluster.simulator.reference.placement import release
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.reference.work import preempt, start
from envs.gpu_cluster.simulator.state import NEVER, PPM


def expected_end(c: State, job: Job, end: int) -> int:
    """When a job is expected to end: as far from its true end as the estimate is from its true run time."""
    return max(c.now, end + job.predicted_ms - job.work // PPM) if job.predicted_ms > 0 else NEVER


def trial_of(c: State) -> State:
    """A copy of the cluster to try things on: its nodes, and what jobs hold of them, are its own."""
    trial = copy.copy(c)
    trial.nodes, trial.shares, trial.running, trial.totals = copy.deepcopy((c.nodes, c.shares, c.running, c.totals))
    trial.detail = None if c.detail is None else c.detail.trial()
    return trial


def let_end(c: State, pool: int, time: int, ending: set[int]) -> None:
    """Let jobs end, and nodes become ready, that are expected to until a time."""
    for run in [run for run in c.running if run.pool == pool and run.job.number in ending]:
        release(c, run)
    for node in c.of_pool(pool):
        if node.state == "booting" and node.ready_ms <= time:
            become_idle(c, node)


def reserve(c: State, job: Job, pool: int) -> Reservation:
    """When a job is expected to find room, if nothing else starts."""
    running = [run for run in c.running if run.pool == pool]
    ends = {run.job.number: expected_end(c, run.job, run.finish_ms) for run in running}
    ready = [node.ready_ms for node in c.of_pool(pool) if node.state == "booting"]
    trial = trial_of(c)
    for time in sorted({c.now, *ready, *ends.values()} - {NEVER}):
        ending = {number for number, end in ends.items() if end <= time}
        let_end(trial, pool, time, ending)
        if start(trial, job, pool):
            return Reservation(job, time, ending)
    return Reservation(job, NEVER, set())


def start_behind(c: State, job: Job, pool: int, head: Reservation) -> bool:
    """Start a job that fits, unless the head of its pool would then not find room at its time."""
    delay_ms = c.problem.settings.restart_ms if job.has_run else 0
    end = expected_end(c, job, c.now + delay_ms - (-job.left // PPM))
    if end <= head.time:
        head.ending.add(job.number)
        return start(c, job, pool)
    trial = trial_of(c)
    if not start(trial, job, pool):
        return False
    let_end(trial, pool, head.time, head.ending)
    return start(trial, head.job, pool) and start(c, job, pool)


def fits_without(c: State, runs: list[Running], job: Job, pool: int) -> bool:
    """Whether a job finds room where others are stopped."""
    trial = trial_of(c)
    let_end(trial, pool, c.now, {run.job.number for run in runs})
    return start(trial, job, pool)


def make_way(c: State, job: Job, pool: int) -> bool:
    """Start a job in the place of less urgent ones that can be checkpointed, as few as can be."""
    settings = c.problem.settings.queue
    if not settings.preempts:
        return False
    victims = [run for run in c.running if run.pool == pool and run.job.checkpoint > 0]
    victims = [run for run in victims if run.job.priority < job.priority]
    victims.sort(key=lambda run: (-run.job.priority, run.job.number))
    if not fits_without(c, victims, job, pool):
        return False
    for run in list(victims):  # the most urgent and the first submitted may stay, where the rest is enough
        others = [other for other in victims if other is not run]
        if fits_without(c, others, job, pool):
            victims = others
    if len(victims) > settings.max_victims:
        return False
    for run in victims:
        preempt(c, run, bool(settings.has_notice))
    return start(c, job, pool)
