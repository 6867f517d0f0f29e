"""Environment steps per second: batches of clusters in one compiled call, and Gymnasium's plain environment.

A batch steps 64 clusters of 300 nodes, at about one and about ten events of jobs a step, on one thread and on two. The
plain environment has that size too, and the size of gpu-choochoo's easy scenario: 17 jobs on 2 nodes.
"""

from __future__ import annotations

import numpy as np
from _common import Measurement, describe, measure, parse, parser, report

import traces
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.env import GpuClusterEnv
from envs.gpu_cluster.simulator.problem import make_problem
from envs.gpu_cluster.vector import GpuClusterVecEnv
from traces.trace import Trace

STEPS, PLAIN_STEPS, ACTIONS = 1000, 10_000, 64
CONFIG = EnvironmentConfig(codec=CodecLayout(max_pools=1, window_slots=4))
TEN_EVENTS = EnvironmentConfig(
    settle_seconds=600.0, resync_interval_seconds=1200.0, codec=CONFIG.codec, episode_seconds=3 * 86400.0
)


def random_actions(envs: int) -> np.ndarray:
    """Setpoints without always-on, so that nodes come and go; jobs go to their pool."""
    actions = np.random.default_rng(0).integers(0, 24, (ACTIONS, envs, 1 + CONFIG.codec.window_slots))
    actions[:, :, 1:] = 1
    return actions


def batched(trace: Trace, nodes: int, envs: int, config: EnvironmentConfig, threads: int, repeats: int) -> Measurement:
    """Steps of a batch."""
    cluster = ClusterConfig((PoolConfig("gpu", max_nodes=nodes),))
    batch = GpuClusterVecEnv(make_problem(trace, cluster, config), envs, seed=0, threads=threads)
    batch.reset()
    actions = random_actions(envs)

    def run() -> None:
        for step in range(STEPS):
            batch.step(actions[step % ACTIONS])
            batch.action_masks()

    run()
    simulator = batch._batch.simulator  # noqa: SLF001 (a benchmark looks inside)
    jobs = 2 * simulator.finished_jobs.sum() / simulator.decisions.sum()
    name = f"GpuClusterVecEnv, {envs} envs, {nodes} nodes, {jobs:.1f} job events a step, {threads} thread(s)"
    return measure(name, "env steps/s", STEPS * envs, run, repeats)


def plain(trace: Trace, nodes: int, repeats: int) -> Measurement:
    """Steps of one environment."""
    env = GpuClusterEnv(trace, ClusterConfig((PoolConfig("gpu", max_nodes=nodes),)), CONFIG)
    env.reset(seed=0)
    actions = random_actions(1)

    def run() -> None:
        for step in range(PLAIN_STEPS):
            _, _, terminated, truncated, _ = env.step(actions[step % ACTIONS, 0])
            env.action_masks()
            if terminated or truncated:
                env.reset()

    run()
    return measure(f"GpuClusterEnv, {nodes} nodes, {trace.num_jobs:,} jobs", "env steps/s", PLAIN_STEPS, run, repeats)


def main() -> None:
    """Step and print."""
    options = parser(__doc__, repeats=7)
    options.add_argument("--one-event-trace", default="synthetic:quickstart?days=14&seed=0&jobs_per_day=900")
    options.add_argument("--ten-events-trace", default="synthetic:quickstart?days=14&seed=0&jobs_per_day=900")
    options.add_argument("--nodes", type=int, default=300)
    options.add_argument("--envs", type=int, default=64)
    arguments = parse(options, nodes=30, envs=8)
    before = describe()
    one, ten = traces.load(arguments.one_event_trace), traces.load(arguments.ten_events_trace)
    rows = [
        batched(trace, arguments.nodes, arguments.envs, config, threads, arguments.repeats)
        for trace, config in ((one, CONFIG), (ten, TEN_EVENTS))
        for threads in (1, 2)
    ]
    rows += [plain(one, arguments.nodes, arguments.repeats), plain(one.head(17), 2, arguments.repeats)]
    report("environment steps with masks", before, rows, arguments.json)


if __name__ == "__main__":
    main()
