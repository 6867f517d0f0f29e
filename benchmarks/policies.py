"""Decisions per second of whole replays under learned setpoints, on one core; a fixed rule beside them.

Linear policies and small networks of random weights near the start replay windows of a trace inside the kernels, as the
search of `cma-es` does. Compiling is left out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _common import Measurement, describe, measure, parse, parser, report

import traces
from agents.baselines import ConstantSetpoint
from agents.es.cma_es import FEATURES
from envs.gpu_cluster.cluster import auto_cluster
from envs.gpu_cluster.codec import CodecLayout, make_policies, number_of_weights, start_of
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.episodes import equal_episodes
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import make_problem

LAYOUT = CodecLayout(max_pools=1, window_slots=4)
START = (900.0, 0.15)
NETWORKS = {"linear": (), "32 x 32 network": (32, 32)}


def main() -> None:
    """Replay and print."""
    options = parser(__doc__, repeats=7)
    options.add_argument("trace", nargs="?", default="synthetic:quickstart?days=60&seed=0", help="URI of a trace")
    options.add_argument("--policies", type=int, default=16, help="policies side by side (default %(default)s)")
    arguments = parse(options, trace="synthetic:quickstart?days=4&seed=0", policies=2)
    before = describe()
    trace = traces.load(arguments.trace)
    problem = make_problem(trace, auto_cluster(trace), EnvironmentConfig(codec=LAYOUT))
    start = float(trace.first_submit_seconds)
    windows = equal_episodes(problem, start, start + trace.span_seconds, 6)
    clusters = arguments.policies * len(windows)
    simulator = Simulator.from_problem(problem, clusters, threads=1)
    numbers = np.repeat(np.arange(arguments.policies), len(windows))
    rows: list[Measurement] = []

    def add(name: str, replay: Callable[[], None]) -> None:
        def begin_and_replay() -> None:
            simulator.reset(np.arange(clusters), np.tile(windows, (arguments.policies, 1)))
            replay()

        begin_and_replay()
        rows.append(measure(name, "decisions/s", int(simulator.decisions.sum()), begin_and_replay, arguments.repeats))

    add("fixed rule", lambda: simulator.replay(np.full(clusters, LAYOUT.setpoint(*START))))
    start = start_of(LAYOUT, ConstantSetpoint(LAYOUT, *START).rule)
    for name, hidden in NETWORKS.items():
        size = number_of_weights(len(FEATURES), hidden)
        weights = np.random.default_rng(0).normal(0.0, 0.1, (arguments.policies, size))
        policies = make_policies(LAYOUT, FEATURES, hidden, start, weights)
        add(f"{name}, {size:,} weights", lambda policies=policies: simulator.replay_policies(policies, numbers))
    title = f"{arguments.trace}: {arguments.policies} policies on {len(windows)} windows in one call, one core"
    report(title, before, rows, arguments.json)


if __name__ == "__main__":
    main()
