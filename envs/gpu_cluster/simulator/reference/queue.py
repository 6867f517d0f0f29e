"""The jobs that wait: their order, who is over the quota, who may be deferred, and what owners have used."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from envs.gpu_cluster.simulator.reference.objects import Job
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.state import NEVER


def turn_of(c: State, job: Job) -> tuple[int, ...]:
    """What waiting jobs are sorted by: the lowest has its turn first."""
    settings = c.problem.settings.queue
    priority = job.priority if settings.has_priorities else 0
    usage = c.usage[job.owner] if settings.by_usage else 0
    return -priority, usage, job.rank, job.number


def enqueue(c: State, job: Job) -> None:
    """Put a job in its place in the queue."""
    c.queue.append(job)
    c.queue.sort(key=lambda waiting: turn_of(c, waiting))


def submit(c: State) -> None:
    """Queue the jobs that are submitted until now."""
    while c.next_job < c.last_job and c.trace[c.next_job].submit_ms <= c.now:
        enqueue(c, replace(c.trace[c.next_job]))
        c.next_job += 1


def jobs_over_quota(c: State) -> set[int]:
    """Waiting jobs for which those of the same owner that run, or wait before them, leave no quota."""
    if not c.problem.settings.queue.has_quotas:
        return set()
    planned: defaultdict[int, int] = defaultdict(int)
    for run in c.running:
        planned[run.job.owner] += run.job.milli
    over = set()
    for job in c.queue:
        if planned[job.owner] + job.milli > job.quota_milli:
            over.add(job.number)
        else:
            planned[job.owner] += job.milli
    return over


def deferred_jobs(c: State) -> list[Job]:
    """Waiting jobs whose latest start lies ahead."""
    defers = c.problem.settings.queue.defers
    return [job for job in c.queue if defers and job.latest_ms > c.now]


def count_usage(c: State, until: int) -> None:
    """Count the GPU time of each owner; it is halved at equal steps from the beginning of the episode on."""
    time, halving = c.now, c.problem.settings.queue.halving_ms
    while time < until:
        moment = c.start + ((time - c.start) // halving + 1) * halving if halving else NEVER
        for run in c.running:
            c.usage[run.job.owner] += run.job.milli * (min(moment, until) - time)
        time = min(moment, until)
        if time == moment:
            for owner in c.usage:
                c.usage[owner] //= 2
