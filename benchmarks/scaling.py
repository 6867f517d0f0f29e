"""What a job costs as traces and clusters grow, and how much memory they take.

Poisson arrivals keep the load of a cluster the same for every number of jobs, and GPUs in use grow with the nodes, so a
simulator whose cost per job does not depend on the size shows flat columns. Memory is the size of all arrays after one
replay, and what of it was ever touched: a running slot that had no job was not, and an operating system that hands out
memory when it is touched gives none for it. In a batch each environment has the part of a job that is not the trace's
(24 bytes) for each job that can come in one episode.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

import numpy as np
from _common import describe, heading, parse, parser

from agents.baselines import ConstantSetpoint
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.episodes import RandomEpisodes
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import make_problem
from traces.trace import Trace

GPUS, WEIGHTS = (1, 2, 4, 8, 16), (0.7, 0.08, 0.1, 0.1, 0.02)
LOAD = 0.5
MEAN_SECONDS = 3600.0
MEAN_GPUS = float(np.dot(GPUS, WEIGHTS))


def poisson(jobs: int, nodes: int) -> Trace:
    """A trace that keeps half of the GPUs busy."""
    generator = np.random.default_rng(0)
    gap = MEAN_GPUS * MEAN_SECONDS / (LOAD * nodes * 8)
    gpus = generator.choice(GPUS[: 5 if nodes > 10 else 4], jobs, p=_normal(WEIGHTS[: 5 if nodes > 10 else 4]))
    return Trace.from_columns(
        {
            "submit_time_seconds": np.cumsum(generator.exponential(gap, jobs)),
            "duration_seconds": np.maximum(1.0, generator.exponential(MEAN_SECONDS, jobs)),
            "gpu_milli": 1000 * gpus,
        },
        uri=f"poisson:{jobs}",
    )


def _normal(weights: tuple[float, ...]) -> np.ndarray:
    return np.array(weights) / sum(weights)


def cost(jobs: int, nodes: int, repeats: int) -> tuple[float, float, float]:
    """Nanoseconds of processor time a job: least, median, most."""
    config = EnvironmentConfig()
    cluster = ClusterConfig((PoolConfig("gpu", max_nodes=nodes),))
    simulator = Simulator(poisson(jobs, nodes), cluster, config)
    rules = np.array([ConstantSetpoint(config.codec).setpoint])
    costs = []
    for _ in range(repeats):
        begin = time.process_time()
        simulator.reset_all()
        simulator.replay(rules)
        costs.append((time.process_time() - begin) / jobs * 1e9)
    return min(costs), statistics.median(costs), max(costs)


def main() -> None:
    """Replay, count and print."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--jobs", type=int, nargs="*", default=[10_000, 100_000, 1_000_000, 10_000_000])
    options.add_argument("--nodes", type=int, nargs="*", default=[10, 100, 1000, 10_000])
    arguments = parse(options, jobs=[10_000], nodes=[10, 100])
    before = describe()
    print(heading(before))
    cost(1000, 10, 1)  # compiles
    times: list[dict[str, Any]] = []
    sizes: list[dict[str, Any]] = []
    for title, cases in (
        ("jobs on 100 nodes", [(jobs, 100) for jobs in arguments.jobs]),
        ("nodes, 200,000 jobs", [(200_000, nodes) for nodes in arguments.nodes]),
    ):
        print(f"\nns of processor time a job, replay (min, median, max), by the number of {title}")
        medians = []
        for jobs, nodes in cases:
            low, middle, high = cost(jobs, nodes, arguments.repeats if jobs < 10**7 else 1)
            medians.append(middle)
            times.append({"jobs": jobs, "nodes": nodes, "ns_per_job": {"min": low, "median": middle, "max": high}})
            print(f"  {jobs:>10,} jobs {nodes:>6,} nodes  {low:8.0f} {middle:8.0f} {high:8.0f}", flush=True)
        if medians:
            print(f"  largest median over least: {max(medians) / min(medians):.2f}")
    print("\nbytes a job (wanted: 100), a node and environment (wanted: 200; of memory touched), and of all arrays")
    config = EnvironmentConfig()
    for jobs, nodes, envs in ((100_000, 300, 1), (1_000_000, 10_000, 1), (200_000, 300, 64)):
        problem = make_problem(poisson(jobs, nodes), ClusterConfig((PoolConfig("gpu", max_nodes=nodes),)), config)
        simulator = Simulator.from_problem(problem, envs, None if envs == 1 else config.episode_seconds)
        if envs == 1:
            simulator.reset_all()
        else:
            episodes, generator = RandomEpisodes(problem), np.random.default_rng(0)
            drawn = np.concatenate([episodes.draw(generator) for _ in range(envs)])
            simulator.reset(np.arange(envs), drawn)
        simulator.replay(np.tile(ConstantSetpoint(config.codec).rule, (envs, 1)))
        parts = simulator.memory_bytes()
        total = sum(parts.values())
        of_jobs = parts["jobs"] + parts["Cluster.queue"]
        per_job = parts["jobs"] / jobs + parts["Cluster.queue"] / envs / simulator.max_jobs
        per_node = (total - simulator.untouched_bytes - of_jobs) / nodes / envs
        sizes.append(
            {"jobs": jobs, "nodes": nodes, "envs": envs, "bytes_per_job": per_job, "bytes_per_node": per_node, **parts}
        )
        print(f"  {jobs:>10,} jobs {nodes:>6,} nodes {envs:>3} env(s)  {per_job:>6.0f}  {per_node:>6.0f}  {total:>13,}")
        largest = sorted(parts.items(), key=lambda part: -part[1])[:5]
        print("             " + ", ".join(f"{name} {amount:,}" for name, amount in largest))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"machine": before, "times": times, "sizes": sizes}, indent=2) + "\n")


if __name__ == "__main__":
    main()
