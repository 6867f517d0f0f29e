"""Jobs per second of a whole replay under the `reactive` baseline, on one core. Compiling is timed apart.

The second default is like a cluster of Microsoft's ITP traces (`itp:` URIs replay the real ones): 200 jobs a day on
some tens of 8-GPU nodes, so that a job takes two to three decisions. A timed run replays at least `MIN_JOBS` jobs,
because a cluster of ITP takes milliseconds.

With `--physics all` everything is on: nodes fail and are taken back, boots vary and fail, images must be pulled, jobs
are slower when spread and on other GPU models, may be elastic and have a power cap; each job requests CPUs and memory,
may be checkpointed, moved, preempted and deferred, has an estimate that is wrong, a deadline, a user with a quota (all
at random, as no generator says them); the queue backfills by priority, and fragmentation gradient descent packs.
Every 30 minutes nearly empty nodes are emptied where `--lever` is given; else levers are off, as by default.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
from _common import describe, measure, parse, parser, report

import traces
from agents.baselines import ConstantSetpoint
from envs.gpu_cluster.cluster import ClusterConfig, load_cluster
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import CurvesConfig, EnvironmentConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.lifecycle import BootConfig, FailureConfig, SpotConfig

DEFAULTS = ["synthetic:quickstart?days=365&seed=0", "synthetic:quickstart?days=60&seed=1&jobs_per_day=200"]
MIN_JOBS = 200_000


def with_requests(trace: traces.Trace) -> traces.Trace:
    """The trace with CPUs, memory, images, priorities and checkpoints, drawn at random."""
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
    columns["user"] = [f"user-{number}" for number in generator.integers(0, 20, trace.num_jobs)]
    seconds, submit = trace.duration_milliseconds / 1000, trace.submit_milliseconds / 1000
    columns["predicted_duration_seconds"] = np.maximum(seconds * generator.lognormal(0.0, 0.5, trace.num_jobs), 0.001)
    slack = generator.exponential(3600.0, trace.num_jobs)
    columns["latest_start_seconds"] = pa.array(submit + slack, mask=generator.random(trace.num_jobs) > 0.3)
    columns["deadline_seconds"] = submit + 2.0 * seconds + slack
    is_elastic, is_share = generator.random(trace.num_jobs) < 0.3, trace.gpu_milli < 1000
    columns["min_gpus"] = pa.array(np.where(is_elastic, np.maximum(gpus // 2, 1), gpus), mask=is_share)
    columns["max_gpus"] = pa.array(np.where(is_elastic, 2 * gpus, gpus), mask=is_share)
    return traces.Trace.from_columns(columns, uri=trace.uri, metadata=trace.metadata)


def all_physics(cluster: ClusterConfig, *, moves: bool = False) -> tuple[ClusterConfig, EnvironmentConfig]:
    """A cluster and settings with everything on; `moves` adds the lever of consolidation, which a rule must pull."""
    nodes = {
        "cpus_per_node": 128.0,
        "memory_gib_per_node": 1024.0,
        "boot": BootConfig(sigma=0.3, failure_probability=0.01),
        "failures": FailureConfig(mean_seconds=30 * 86400.0),
        "spot": SpotConfig(mean_seconds=30 * 86400.0),
        "gpu_model": "V100",
        "pull_seconds": 60.0,
    }
    pools = tuple(replace(pool, **nodes) for pool in cluster.pools)
    physics = PhysicsConfig(
        second_resources=True,
        curves=CurvesConfig("preset:gavel", "V100", "preset:pollux", "preset:elasticflow", "preset:V100"),
        queue=QueueConfig(
            order="shortest",
            priorities=True,
            backfill_policy="backfill",
            preemption=True,
            default_quota_gpus=sum(pool.max_nodes * pool.gpus_per_node for pool in pools),
            deferral=True,
            deadlines=True,
        ),
    )
    codec = CodecLayout(consolidation=moves, consolidation_interval_seconds=1800.0)
    return ClusterConfig(pools), EnvironmentConfig(packer="fgd", physics=physics, codec=codec)


def main() -> None:
    """Replay and print."""
    options = parser(__doc__, repeats=7)
    options.add_argument("trace", nargs="*", default=DEFAULTS, help="URIs of traces")
    options.add_argument("--cluster", default="auto", help="auto, a YAML file or a list of nodes")
    options.add_argument("--physics", choices=("default", "all"), default="default", help="what is simulated")
    options.add_argument("--lever", action="store_true", help="with --physics all: nearly empty nodes are emptied")
    arguments = parse(options, trace=["synthetic:quickstart?days=10&seed=0"])
    before = describe()
    rows, compile_seconds = [], 0.0
    config = EnvironmentConfig()
    for uri in arguments.trace:
        trace = traces.load(uri)
        cluster = load_cluster(arguments.cluster, trace)
        if arguments.physics == "all":
            trace = with_requests(trace)
            cluster, config = all_physics(cluster, moves=arguments.lever)
        rules = ConstantSetpoint(config.codec, consolidation=2 if config.codec.consolidation else 0).rule[None]

        # numba compiles, or loads its cache, at the first call.
        begin = time.perf_counter()
        from envs.gpu_cluster.simulator import Simulator

        warm = Simulator(trace.head(1), cluster, config)
        warm.reset_all()
        warm.replay(rules)
        compile_seconds += time.perf_counter() - begin

        simulator = Simulator(trace, cluster, config)

        times = -(-MIN_JOBS // trace.num_jobs)

        def replay(simulator: Simulator = simulator, times: int = times, rules: np.ndarray = rules) -> None:
            for _ in range(times):
                simulator.reset_all()
                simulator.replay(rules)

        replay()
        decisions = int(simulator.decisions[0]) / trace.num_jobs
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
