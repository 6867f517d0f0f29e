"""Replay a window of a trace as real Jobs, 60 times as fast, and compare policies, Karpenter and the simulator.

    python -m tests.cluster.trace_replay --kubeconfig K --policies reactive runs/quickstart karpenter

`K` is that of `python -m tests.cluster up --karpenter`. Every policy gets the same Jobs on an empty cluster; the policy
`karpenter` means that the real Karpenter decides alone, on Jobs without our gate.
"""

import argparse
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path

import numpy as np

import traces
from autoscaler.live.clock import Clock, ScaledClock
from autoscaler.live.config import ApiSettings, LiveConfig
from autoscaler.live.kube.client import KubeClient, connect
from autoscaler.live.model import ClusterView
from autoscaler.live.names import METRIC_DECISIONS, METRIC_EVICTED_PODS
from autoscaler.live.policy.decide import make_decider
from autoscaler.live.process import Options, Process
from autoscaler.live.telemetry.logs import log_json
from autoscaler.live.view.store import Resource
from autoscaler.live.view.watch import PATHS, Watcher
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator import NEVER
from envs.gpu_cluster.simulator.problem import make_problem
from envs.gpu_cluster.simulator.reference import ReferenceSimulator
from tests.cluster import karpenter as manifests
from tests.cluster.cluster import Cluster
from tests.cluster.live_process import GATED, TIME_SCALE, Running, live_settings
from tests.cluster.objects import gang_job
from tests.cluster.witness import (
    NodeParts,
    WaitParts,
    Witness,
    boot_seconds,
    extra_run_seconds,
    node_parts,
    wait_parts,
)
from traces.trace import Trace

GPUS_PER_NODE = 8
KARPENTER = "karpenter"
BOOT_SECONDS = 60.0
IDLE_SECONDS = 600.0
LEAD_SECONDS = 120.0  # clock seconds from the start of the autoscaler to the first submission
MONDAY = 1_699_833_600.0  # 2023-11-13 00:00 UTC
JOBS = "/apis/batch/v1/namespaces/default/jobs"


@dataclass(frozen=True, slots=True)
class Work:
    """A job of the window.

    Attributes:
        name: of its Job.
        submit_seconds: from the beginning of the window.
        run_seconds: how long its pods run.
        pods: its pods.
        gpus_per_pod: GPUs of each.
    """

    name: str
    submit_seconds: float
    run_seconds: float
    pods: int
    gpus_per_pod: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a replay came to, in trace seconds.

    Attributes:
        name: who decided.
        node_seconds: nodes that exist, from the first submission to the end of the last job.
        waits_seconds: from submission until the last pod of the job has a node, by job.
        finished: jobs that completed.
        evicted: pods that were evicted.
        decisions: reconciles.
        nodes: what the nodes did.
        parts: what each job waited for; empty where nobody asked us.
        boot_seconds: mean, from a node's order until it is usable.
        extra_run_seconds: mean time by which pods hold their node longer than they run.
    """

    name: str
    node_seconds: float
    waits_seconds: tuple[float, ...]
    finished: int
    evicted: int = 0
    decisions: int = 0
    nodes: NodeParts | None = None
    parts: tuple[WaitParts, ...] = ()
    boot_seconds: float = 0.0
    extra_run_seconds: float = 0.0

    def row(self) -> str:
        """One line of the table."""
        waits = np.array(self.waits_seconds)
        numbers = f"{self.node_seconds / 3600.0:10.2f} {waits.mean():9.1f} {np.percentile(waits, 95):9.1f}"
        return f"{self.name:28} {numbers} {waits.max():9.1f} {self.finished:8d} {self.evicted:7d} {self.decisions:9d}"

    def details(self) -> str:
        """Where the node-hours and the waits come from, in lines below the table."""
        text = f"{self.name}:"
        if self.nodes is not None:
            hours = [(each.name, getattr(self.nodes, each.name) / 3600.0) for each in fields(self.nodes)]
            text += "\n  node-hours: " + ", ".join(f"{name} {value:.2f}" for name, value in hours)
        if self.boot_seconds:
            text += (
                f"\n  seconds: node boot {self.boot_seconds:.1f}, pod longer than its run {self.extra_run_seconds:.1f}"
            )
        if self.parts:
            means = [
                (each.name, np.mean([getattr(part, each.name) for part in self.parts])) for each in fields(WaitParts)
            ]
            text += f"\n  mean wait, {len(self.parts)} jobs: " + ", ".join(f"{name} {mean:.1f}" for name, mean in means)
        return f"{text}\n"


HEAD = (
    f"{'':28} {'node-hours':>10} {'mean wait':>9} {'p95 wait':>9} {'max wait':>9} {'finished':>8} {'evicted':>7} "
    f"{'decisions':>9}"
)


def window_of(uri: str, start_seconds: float, hours: float, longest_seconds: float) -> Trace:
    """The window, from second 0 on, with durations cut to `longest_seconds`."""
    whole = traces.load(uri)
    window = whole.window(start_seconds, start_seconds + hours * 3600.0)
    begin = whole.metadata.start_time
    metadata = replace(whole.metadata, start_time=None if begin is None else begin + timedelta(seconds=start_seconds))
    return Trace.from_columns(
        {
            "submit_time_seconds": np.round(window.submit_time_seconds - start_seconds, 3),
            "duration_seconds": np.minimum(window.duration_seconds, longest_seconds),
            "gpu_milli": window.gpu_milli,
        },
        metadata=metadata,
    )


def works_of(trace: Trace) -> list[Work]:
    """Gangs on nodes of eight GPUs: below eight one pod, else pods of eight."""
    found = []
    rows = zip(trace.submit_time_seconds, trace.duration_seconds, trace.gpu_milli, strict=True)
    for index, (submit, run, milli) in enumerate(rows):
        gpus = int(milli) // 1000
        assert gpus < GPUS_PER_NODE or gpus % GPUS_PER_NODE == 0, f"a gang of {gpus} GPUs has no pods that are alike"
        pods = max(1, gpus // GPUS_PER_NODE)
        found.append(Work(f"job-{index:04d}", float(submit), float(run), pods, gpus // pods))
    return found


def simulate(name: str, trace: Trace, config: LiveConfig) -> Result:
    """What the simulator says of the same window."""
    pool = config.pools[0]
    cluster = ClusterConfig((PoolConfig(pool.name, pool.max_nodes, boot_seconds=pool.boot_seconds),))
    policy = make_decider(name, config.codec).policy
    environment = EnvironmentConfig(codec=config.codec, packer=policy.packer or "best-fit")
    problem = make_problem(trace, cluster, environment)
    simulator = ReferenceSimulator(problem)
    simulator.reset(0, NEVER, problem.num_jobs)
    moments = []
    while not simulator.done:
        moments.append(simulator.now)
        simulator.step(policy.act(simulator.observation[None], simulator.mask[None])[0])
    totals = simulator.totals[0]
    node_ms = totals.idle_node_ms + totals.busy_node_ms + totals.boot_node_ms
    starts = simulator.job_starts
    waits = tuple((starts[job.number] - job.submit_ms) / 1000.0 for job in simulator.trace)
    label = f"{Path(name).name}, simulated"
    nodes = NodeParts(totals.boot_node_ms / 1000.0, totals.busy_node_ms / 1000.0, totals.idle_node_ms / 1000.0, 0.0)
    parts = tuple(_simulated_parts(job.submit_ms, starts[job.number], moments) for job in simulator.trace)
    return Result(
        label, node_ms / 1000.0, waits, simulator.finished, decisions=simulator.decisions, nodes=nodes, parts=parts
    )


def _simulated_parts(submitted_ms: int, started_ms: int, decisions_ms: Sequence[int]) -> WaitParts:
    """Jobs start in a decision, so what follows the first one that saw them is capacity and later decisions."""
    saw = min((at for at in decisions_ms if at >= submitted_ms), default=started_ms)
    return WaitParts(0.0, (saw - submitted_ms) / 1000.0, (started_ms - saw) / 1000.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Ran:
    """A replay that ended.

    Attributes:
        result: what it came to.
        witness: what was seen.
        created: when each job was submitted, in clock seconds.
    """

    result: Result
    witness: Witness
    created: dict[str, float]


def submit(client: KubeClient, works: list[Work], clock: Clock, start: float, gated: bool) -> dict[str, float]:
    """Create each Job at its time; return when each was created, in clock seconds."""
    created = {}
    for work in works:
        clock.wait(threading.Event(), start + work.submit_seconds - clock.now())
        body = gang_job(
            work.name,
            pods=work.pods,
            gpus_per_pod=work.gpus_per_pod,
            run_seconds=work.run_seconds / TIME_SCALE,
            pod_spec=GATED if gated else {},
        )
        created[work.name] = clock.now()
        client.create(JOBS, body)
    return created


def watched(client: KubeClient, witness: Witness, machines: str) -> list[Watcher]:
    """Watches that tell a witness."""
    paths = {**PATHS, "nodeclaims": manifests.NODE_CLAIMS}
    watchers = [
        Watcher(client, each, paths[each], witness, ApiSettings())  # type: ignore[arg-type]
        for each in (machines, Resource.PODS)
    ]
    for watcher in watchers:
        watcher.start()
    return watchers


def run(cluster: Cluster, works: list[Work], clock: Clock, machines: str, gated: bool, name: str) -> Ran:
    """Submit the window and see what becomes of it."""
    client = connect(str(cluster.kubeconfig))
    witness = Witness(clock)
    watchers = watched(client, witness, machines)
    start = clock.now() + LEAD_SECONDS
    created = submit(client, works, clock, start, gated)
    longest = max(work.run_seconds for work in works)
    deadline = time.monotonic() + (4.0 * longest + 7200.0) / TIME_SCALE + 60.0
    while not all(witness.finished(work.name) >= work.pods for work in works):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    for watcher in watchers:
        watcher.stop()
    client.close()
    bound = {name: witness.bound_at(name) for name in created}
    waits = tuple(at - created[name] for name, at in bound.items() if at is not None)
    done = sum(witness.finished(work.name) >= work.pods for work in works)
    end = witness.last_end(start)
    result = Result(
        name,
        witness.machine_seconds(start, end),
        waits,
        done,
        nodes=node_parts(witness, start, end),
        boot_seconds=boot_seconds(witness),
        extra_run_seconds=extra_run_seconds(witness, {work.name: work.run_seconds for work in works}),
    )
    return Ran(result, witness, created)


def parts_of(ran: Ran, views: Sequence[ClusterView]) -> tuple[WaitParts, ...]:
    """What each job waited for."""
    parts = [wait_parts(ran.witness, name, at, views) for name, at in ran.created.items()]
    return tuple(part for part in parts if part is not None)


def with_policy(
    cluster: Cluster, works: list[Work], config: LiveConfig, policy: str, *, until_empty: bool = False
) -> tuple[Result, Running]:
    """Our autoscaler decides; `until_empty`: until the last node is gone, and not until the last job is done."""
    client = connect(str(cluster.kubeconfig), None, config.api.request_timeout_seconds)
    process = Process(config, client, make_decider(policy, config.codec), Options(policy))
    running = Running(process)
    try:
        ran = run(cluster, works, process.clock, Resource.NODES, True, f"{Path(policy).name}, live")
        if until_empty:
            cluster.wait_until(lambda: not cluster.request("GET", "/api/v1/nodes")["items"], "the pool is empty")
    finally:
        running.stop()
        client.close()
    metrics = process.metrics
    evicted, decisions = metrics.value(METRIC_EVICTED_PODS), metrics.value(METRIC_DECISIONS)
    parts = parts_of(ran, [seen.view for seen in running.observations])
    return replace(ran.result, evicted=int(evicted), decisions=int(decisions), parts=parts), running


def with_karpenter(cluster: Cluster, works: list[Work], config: LiveConfig) -> Result:
    """The real Karpenter decides, with the same boot time, idle time-out and most nodes."""
    pool = config.pools[0]
    delay = max(1, round(pool.boot_seconds / TIME_SCALE))
    cluster.request("POST", manifests.NODE_CLASSES, manifests.node_class("replay", registration_delay_seconds=delay))
    nodes = manifests.node_pool(
        "replay",
        node_class="replay",
        gpu_limit=pool.max_nodes * pool.gpus_per_node,
        consolidate_after=f"{IDLE_SECONDS / TIME_SCALE:.0f}s",
    )
    cluster.request("POST", manifests.NODE_POOLS, nodes)
    return run(cluster, works, ScaledClock(TIME_SCALE), "nodeclaims", False, "Karpenter alone, live").result


def settings_of(max_nodes: int, *overrides: str) -> LiveConfig:
    """One pool from zero."""
    return live_settings(f"pools.0.max_nodes={max_nodes}", f"pools.0.boot_seconds={BOOT_SECONDS}", *overrides)


def at_its_hour(config: LiveConfig, trace: Trace) -> LiveConfig:
    """The same settings with a clock that shows the trace's weekday and hour at the first submission."""
    epoch = MONDAY + trace.week_offset_seconds - LEAD_SECONDS
    return replace(config, clock=replace(config.clock, epoch_seconds=epoch))


def results(
    cluster: Cluster, trace: Trace, config: LiveConfig, policies: Sequence[str], repeat: int = 1
) -> Iterator[Result]:
    """The table, row by row. Each round has every policy, so that what changes on the machine meets all of them."""
    works = works_of(trace)
    for number in range(repeat):
        for policy in policies:
            cluster.reset()
            if policy == KARPENTER:
                yield with_karpenter(cluster, works, config)
            else:
                if number == 0:  # the simulator says the same each time
                    yield simulate(policy, trace, config)
                yield with_policy(cluster, works, at_its_hour(config, trace), policy)[0]


def spread(found: Sequence[Result]) -> str:
    """Least, median and most of each live row that there are several of: a table."""
    lines = [
        f"{'min / median / max':28} {'runs':>4} {'node-hours':>23} {'mean wait':>23} {'p95 wait':>23} {'finished':>8}"
    ]
    for name in dict.fromkeys(result.name for result in found):
        runs = [result for result in found if result.name == name]
        if len(runs) > 1:
            hours = [result.node_seconds / 3600.0 for result in runs]
            means = [float(np.mean(result.waits_seconds)) for result in runs]
            tails = [float(np.percentile(result.waits_seconds, 95)) for result in runs]
            columns = f"{_span(hours, 2)} {_span(means, 1)} {_span(tails, 1)}"
            lines.append(f"{name:28} {len(runs):4d} {columns} {min(result.finished for result in runs):8d}")
    return "\n".join(lines) + "\n"


def _span(values: Sequence[float], digits: int) -> str:
    middle = float(np.median(values))
    return f"{' / '.join(f'{value:.{digits}f}' for value in (min(values), middle, max(values))):>23}"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.trace_replay", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--trace", required=True, help="for example itp:cluster08.csv.gz")
    parser.add_argument("--start-seconds", type=float, default=3_405_600.0, help="where the window begins")
    parser.add_argument("--hours", type=float, default=2.0, help="its length")
    parser.add_argument("--longest-seconds", type=float, default=5400.0, help="longer jobs are cut, in both worlds")
    parser.add_argument("--max-nodes", type=int, default=12)
    parser.add_argument("--policies", nargs="+", default=["reactive"])
    parser.add_argument("--repeat", type=int, default=1, help="rounds; more than one shows min, median and max")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="override of the live config")
    options = parser.parse_args()
    trace = window_of(options.trace, options.start_seconds, options.hours, options.longest_seconds)
    cluster = Cluster(options.kubeconfig)
    log_json("WARNING")
    sys.stdout.write(f"{trace.num_jobs} jobs of {options.hours:g} h at {TIME_SCALE:g} times the clock\n{HEAD}\n")
    found = []
    config = settings_of(options.max_nodes, *options.overrides)
    for result in results(cluster, trace, config, options.policies, options.repeat):
        found.append(result)
        sys.stdout.write(f"{result.row()}\n")
        sys.stdout.flush()
    if options.repeat > 1:
        sys.stdout.write(f"\n{spread(found)}")
    sys.stdout.write("".join(["\n", *(result.details() for result in found)]))
    cluster.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
