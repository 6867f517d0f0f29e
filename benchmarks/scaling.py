"""What a job costs as traces and clusters grow, and how much memory they take.

Poisson arrivals keep the load of a cluster the same for every number of jobs, and GPUs in use grow with the nodes, so a
simulator whose cost per job does not depend on the size shows flat columns. Memory is the size of all arrays.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from _common import describe

from agents.baselines import ConstantSetpoint
from envs.cluster import ClusterConfig, PoolConfig
from envs.config import EnvironmentConfig
from envs.simulator import Simulator
from envs.simulator.problem import make_problem
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
        submit_time_seconds=np.cumsum(generator.exponential(gap, jobs)),
        duration_seconds=np.maximum(1.0, generator.exponential(MEAN_SECONDS, jobs)),
        gpu_milli=1000 * gpus,
        uri=f"poisson:{jobs}",
    )


def _normal(weights: tuple[float, ...]) -> np.ndarray:
    return np.array(weights) / sum(weights)


def size(simulator: Simulator) -> dict[str, int]:
    """Bytes of a simulator's arrays by name, the trace's included."""
    plans = {f"PackingPlan.{name}": array for name, array in simulator.world.plans._asdict().items()}
    return {
        name: array.nbytes
        for name, array in {"jobs": simulator.world.jobs, **simulator.state_arrays(), **plans}.items()
    }


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
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--jobs", type=int, nargs="*", default=[10_000, 100_000, 1_000_000, 10_000_000])
    options.add_argument("--nodes", type=int, nargs="*", default=[10, 100, 1000, 10_000])
    arguments = options.parse_args()
    before = describe()
    print(f"{before['processor']}, revision {before['revision']}, load average {before['load_average']}")
    cost(1000, 10, 1)  # compiles
    for title, cases in (
        ("jobs on 100 nodes", [(jobs, 100) for jobs in arguments.jobs]),
        ("nodes, 200,000 jobs", [(200_000, nodes) for nodes in arguments.nodes]),
    ):
        print(f"\nns of processor time a job, replay (min, median, max), by the number of {title}")
        medians = []
        for jobs, nodes in cases:
            low, middle, high = cost(jobs, nodes, arguments.repeats if jobs < 10**7 else 1)
            medians.append(middle)
            print(f"  {jobs:>10,} jobs {nodes:>6,} nodes  {low:8.0f} {middle:8.0f} {high:8.0f}", flush=True)
        if medians:
            print(f"  largest median over least: {max(medians) / min(medians):.2f}")
    print("\nmemory: 100 bytes a job and 200 a node and environment would be the first column, arrays are the second")
    config = EnvironmentConfig()
    for jobs, nodes, envs in ((100_000, 300, 1), (1_000_000, 10_000, 1), (200_000, 300, 64)):
        problem = make_problem(poisson(jobs, nodes), ClusterConfig((PoolConfig("gpu", max_nodes=nodes),)), config)
        episode = None if envs == 1 else config.episode_seconds
        parts = size(Simulator.from_problem(problem, envs, episode))
        print(
            f"  {jobs:>10,} jobs {nodes:>6,} nodes {envs:>3} env(s)  {100 * jobs + 200 * nodes * envs:>13,}"
            f"  {sum(parts.values()):>13,}"
        )
        largest = sorted(parts.items(), key=lambda part: -part[1])[:5]
        print("             " + ", ".join(f"{name} {amount:,}" for name, amount in largest))


if __name__ == "__main__":
    main()
