"""Jobs that run: how they start, how fast they are, how they are delayed and stopped, and how they end."""

from __future__ import annotations

from envs.errors import EndlessJobError
from envs.gpu_cluster.simulator.endless import describe_endless
from envs.gpu_cluster.simulator.reference.objects import Job, Node, Running
from envs.gpu_cluster.simulator.reference.placement import place, release
from envs.gpu_cluster.simulator.reference.queue import enqueue
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.state import MAX_SPREAD_NODES, MAX_WIDTH_GPUS, NEVER, PPM


def settle(c: State, run: Running) -> None:
    """Count the work that a running job has done until now."""
    elapsed = c.now - run.since_ms
    if elapsed > 0:
        run.job.left = max(0, run.job.left - elapsed * run.rate)
        run.since_ms = c.now


def hold(c: State, run: Running, milliseconds: int) -> None:
    """What it would have got done in that time is overhead."""
    run.since_ms += milliseconds
    c.totals[run.pool].overhead_milli_ms += (run.milli - run.slow_milli) * milliseconds


def delay(c: State, run: Running, milliseconds: int) -> None:
    """Let a running job hold its GPUs for a while without progress."""
    settle(c, run)
    hold(c, run, milliseconds)


def pace(c: State, run: Running) -> None:
    """Work out the speed of a job: what its GPU model, its nodes, its width and the power cap make of it."""
    if not c.problem.settings.has_curves:
        return
    curves, job, cap = c.problem.curves, run.job, c.power_cap[run.pool]
    nodes = len({id(node) for node, _ in run.parts}) or 1
    rate = int(curves.speed[job.workload, run.pool])
    rate = rate * int(curves.spread[job.workload, min(nodes, MAX_SPREAD_NODES)]) // PPM
    if run.milli != job.milli:
        asked, width = (min(milli // 1000, MAX_WIDTH_GPUS) for milli in (job.milli, run.milli))
        rate = rate * int(curves.scaling[job.workload, width]) // int(curves.scaling[job.workload, asked])
    run.rate = max(1, rate * int(curves.cap_speed[job.workload, run.pool, cap]) // PPM)
    run.saved_milli = run.milli * (PPM - int(curves.cap_watts[job.workload, run.pool, cap])) // PPM


def pull_ms(c: State, nodes: list[Node], job: Job) -> int:
    """How long a job waits until the last of these nodes has its image; those that lack it begin to pull it.

    A job that ran before the episode began has its image, wherever it is.
    """
    if job.image == 0:
        return 0
    is_ours = job.number >= c.first_job
    for node in nodes:
        longest_ms = round(c.problem.cluster.pools[node.pool].pull_seconds * 1000)
        node.images.setdefault(job.image, c.now + (longest_ms if is_ours else 0))
    return max(0, *(node.images[job.image] - c.now for node in nodes)) if is_ours else 0


def start(c: State, job: Job, pool: int) -> bool:
    """Start a job on a pool if there is room for all of it."""
    run = Running(job, pool, c.now, job.milli)
    if not place(c, run):
        return False
    c.running.append(run)
    pace(c, run)
    hold(c, run, (c.problem.settings.restart_ms if job.has_run else 0) + pull_ms(c, run.nodes, job))
    return True


def cap_power(c: State, pool: int, level: int) -> None:
    """Put a pool under a power cap; its jobs go on at once at their new speed."""
    c.power_cap[pool] = level
    for run in c.running:
        if run.pool == pool:
            settle(c, run)
            pace(c, run)


def preempt(c: State, run: Running, has_notice: bool) -> None:
    """Stop a job and queue it again; work since its last checkpoint is lost, unless it could write one in time."""
    settle(c, run)
    hold(c, run, min(0, c.now - run.since_ms))  # a delay that it does not live to see
    job = run.job
    if not (has_notice and job.checkpoint > 0):
        done = job.work - job.left
        lost = done % job.checkpoint if job.checkpoint > 0 else done
        c.totals[run.pool].overhead_milli_ms += lost // PPM * job.milli
        c.totals[run.pool].lost_milli_ms += lost // PPM * job.milli
        job.left += lost
        if c.problem.settings.is_stochastic and job.left == job.work:
            job.losses += 1
            if job.losses > c.problem.settings.max_fresh_restarts and c.end == NEVER:
                raise EndlessJobError(describe_endless(c.problem, job.number))
    c.totals[run.pool].preemptions += 1
    release(c, run)
    enqueue(c, job)


def finish(c: State, run: Running) -> None:
    """End a job whose work is done."""
    release(c, run)
    c.finished += 1
    c.deadline_misses += int(bool(c.problem.settings.queue.counts_misses) and c.now > run.job.deadline_ms)
    if run.job.number >= c.first_job:
        c.job_ends[run.job.number] = c.now
