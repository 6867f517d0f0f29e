"""Jobs per second of a whole replay under the `reactive` baseline, on one core. Compiling is timed apart."""

from __future__ import annotations

import time

import numpy as np
from _common import describe, measure, parser, report

import traces
from agents.baselines import ConstantSetpoint
from envs.cluster import load_cluster
from envs.config import EnvironmentConfig


def main() -> None:
    """Replay and print."""
    options = parser(__doc__, repeats=7)
    options.add_argument("trace", nargs="*", default=["synthetic:quickstart?days=365&seed=0"], help="URIs of traces")
    options.add_argument("--cluster", default="auto", help="auto, a YAML file or a list of nodes")
    arguments = options.parse_args()
    before = describe()
    rows, compile_seconds = [], 0.0
    config = EnvironmentConfig()
    setpoints = np.array([ConstantSetpoint(config.codec).setpoint])
    for uri in arguments.trace:
        trace = traces.load(uri)
        cluster = load_cluster(arguments.cluster, trace)

        # numba compiles, or loads its cache, at the first call.
        begin = time.perf_counter()
        from envs.simulator import Simulator

        warm = Simulator(trace.head(1), cluster, config)
        warm.reset_all()
        warm.replay(setpoints)
        compile_seconds += time.perf_counter() - begin

        simulator = Simulator(trace, cluster, config)

        def replay(simulator: Simulator = simulator) -> None:
            simulator.reset_all()
            simulator.replay(setpoints)

        replay()
        nodes = sum(pool.max_nodes for pool in cluster.pools)
        name = f"{uri.rpartition('/')[2]} ({trace.num_jobs:,} jobs, {nodes} nodes)"
        rows.append(measure(name, "jobs/s", trace.num_jobs, replay, arguments.repeats))
    report("replay, reactive baseline, one core", before, rows, arguments.json, compile_seconds=compile_seconds)


if __name__ == "__main__":
    main()
