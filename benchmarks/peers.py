"""Jobs and steps per second of other simulators on the same jobs, in the same run as ours; and do they agree on waits?

- ours: gangs over nodes, best fit, nodes that boot and are switched off, energy, waiting, a decision after events, at
  most one a minute.
- hpcsim 0.3.1: the same gangs on nodes that are always on, FIFO, power and renewable supply sampled now and then. Its
  jobs have a throughput by model and interconnect, which we leave out, so that run times are those of the trace.
- gpu-choochoo 0.1.0: jobs of at most one node on nodes that are always on, FCFS by best fit, no energy, one job per
  call of the scheduler. It prints every event; that goes to a buffer. Its environment chooses a job, ours nodes.

The waits are compared with hpcsim's: nodes that are always on, jobs by submission that may pass one that does not fit,
decisions of ours at once. gpu-choochoo starts one job per event at most, so its waits are another thing.

`pip install hpcsim==0.3.1 gpu-choochoo==0.1.0` in an environment of this project; a peer that is missing is one line.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from typing import Any

import numpy as np
from _common import Measurement, describe, measure, parse, parser, report
from numpy.typing import NDArray

import traces
from agents.baselines import ConstantSetpoint
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.env import GpuClusterEnv
from envs.gpu_cluster.simulator import Simulator
from traces.trace import Trace

GPUS_PER_NODE = 8
EASY_JOBS, EASY_NODES = 17, 2  # gpu-choochoo's easy scenario
SAME_SECONDS = 1.0
Waits = NDArray[np.float64]  # seconds that each job waits, by its row in the trace


def our_waits(trace: Trace, nodes: int, gpus_per_node: int) -> Waits:
    """Seconds that each job waits on nodes that are always on."""
    config = EnvironmentConfig(settle_seconds=0.001)
    pool = PoolConfig("gpu", max_nodes=nodes, min_nodes=nodes, gpus_per_node=gpus_per_node)
    simulator = Simulator(trace, ClusterConfig((pool,)), config)
    simulator.reset_all()
    simulator.replay(np.array([ConstantSetpoint(config.codec).setpoint]))
    return simulator.job_times().wait_seconds


def most_in_use(waits: Waits, trace: Trace) -> int:
    """The most GPUs in use at once, if jobs wait so long and run as the trace says."""
    starts_ms = trace.submit_milliseconds + np.round(waits * 1000).astype(np.int64)
    times = np.concatenate([starts_ms + trace.duration_milliseconds, starts_ms])
    order = np.lexsort([np.arange(len(times)), times])  # at one moment jobs end before others start
    return int(np.cumsum(np.concatenate([-trace.gpu_milli, trace.gpu_milli])[order]).max()) // 1000


def print_waits(theirs: Waits, trace: Trace, nodes: int) -> None:
    """How far hpcsim's waits are from ours, on its terms and on ours, and whether the GPUs suffice for its schedule."""
    print(f"hpcsim has {most_in_use(theirs, trace)} GPUs in use at once where there are {nodes * GPUS_PER_NODE}")
    for rule, here in (
        ("a job may have GPUs of any nodes", our_waits(trace, nodes * GPUS_PER_NODE, 1)),
        (f"only whole nodes of {GPUS_PER_NODE} GPUs are joined", our_waits(trace, nodes, GPUS_PER_NODE)),
    ):
        same = float(np.mean(np.abs(here - theirs) < SAME_SECONDS))
        print(
            f"waits: hpcsim {theirs.mean():,.1f} s, ours {here.mean():,.1f} s if {rule}; "
            f"{same:.1%} of the jobs the same"
        )


def ours(trace: Trace, nodes: int, repeats: int) -> Measurement:
    """A replay under `reactive`."""
    config = EnvironmentConfig()
    simulator = Simulator(trace, ClusterConfig((PoolConfig("gpu", max_nodes=nodes),)), config)
    rules = np.array([ConstantSetpoint(config.codec).setpoint])

    def run() -> None:
        simulator.reset_all()
        simulator.replay(rules)

    run()
    return measure("ours, replay, reactive", "jobs/s", trace.num_jobs, run, repeats)


def hpcsim(trace: Trace, nodes: int, repeats: int) -> tuple[Measurement, Waits]:
    """Its engine with its FIFO scheduler; every job ends, which is checked."""
    from hpcsim.cluster.cluster import Cluster, ClusterConfig, NodeSpec
    from hpcsim.cluster.hardware import GPUType
    from hpcsim.scheduler.schedulers import FIFOScheduler
    from hpcsim.simulator.engine import SimulationEngine
    from hpcsim.workload.job import TrainingJob

    rows = list(zip(trace.submit_milliseconds / 1000, trace.duration_milliseconds / 1000, trace.gpu_milli, strict=True))

    # It samples its metrics until the end, whether or not a job is left.
    end_seconds = float((trace.submit_milliseconds + 2 * trace.duration_milliseconds).max()) / 1000 + 86400.0

    waits = np.zeros(trace.num_jobs)

    def run() -> None:
        spec = NodeSpec(gpu_type=GPUType.V100, num_nodes=nodes, gpus_per_node=GPUS_PER_NODE)
        cluster = Cluster(ClusterConfig(name="bench", nodes=[spec]))
        jobs = []
        for number, (submit, seconds, milli) in enumerate(rows):
            gpus = int(milli) // 1000
            job = TrainingJob(
                job_id=str(number), submit_time=float(submit), num_gpus_requested=gpus, min_gpus=gpus, max_gpus=gpus
            )
            job.arch, job.num_iterations = None, float(seconds) * gpus  # without a model: one iteration per GPU second
            jobs.append(job)
        engine = SimulationEngine(cluster, FIFOScheduler(cluster), jobs, max_sim_time=end_seconds)
        result = engine.run()
        assert len(result.completed_jobs) == len(jobs), f"hpcsim ended {len(result.completed_jobs)} of {len(jobs)} jobs"
        waits[:] = [job.start_time - job.submit_time for job in jobs]

    run()
    return measure("hpcsim 0.3.1, FIFO", "jobs/s", trace.num_jobs, run, repeats), waits


def choochoo_jobs(trace: Trace) -> list[dict[str, Any]]:
    """The jobs as it takes them."""
    columns = zip(trace.submit_milliseconds / 1000, trace.duration_milliseconds / 1000, trace.gpu_milli, strict=True)
    return [
        {"job_id": str(number), "arrival_time": submit, "duration_sec": seconds, "gpus_required": int(milli) // 1000,
         "vram_required_gb": 1.0}
        for number, (submit, seconds, milli) in enumerate(columns)
    ]  # fmt: skip


def choochoo_nodes(nodes: int) -> list[Any]:
    """Nodes as it takes them."""
    from gpu_choochoo.core.node import Node

    return [Node(f"node{number}", "V100", GPUS_PER_NODE, 32.0 * GPUS_PER_NODE) for number in range(nodes)]


def choochoo(trace: Trace, nodes: int, repeats: int) -> Measurement:
    """Its driver with its FCFS scheduler; every job ends, which is checked."""
    from gpu_choochoo.core.cluster import Cluster
    from gpu_choochoo.schedulers.heuristic import PureFCFSScheduler
    from gpu_choochoo.simulation.driver import SimulatorDriver

    jobs = choochoo_jobs(trace)

    def run() -> None:
        cluster = Cluster(choochoo_nodes(nodes))
        with contextlib.redirect_stdout(io.StringIO()):
            SimulatorDriver(cluster, PureFCFSScheduler(cluster), jobs).run_simulation()
        assert len(cluster.completed_jobs) == len(jobs), f"gpu-choochoo ended {len(cluster.completed_jobs)} jobs"

    run()
    return measure("gpu-choochoo 0.1.0, FCFS", "jobs/s", trace.num_jobs, run, repeats)


def stepped(name: str, env: Any, action: Any, steps: int, repeats: int) -> Measurement:
    """Steps of a Gymnasium environment, reset at the end of its episode."""
    env.reset(seed=0)

    def run() -> None:
        for _ in range(steps):
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    run()
    return measure(name, "env steps/s", steps, run, repeats)


def choochoo_env(trace: Trace, repeats: int) -> Measurement:
    """Its environment, whose action 1 starts the first job of the queue."""
    from gpu_choochoo.envs.scheduler_env import GPUSchedulerEnv

    env = GPUSchedulerEnv(choochoo_nodes(EASY_NODES), choochoo_jobs(trace), max_steps=10**9)
    with contextlib.redirect_stdout(io.StringIO()):
        return stepped(f"gpu-choochoo 0.1.0, env, {EASY_NODES} nodes, {EASY_JOBS} jobs", env, 1, 2000, repeats)


def our_env(trace: Trace, repeats: int) -> Measurement:
    """Our environment at the same size; setpoint 4, jobs to their pool."""
    config = EnvironmentConfig()
    env = GpuClusterEnv(trace, ClusterConfig((PoolConfig("gpu", max_nodes=EASY_NODES),)), config)
    action = np.array([4] * config.codec.max_pools + [1] * config.codec.window_slots)
    return stepped(f"ours, env, {EASY_NODES} nodes, {EASY_JOBS} jobs", env, action, 10_000, repeats)


def main() -> None:
    """Run all that is installed."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--trace", default="synthetic:quickstart?days=30&seed=0")
    options.add_argument("--jobs", type=int, default=2000, help="of the trace, the first that fit on one node")
    options.add_argument("--nodes", type=int, default=6, help="so few that jobs wait")
    arguments = parse(options, jobs=200)
    before = describe()
    trace = traces.load(arguments.trace)
    fits = np.flatnonzero((trace.gpu_milli % 1000 == 0) & (trace.gpu_milli <= 1000 * GPUS_PER_NODE))
    trace = Trace(trace.table.take(fits[: arguments.jobs]), uri=f"{trace.uri}, whole GPUs of one node")
    easy = trace.head(EASY_JOBS)
    rows = [ours(trace, arguments.nodes, arguments.repeats), our_env(easy, arguments.repeats)]
    if importlib.util.find_spec("hpcsim") is None:
        print("hpcsim is not installed: its row is left out")
    else:
        row, waits = hpcsim(trace, arguments.nodes, arguments.repeats)
        rows.append(row)
        print_waits(waits, trace, arguments.nodes)
    if importlib.util.find_spec("gpu_choochoo") is None:
        print("gpu-choochoo is not installed: its rows are left out")
    else:
        rows += [choochoo(trace, arguments.nodes, arguments.repeats), choochoo_env(easy, arguments.repeats)]
    report(f"the same {trace.num_jobs:,} jobs on {arguments.nodes} nodes", before, rows, arguments.json)


if __name__ == "__main__":
    main()
