"""Jobs that are suspended while energy is dirty or expensive, and go on later."""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.objects import Job, Running, Suspended
from envs.gpu_cluster.simulator.reference.placement import release
from envs.gpu_cluster.simulator.reference.queue import enqueue
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.reference.work import stop_work
from envs.gpu_cluster.simulator.state import PPM
from traces.trace import NO_DEADLINE


def waits_free(state: State, job: Job) -> bool:
    """Whether a job is suspended for free: it may be deferred, and goes on early enough to end in time."""
    return bool(state.problem.settings.queue.waits_free) and job.latest_ms > 0


def end_by(state: State, job: Job) -> int:
    """Until when a job has to end: by its deadline, and as if it had started at its latest start."""
    if state.problem.settings.queue.defers and job.latest_ms > 0:
        return min(job.deadline_ms, job.latest_ms + job.predicted_ms)
    return job.deadline_ms


def until(state: State, run: Running) -> int:
    """Until when a running job may be suspended; no later than now: it may not be.

    It can be checkpointed, has not been suspended for too long, and will still end in time, as far as its run time is
    known: one of unknown run time that has to end in time is left alone. So is one from before the episode.
    """
    job, settings = run.job, state.problem.settings
    if job.number < state.first_job or not job.is_movable:
        return state.now
    latest, end = state.now + settings.max_suspend_ms - job.suspended_ms, end_by(state, job)
    if end == NO_DEADLINE:
        return latest
    if job.predicted_ms == 0:
        return state.now
    left = max(0, job.left - max(0, state.now - run.since_ms) * run.rate)
    ahead = max(0, -(-left // PPM) + job.predicted_ms - job.work // PPM)
    return min(latest, end - settings.move_ms - ahead)


def suspendable(state: State, pool: int) -> list[Running]:
    """The running jobs of a pool that may be suspended, those with the most GPUs first."""
    runs = [run for run in state.running if run.pool == pool and until(state, run) > state.now]
    return sorted(runs, key=lambda run: (-run.milli, run.job.number))


def suspended_in(state: State, pool: int) -> list[Suspended]:
    """The jobs that were suspended in a pool."""
    return [suspended for suspended in state.suspended if suspended.pool == pool]


def suspend(state: State, run: Running, until_ms: int) -> None:
    """Stop a job, which writes a checkpoint; it stands in no queue until it goes on."""
    state.suspended.append(Suspended(run.job, run.pool, state.now, until_ms))
    stop_work(state, run)
    run.job.is_suspended = True
    state.totals[run.pool].suspensions += 1
    release(state, run)


def suspend_jobs(state: State, pool: int) -> None:
    """Suspend all jobs of a pool that may be."""
    for run in suspendable(state, pool):
        suspend(state, run, until(state, run))


def resume_jobs(state: State, pool: int) -> None:
    """Let the jobs that were suspended in a pool go on at once."""
    for suspended in suspended_in(state, pool):
        suspended.until_ms = state.now


def end_suspensions(state: State) -> None:
    """Queue the jobs that are suspended no longer."""
    for suspended in [each for each in state.suspended if each.until_ms <= state.now]:
        state.suspended.remove(suspended)
        suspended.job.suspended_ms += state.now - suspended.since_ms
        enqueue(state, suspended.job)
