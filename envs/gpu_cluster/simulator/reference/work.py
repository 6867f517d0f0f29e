"""Jobs that run: how they start, how fast they are, how they are delayed and stopped, and how they end."""

from __future__ import annotations

from envs.errors import EndlessJobError
from envs.gpu_cluster.simulator.endless import describe_endless
from envs.gpu_cluster.simulator.reference.objects import Job, Node, Running
from envs.gpu_cluster.simulator.reference.placement import place, release
from envs.gpu_cluster.simulator.reference.queue import enqueue
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.state import MAX_SPREAD_NODES, MAX_WIDTH_GPUS, NEVER, PPM


def settle(state: State, run: Running) -> None:
    """Count the work that a running job has done until now."""
    elapsed = state.now - run.since_ms
    if elapsed > 0:
        run.job.left = max(0, run.job.left - elapsed * run.rate)
        run.since_ms = state.now


def hold(state: State, run: Running, milliseconds: int) -> None:
    """What it would have got done in that time is overhead."""
    run.since_ms += milliseconds
    state.totals[run.pool].overhead_milli_ms += (run.milli - run.slow_milli) * milliseconds


def delay(state: State, run: Running, milliseconds: int) -> None:
    """Let a running job hold its GPUs for a while without progress."""
    settle(state, run)
    hold(state, run, milliseconds)


def pace(state: State, run: Running) -> None:
    """Work out the speed of a job: what its GPU model, its nodes, its width and the power cap make of it."""
    if not state.problem.settings.has_curves:
        return
    curves, job = state.problem.curves, run.job
    cap = state.power_cap[run.pool] if job.flexibility > 0 else 0
    nodes = len({id(node) for node, _ in run.parts}) or 1
    rate = int(curves.speed[job.workload, run.pool])
    rate = rate * int(curves.spread[job.workload, min(nodes, MAX_SPREAD_NODES)]) // PPM
    if run.milli != job.milli:
        requested, width = (min(milli // 1000, MAX_WIDTH_GPUS) for milli in (job.milli, run.milli))
        rate = rate * int(curves.scaling[job.workload, width]) // int(curves.scaling[job.workload, requested])
    run.rate = max(1, rate * int(curves.cap_speed[job.workload, run.pool, cap]) // PPM)
    run.saved_milli = run.milli * (PPM - int(curves.cap_watts[job.workload, run.pool, cap])) // PPM


def pull_ms(state: State, nodes: list[Node], job: Job) -> int:
    """How long a job waits until the last of these nodes has its image; those that lack it begin to pull it.

    A job that ran before the episode began has its image, wherever it is.
    """
    if job.image == 0:
        return 0
    is_ours = job.number >= state.first_job
    for node in nodes:
        longest_ms = round(state.problem.cluster.pools[node.pool].pull_seconds * 1000)
        node.images.setdefault(job.image, state.now + (longest_ms if is_ours else 0))
    return max(0, *(node.images[job.image] - state.now for node in nodes)) if is_ours else 0


def transfer_mb(state: State, job: Job, pool: int) -> int:
    """MB of data that a job would have to bring to a pool now; jobs from before the episode have them everywhere."""
    return 0 if pool in job.data_pools or job.number < state.first_job else job.data_mb


def bring_data(state: State, job: Job, pool: int) -> int:
    """Count the data that a job brings to a pool where it starts, and return for how many ms it waits for them."""
    megabytes = transfer_mb(state, job, pool)
    state.totals[pool].transferred_mb += megabytes
    us_per_mb = round(state.problem.cluster.pools[pool].transfer.seconds_per_gb * 1000)
    return -(-megabytes * us_per_mb // 1000)


def restart_ms(state: State, job: Job) -> int:
    """How long a job that starts now makes no progress, because it was preempted or suspended before."""
    if job.is_suspended:
        return state.problem.settings.move_ms  # the checkpoint that it wrote, and the restart
    return state.problem.settings.restart_ms if job.has_run else 0


def start(state: State, job: Job, pool: int) -> bool:
    """Start a job on a pool if all of it fits."""
    run = Running(job, pool, state.now, job.milli)
    if not place(state, run):
        return False
    state.running.append(run)
    pace(state, run)
    hold(state, run, restart_ms(state, job) + pull_ms(state, run.nodes, job) + bring_data(state, job, pool))
    return True


def cap_power(state: State, pool: int, level: int) -> None:
    """Put a pool under a power cap; its jobs go on at once at their new speed."""
    state.power_cap[pool] = level
    for run in state.running:
        if run.pool == pool:
            settle(state, run)
            pace(state, run)


def stop_work(state: State, run: Running) -> None:
    """Let a running job make no more progress; data that came stay in the region, others have to come anew."""
    settle(state, run)
    if run.since_ms <= state.now:
        run.job.data_pools |= state.region_of(run.pool)
    hold(state, run, min(0, state.now - run.since_ms))  # a delay that it does not live to see


def preempt(state: State, run: Running, has_notice: bool) -> None:
    """Stop a job and queue it again; work since its last checkpoint is lost, unless it could write one in time."""
    stop_work(state, run)
    job = run.job
    if not (has_notice and job.checkpoint > 0):
        done = job.work - job.left
        lost = done % job.checkpoint if job.checkpoint > 0 else done
        state.totals[run.pool].overhead_milli_ms += lost // PPM * job.milli
        state.totals[run.pool].lost_milli_ms += lost // PPM * job.milli
        job.left += lost
        if state.problem.settings.is_stochastic and job.left == job.work:
            job.losses += 1
            if job.losses > state.problem.settings.max_fresh_restarts and state.end == NEVER:
                raise EndlessJobError(describe_endless(state.problem, job.number))
    state.totals[run.pool].preemptions += 1
    release(state, run)
    enqueue(state, job)


def finish(state: State, run: Running) -> None:
    """End a job whose work is done."""
    release(state, run)
    state.finished += 1
    state.deadline_misses += int(bool(state.problem.settings.queue.counts_misses) and state.now > run.job.deadline_ms)
    if run.job.number >= state.first_job:
        state.job_ends[run.job.number] = state.now
