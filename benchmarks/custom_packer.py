"""What a custom packer costs: jobs/s of a whole replay under best fit of the package, and under copies of it.

All look at CPUs, memory and each GPU, and all decide alike, which is checked. The copies are registered as any custom
packer is: one that numba compiles, and one in plain Python. The runs take turns. Compiling is timed apart: of the
kernels, which are cached on disk for all custom packers, and of the packer, which each process compiles again.
"""

from __future__ import annotations

import time

import numpy as np
from _common import Measurement, describe, measure, parse, parser, report
from replay import MIN_JOBS, with_requests

import traces
from agents.baselines import ConstantSetpoint
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig, auto_cluster
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig
from envs.gpu_cluster.simulator import PACKERS, Packer, Simulator
from envs.gpu_cluster.simulator.packing.packers.best_fit import best_fit

DEFAULT = "synthetic:quickstart?days=60&seed=1&jobs_per_day=200"
PACKERS["compiled"] = Packer(best_fit)
PACKERS["plain"] = Packer(best_fit, compiled=False)


def simulator_of(trace: traces.Trace, packer: str) -> Simulator:
    """A cluster whose nodes have CPUs and memory."""
    (pool,) = auto_cluster(trace).pools
    limits = {"cpus_per_node": 128.0, "memory_gib_per_node": 1024.0}
    pool = PoolConfig(pool.name, pool.max_nodes, gpus_per_node=pool.gpus_per_node, **limits)
    config = EnvironmentConfig(packer=packer, physics=PhysicsConfig(second_resources=True))
    return Simulator(trace, ClusterConfig((pool,)), config)


def main() -> None:
    """Replay and print."""
    options = parser(__doc__, repeats=5)
    options.add_argument("trace", nargs="?", default=DEFAULT, help="URI of a trace (default %(default)s)")
    arguments = parse(options, trace="synthetic:quickstart?days=3&seed=1&jobs_per_day=200")
    before, trace = describe(), with_requests(traces.load(arguments.trace))
    setpoints = np.array([ConstantSetpoint(EnvironmentConfig().codec).setpoint])
    runs, seconds, results = {}, {}, {}
    for packer in ("best-fit", "compiled", "plain"):
        begin = time.perf_counter()
        simulator = simulator_of(trace, packer)
        made = time.perf_counter()
        times = 1 if packer == "plain" else -(-MIN_JOBS // trace.num_jobs)

        def replay(simulator: Simulator = simulator, times: int = times) -> None:
            for _ in range(times):
                simulator.reset_all()
                simulator.replay(setpoints)

        replay(times=1)
        seconds[packer] = made - begin, time.perf_counter() - made
        results[packer] = simulator
        runs[packer] = replay, times * trace.num_jobs
    expected = results["best-fit"]
    for simulator in results.values():
        assert simulator.energy() == expected.energy(), "copies of best fit decide alike"
        assert (simulator.job_times().start_ms == expected.job_times().start_ms).all(), (
            "copies of best fit decide alike"
        )
    parts: dict[str, list[Measurement]] = {packer: [] for packer in runs}
    for _ in range(arguments.repeats):
        for packer, (replay, jobs) in runs.items():
            parts[packer].append(measure(packer, "jobs/s", jobs, replay, 1))
    rows = [
        Measurement(
            packer if packer == "best-fit" else f"the same, custom, {packer}",
            "jobs/s",
            tuple(part.rates[0] for part in measured),
            tuple(part.cpu_rates[0] for part in measured),
        )
        for packer, measured in parts.items()
    ]
    decisions = float(expected.decisions[0]) / trace.num_jobs
    report(
        f"replay of {trace.num_jobs:,} jobs on detailed nodes, reactive baseline, one core",
        before,
        rows,
        arguments.json,
        decisions_a_job=decisions,
        seconds_to_compile_the_packer=seconds["compiled"][0],
        seconds_to_compile_or_load_the_kernels=seconds["compiled"][1],
    )


if __name__ == "__main__":
    main()
