"""Jobs per second of a whole replay under the `reactive` baseline, on one core. Compiling is timed apart.

The second default is like a cluster of Microsoft's ITP traces (`itp:` URIs replay the real ones): 200 jobs a day on
some tens of 8-GPU nodes, so that a job takes two to three decisions. A timed run replays at least `MIN_JOBS` jobs,
because a cluster of ITP takes milliseconds.

With `--physics all` nodes fail and jobs that then checkpoint wait again, boots vary and images must be pulled, speed
depends on the spread, the queue has priorities and an order, each job asks CPUs and memory by lot (no generator says
them), and fragmentation gradient descent packs.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from _common import describe, measure, parser, report

import traces
from agents.baselines import ConstantSetpoint
from envs.cluster import ClusterConfig, load_cluster
from envs.config import CurvesConfig, EnvironmentConfig, PhysicsConfig, QueueConfig
from envs.nodes import BootConfig, FailureConfig
from envs.simulator.state import DECISIONS

DEFAULTS = ["synthetic:quickstart?days=365&seed=0", "synthetic:quickstart?days=60&seed=1&jobs_per_day=200"]
MIN_JOBS = 200_000


def with_requests(trace: traces.Trace) -> traces.Trace:
    """The trace with CPUs, memory, images, priorities and checkpoints, drawn by lot."""
    generator = np.random.default_rng(0)
    gpus = np.maximum(trace.gpu_milli // 1000, 1)
    columns = {name: trace.table.column(name) for name in trace.table.column_names}
    columns["cpu_milli"] = (
        1000 * gpus * generator.choice([2, 4, 8, 12, 16], trace.num_jobs, p=[0.2, 0.3, 0.3, 0.1, 0.1])
    )
    columns["memory_mib"] = 1024 * gpus * generator.choice([16, 32, 64, 128], trace.num_jobs)
    columns["priority"] = generator.integers(0, 3, trace.num_jobs)
    columns["image"] = [f"image-{number}" for number in generator.integers(0, 40, trace.num_jobs)]
    columns["checkpoint_interval_seconds"] = np.full(trace.num_jobs, 600.0)
    return traces.Trace.from_columns(**columns, uri=trace.uri, metadata=trace.metadata)


def all_physics(cluster: ClusterConfig) -> tuple[ClusterConfig, EnvironmentConfig]:
    """A cluster and settings with everything on that goes together."""
    nodes = {
        "cpus_per_node": 128.0,
        "memory_gib_per_node": 1024.0,
        "boot": BootConfig(sigma=0.3, failure_probability=0.01),
        "failures": FailureConfig(mean_seconds=30 * 86400.0),
        "pull_seconds": 60.0,
    }
    pools = tuple(replace(pool, **nodes) for pool in cluster.pools)
    physics = PhysicsConfig(
        second_resources=True,
        curves=CurvesConfig(spread="preset:pollux"),
        queue=QueueConfig(order="shortest", priorities=True),
    )
    return ClusterConfig(pools), EnvironmentConfig(packer="fgd", physics=physics)


def main() -> None:
    """Replay and print."""
    options = parser(__doc__, repeats=7)
    options.add_argument("trace", nargs="*", default=DEFAULTS, help="URIs of traces")
    options.add_argument("--cluster", default="auto", help="auto, a YAML file or a list of nodes")
    options.add_argument("--physics", choices=("default", "all"), default="default", help="what is simulated")
    arguments = options.parse_args()
    before = describe()
    rows, compile_seconds = [], 0.0
    config = EnvironmentConfig()
    setpoints = np.array([ConstantSetpoint(config.codec).setpoint])
    for uri in arguments.trace:
        trace = traces.load(uri)
        cluster = load_cluster(arguments.cluster, trace)
        if arguments.physics == "all":
            trace = with_requests(trace)
            cluster, config = all_physics(cluster)

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
    report(
        f"replay, {arguments.physics} physics, reactive baseline, one core",
        before,
        rows,
        arguments.json,
        compile_seconds=compile_seconds,
    )


if __name__ == "__main__":
    main()
