"""Jobs per second of a whole replay under the `reactive` baseline, on one core. Compiling is timed apart.

The second default is like a cluster of Microsoft's ITP traces (`itp:` URIs replay the real ones): 200 jobs a day on
some tens of 8-GPU nodes, so that a job takes two to three decisions. A timed run replays at least `MIN_JOBS` jobs,
because a cluster of ITP takes milliseconds.
"""

from __future__ import annotations

import time

import numpy as np
from _common import describe, measure, parser, report

import traces
from agents.baselines import ConstantSetpoint
from envs.cluster import load_cluster
from envs.config import EnvironmentConfig
from envs.simulator.state import DECISIONS

DEFAULTS = ["synthetic:quickstart?days=365&seed=0", "synthetic:quickstart?days=60&seed=1&jobs_per_day=200"]
MIN_JOBS = 200_000


def main() -> None:
    """Replay and print."""
    options = parser(__doc__, repeats=7)
    options.add_argument("trace", nargs="*", default=DEFAULTS, help="URIs of traces")
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

        times = -(-MIN_JOBS // trace.num_jobs)

        def replay(simulator: Simulator = simulator, times: int = times) -> None:
            for _ in range(times):
                simulator.reset_all()
                simulator.replay(setpoints)

        replay()
        decisions = int(simulator.world.clusters.clock[0, DECISIONS]) / trace.num_jobs
        nodes = sum(pool.max_nodes for pool in cluster.pools)
        name = f"{uri.rpartition('/')[2]} ({trace.num_jobs:,} jobs, {nodes} nodes, {decisions:.1f} decisions a job)"
        rows.append(measure(name, "jobs/s", times * trace.num_jobs, replay, arguments.repeats))
    report("replay, reactive baseline, one core", before, rows, arguments.json, compile_seconds=compile_seconds)


if __name__ == "__main__":
    main()
