"""Environment steps per second: 64 clusters of 300 nodes in one compiled call, and Gymnasium's plain environment."""

from __future__ import annotations

import numpy as np
from _common import describe, measure, parser, report

import traces
from envs.cluster import ClusterConfig, PoolConfig
from envs.codec import CodecLayout
from envs.config import EnvironmentConfig
from envs.gpu_cluster import GpuClusterEnv
from envs.simulator.problem import make_problem
from envs.vector import GpuClusterVecEnv

BATCHED_STEPS, PLAIN_STEPS, ACTIONS = 1000, 5000, 64


def main() -> None:
    """Step and print."""
    options = parser(__doc__, repeats=7)
    options.add_argument("--trace", default="synthetic:quickstart?days=14&seed=0&jobs_per_day=12000")
    options.add_argument("--nodes", type=int, default=300)
    options.add_argument("--envs", type=int, default=64)
    arguments = options.parse_args()
    before = describe()
    trace = traces.load(arguments.trace)
    cluster = ClusterConfig((PoolConfig("gpu", max_nodes=arguments.nodes),))
    config = EnvironmentConfig(codec=CodecLayout(max_pools=1, window_slots=4))
    generator = np.random.default_rng(0)

    # Setpoints without always-on, so that nodes come and go; jobs go to their pool.
    batch = GpuClusterVecEnv(make_problem(trace, cluster, config), arguments.envs, seed=0)
    actions = generator.integers(0, 24, (ACTIONS, arguments.envs, 1 + config.codec.window_slots))
    actions[:, :, 1:] = 1

    def batched() -> None:
        for step in range(BATCHED_STEPS):
            batch.step(actions[step % ACTIONS])
            batch.action_masks()

    env = GpuClusterEnv(trace, cluster, config)
    env.reset(seed=0)

    def plain() -> None:
        for step in range(PLAIN_STEPS):
            _, _, terminated, truncated, _ = env.step(actions[step % ACTIONS, 0])
            env.action_masks()
            if terminated or truncated:
                env.reset()

    batched()
    plain()
    amount = BATCHED_STEPS * arguments.envs
    rows = [
        measure(f"GpuClusterVecEnv, {arguments.envs} envs", "env steps/s", amount, batched, arguments.repeats),
        measure("GpuClusterEnv, 1 env", "env steps/s", PLAIN_STEPS, plain, arguments.repeats),
    ]
    title = f"environment steps with masks, {arguments.nodes} nodes, {trace.num_jobs:,} jobs"
    report(title, before, rows, arguments.json)


if __name__ == "__main__":
    main()
