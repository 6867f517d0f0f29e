"""Compile kernels that many tests need, before the tests: each once, in as many processes as there are cores.

Tests run in several processes, and each of them would compile the same kernels at the same time.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed

import gymnasium
import numpy as np

import traces
from agents.baselines import ConstantSetpoint
from agents.setpoints import LearnedSetpoints
from envs.compiled.compiler import REMOVES_DISABLED
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout, feature_choices, number_of_weights
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig
from envs.gpu_cluster.simulator import PACKERS, Nodes, Packer, Pod, Simulator, Tables
from envs.gpu_cluster.simulator.problem import Problem, make_problem

CPUS = PhysicsConfig(second_resources=True)


def first(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """A custom packer."""
    return node


def config_of(kind: str) -> EnvironmentConfig:
    """A small configuration whose kernels are of a kind, see `envs.gpu_cluster.simulator.settings.specialized`."""
    if kind == "plain":
        return EnvironmentConfig(codec=CodecLayout(max_pools=1, window_slots=2))
    layout = CodecLayout(max_pools=1, window_slots=2, consolidation=True)
    if kind == "counted":
        return EnvironmentConfig(codec=layout)
    return EnvironmentConfig(codec=layout, physics=CPUS, packer="first" if kind == "custom" else "best-fit")


def problem(kind: str) -> Problem:
    """A small problem of a kind."""
    cluster = ClusterConfig((PoolConfig("gpu", max_nodes=8, cpus_per_node=64.0, memory_gib_per_node=256.0),))
    PACKERS["first"] = Packer(first)
    try:
        return make_problem(traces.load("synthetic:quickstart?days=1"), cluster, config_of(kind))
    finally:
        del PACKERS["first"]


def steps(kind: str) -> None:
    """Reset and step."""
    of = problem(kind)
    simulator = Simulator.from_problem(of)
    simulator.reset_all()
    simulator.step(np.zeros((1, len(of.config.codec.action_sizes)), np.int64))


def replays(kind: str) -> None:
    """Replay a rule and a learned policy, without levers and with them."""
    of = problem(kind)
    layout = of.config.codec
    features = feature_choices(layout)
    weights = np.zeros(number_of_weights(len(features), ()))
    for consolidation in (0, 1) if layout.consolidation else (0,):
        start = ConstantSetpoint(layout, consolidation=consolidation)
        simulator = Simulator.from_problem(of)
        simulator.reset_all()
        simulator.replay_decisions(start.rule[None], 1)
        if kind != "custom":
            learned = LearnedSetpoints("learned", start, features, (), weights)
            simulator.replay_policy_decisions(learned.policies, np.zeros(1, np.int64), learned.rule, 1)


def plans(kind: str) -> None:
    """Copy a cluster, and look ahead in copies."""
    simulator = Simulator.from_problem(problem(kind), 2)
    simulator.reset_all()
    simulator.copy_clusters(np.array([0]), np.array([1]))
    simulator.look_ahead(ConstantSetpoint(config_of(kind).codec).rule[None], 0.0, 60.0, 1)


def everything(kind: str) -> None:
    """All of these: what kernels of a kind share is compiled once."""
    steps(kind)
    replays(kind)
    if kind == "plain" or not REMOVES_DISABLED:
        plans(kind)


def other_environments(_: str) -> None:
    """Reset and step the environments of functions and of a city."""
    for name in ("Serverless", "EdgeCity"):
        environment = gymnasium.make(f"autoscaler/{name}-v0")
        environment.reset(seed=0)
        environment.step(environment.action_space.sample())


Task = tuple[Callable[[str], None], str]


def tasks() -> list[Task]:
    """What is compiled, what takes longest first. Stock numba has one kind of kernels for all settings."""
    if not REMOVES_DISABLED:
        return [(everything, "package")]
    clusters: list[Task] = [(everything, kind) for kind in ("package", "custom", "counted", "plain")]
    return [*clusters, (other_environments, "containers")]


def timed(task: Task) -> tuple[str, float]:
    """Do it and return its name and wall seconds."""
    work, kind = task
    begin = time.perf_counter()
    work(kind)
    how = "" if REMOVES_DISABLED else ", on stock numba"
    return f"{kind}: {work.__name__.replace('_', ' ')}{how}", time.perf_counter() - begin


def main() -> None:
    """Compile all, and say what takes how long."""
    processes = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=processes) as pool:
        for done in as_completed([pool.submit(timed, task) for task in tasks()]):
            name, seconds = done.result()
            sys.stderr.write(f"kernels of {name} {seconds:.0f} s\n")


if __name__ == "__main__":
    main()
