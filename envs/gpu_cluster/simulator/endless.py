"""What to tell of a job that outlives its nodes again and again, so that a replay would never end."""

from __future__ import annotations

from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.problem import Problem


def describe_endless(problem: Problem, job: int) -> str:
    """Which job it is, how its run time compares with the life of its nodes, and how to fix that.

    Args:
        problem: the inputs.
        job: its number.
    """
    milli, bits = int(problem.jobs[job, st.MILLI]), int(problem.jobs[job, st.ALLOWED_BITS])
    pools = [pool for index, pool in enumerate(problem.cluster.pools) if bits >> index & 1 and pool.loses_nodes]
    pool = max(pools, key=lambda pool: _mean_life_seconds(pool, milli))
    checkpoint_ms = int(problem.checkpoint_ms[job])
    saves = f"writes a checkpoint each {checkpoint_ms / 1000:,.0f} s" if checkpoint_ms else "writes no checkpoint"
    losses = problem.settings.max_fresh_restarts + 1
    return (
        f"job {job} lost all its work {losses:,} times to nodes that failed or were taken back, and would hardly ever "
        f"end: it runs for {int(problem.jobs[job, st.DURATION_MS]) / 1000:,.0f} s and {saves}, but one of its "
        f"{_nodes(pool, milli)} node(s) of pool {pool.name} goes after {_mean_life_seconds(pool, milli):,.0f} s on "
        f"average; give it checkpoints (checkpoint_interval_seconds in the trace), raise failures.mean_seconds or "
        f"spot.mean_seconds of the pool, or physics.max_fresh_restarts"
    )


def _nodes(pool: PoolConfig, milli: int) -> int:
    return -(-milli // (1000 * pool.gpus_per_node))


def _mean_life_seconds(pool: PoolConfig, milli: int) -> float:
    """Mean time until the first node of a job goes."""
    means = (pool.failures.mean_seconds, pool.spot.mean_seconds)
    return 1.0 / (_nodes(pool, milli) * sum(1.0 / mean for mean in means if mean is not None))
