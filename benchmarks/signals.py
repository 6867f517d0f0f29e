"""What time and place cost: replays and environment steps with three regions, hourly signals and all accounts.

Three pools of 100 nodes, without regions, and with carbon intensity and price of three regions, which the policy of the
second half of the rows is told (`codec.signals`). One core, compiling excluded; making the simulator is timed apart.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from _common import Measurement, describe, measure, parse, parser, report

import traces
from agents.baselines import ConstantSetpoint
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig, align_regions
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from envs.gpu_cluster.vector import GpuClusterVecEnv

STEPS, ACTIONS, MIN_JOBS = 1000, 64, 200_000
PLACES = ("solar", "wind", "fossil")
PLAIN = EnvironmentConfig(codec=CodecLayout(max_pools=3, window_slots=4))
REGIONS = tuple(
    RegionConfig(name, SignalConfig(f"synthetic:{name}"), SignalConfig(f"synthetic:price?seed={seed}"))
    for seed, name in enumerate(PLACES)
)


def cases(trace: traces.Trace, nodes: int) -> dict[str, tuple[Problem, float]]:
    """The problem of each case, and how long it took to make, s."""
    priced = replace(PLAIN, regions=align_regions(REGIONS, trace), objective=ObjectiveConfig(usd_per_tonne=100.0))
    told = replace(priced, codec=replace(PLAIN.codec, signals=True))
    found = {}
    for name, config in (("no region", PLAIN), ("three regions", priced), ("three regions, signals told", told)):
        regions = [None] * len(PLACES) if config is PLAIN else PLACES
        pools = tuple(PoolConfig(place, nodes, region=region) for place, region in zip(PLACES, regions, strict=True))
        begin = time.perf_counter()
        problem = make_problem(trace, ClusterConfig(pools), config)
        found[name] = problem, time.perf_counter() - begin
    return found


def replayed(name: str, problem: Problem, repeats: int) -> Measurement:
    """Jobs of whole replays under `reactive`."""
    simulator = Simulator.from_problem(problem)
    rules, times = ConstantSetpoint(problem.config.codec).rule[None], -(-MIN_JOBS // problem.num_jobs)

    def run() -> None:
        for _ in range(times):
            simulator.reset_all()
            simulator.replay(rules)

    run()
    return measure(f"replay, {name}", "jobs/s", times * problem.num_jobs, run, repeats)


def stepped(name: str, problem: Problem, envs: int, repeats: int) -> Measurement:
    """Steps of a batch with random setpoints, and jobs in the first pool."""
    batch = GpuClusterVecEnv(problem, envs, seed=0, threads=1)
    batch.reset()
    codec = problem.config.codec
    actions = np.random.default_rng(0).integers(0, 24, (ACTIONS, envs, codec.max_pools + codec.window_slots))
    actions[:, :, codec.max_pools :] = 1

    def run() -> None:
        for step in range(STEPS):
            batch.step(actions[step % ACTIONS])
            batch.action_masks()

    run()
    return measure(f"steps of {envs} envs, {name}", "env steps/s", STEPS * envs, run, repeats)


def main() -> None:
    """Replay, step and print."""
    options = parser(__doc__, repeats=7)
    options.add_argument("--trace", default="synthetic:quickstart?days=60&seed=1&jobs_per_day=900")
    options.add_argument("--nodes", type=int, default=100, help="of each pool")
    options.add_argument("--envs", type=int, default=64)
    arguments = parse(options, trace="synthetic:quickstart?days=10&seed=0", nodes=14, envs=8)
    before = describe()
    found = cases(traces.load(arguments.trace), arguments.nodes)
    rows = [replayed(name, problem, arguments.repeats) for name, (problem, _) in found.items()]
    rows += [stepped(name, problem, arguments.envs, arguments.repeats) for name, (problem, _) in found.items()]
    seconds = {f"seconds to make with {name}": took for name, (_, took) in found.items()}
    report("energy by time and place, one core", before, rows, arguments.json, **seconds)


if __name__ == "__main__":
    main()
