"""The jobs that wait: their order, who is over the quota, who may be deferred, and what owners have used."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from envs.gpu_cluster.simulator.reference.objects import Job
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.state import NEVER


def turn_of(state: State, job: Job) -> tuple[int, ...]:
    """What waiting jobs are sorted by: the lowest has its turn first."""
    settings = state.problem.settings.queue
    priority = job.priority if settings.has_priorities else 0
    usage = state.usage[job.owner] if settings.by_usage else 0
    return -priority, usage, job.rank, job.number


def enqueue(state: State, job: Job) -> None:
    """Put a job in its place in the queue."""
    state.queue.append(job)
    state.queue.sort(key=lambda waiting: turn_of(state, waiting))


def submit(state: State) -> None:
    """Queue the jobs that are submitted until now."""
    while state.next_job < state.last_job and state.trace[state.next_job].submit_ms <= state.now:
        enqueue(state, replace(state.trace[state.next_job]))
        state.next_job += 1


def jobs_over_quota(state: State) -> set[int]:
    """Waiting jobs for which those of the same owner that run, or wait before them, leave no quota."""
    if not state.problem.settings.queue.has_quotas:
        return set()
    planned: defaultdict[int, int] = defaultdict(int)
    for run in state.running:
        planned[run.job.owner] += run.job.milli
    over = set()
    for job in state.queue:
        if planned[job.owner] + job.milli > job.quota_milli:
            over.add(job.number)
        else:
            planned[job.owner] += job.milli
    return over


def deferred_jobs(state: State) -> list[Job]:
    """Waiting jobs whose latest start lies ahead."""
    defers = state.problem.settings.queue.defers
    return [job for job in state.queue if defers and job.latest_ms > state.now]


def count_usage(state: State, until: int) -> None:
    """Count the GPU time of each owner; it is halved at equal steps from the beginning of the episode on."""
    time, halving = state.now, state.problem.settings.queue.halving_ms
    while time < until:
        moment = state.start + ((time - state.start) // halving + 1) * halving if halving else NEVER
        for run in state.running:
            state.usage[run.job.owner] += run.job.milli * (min(moment, until) - time)
        time = min(moment, until)
        if time == moment:
            for owner in state.usage:
                state.usage[owner] //= 2
