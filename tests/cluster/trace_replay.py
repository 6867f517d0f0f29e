"""Replay a window of a trace as real Jobs, faster than the clock, and compare policies, Karpenter and the simulator.

    python -m tests.cluster.trace_replay --trace itp:cluster08.csv.gz --policies reactive runs/quickstart karpenter

It starts a control plane of its own. Every policy gets the same Jobs on an empty cluster. `tuned:600,0.15` is the
heuristic with this time-out (s) and headroom. `karpenter:POLICY`, with `WhenEmpty` (the default),
`WhenEmptyOrUnderutilized` or `Balanced`, means that the real Karpenter decides alone, on Jobs without our gate.

At F times the clock a second of the wall is F seconds of the trace. What has a setting is scaled with it, ours and
Karpenter's: boot, idle time-out (`consolidateAfter`), batch windows. Karpenter's poll of 10 s and its validation of
15 s before it disrupts a node have none, so keep F small where removals of idle nodes matter.
"""

import argparse
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np

import traces
from agents.baselines import ConstantSetpoint
from autoscaler.live.clock import Clock, ScaledClock
from autoscaler.live.config import ApiSettings, LiveConfig
from autoscaler.live.kube.client import KubeClient, connect
from autoscaler.live.model import ClusterView
from autoscaler.live.names import METRIC_DECISIONS
from autoscaler.live.policy.decide import FALLBACK, Decider, make_decider
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
from tests.cluster.binaries import find_binaries
from tests.cluster.cluster import Cluster
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, TIME_SCALE, Running, live_settings
from tests.cluster.objects import gang_job
from tests.cluster.trace_results import HEAD, Result, spread
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
KARPENTER, TUNED = "karpenter", "tuned:"
BOOT_SECONDS = 60.0
IDLE_SECONDS = 600.0
KUBERNETES_BACKOFF_LIMIT = 6  # of a Job that says nothing, so that one whose pod is evicted begins again
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
    policy = decider_of(name, config).policy
    environment = EnvironmentConfig(
        settle_seconds=config.settle_seconds,
        decision_interval_seconds=config.decision_interval_seconds,
        resync_interval_seconds=config.resync_interval_seconds,
        codec=config.codec,
        packer=policy.packer or "best-fit",
    )
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


def submit(
    client: KubeClient, works: list[Work], clock: Clock, start: float, gated: bool, pace: float
) -> dict[str, float]:
    """Create each Job at its time; return when each was created, in clock seconds."""
    created = {}
    for work in works:
        clock.wait(threading.Event(), start + work.submit_seconds - clock.now())
        body = gang_job(
            work.name,
            pods=work.pods,
            gpus_per_pod=work.gpus_per_pod,
            run_seconds=work.run_seconds / pace,
            backoff_limit=KUBERNETES_BACKOFF_LIMIT,
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


def run(cluster: Cluster, works: list[Work], clock: Clock, machines: str, gated: bool, name: str, pace: float) -> Ran:
    """Submit the window and see what becomes of it, at `pace` times the clock."""
    client = connect(str(cluster.kubeconfig))
    witness = Witness(clock)
    watchers = watched(client, witness, machines)
    start = clock.now() + LEAD_SECONDS
    created = submit(client, works, clock, start, gated, pace)
    longest = max(work.run_seconds for work in works)
    deadline = time.monotonic() + (4.0 * longest + 7200.0) / pace + 60.0
    while not all(witness.finished(work.name) >= work.pods for work in works):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    for watcher in watchers:
        watcher.stop()
    client.close()
    bound = {work.name: witness.bound_at(work.name, work.pods) for work in works}
    waits = tuple(at - created[name] for name, at in bound.items() if at is not None)
    hurt = [
        ended - created[work.name] - work.run_seconds
        for work in works
        if witness.lost(work.name) and (ended := witness.ended_at(work.name)) is not None
    ]
    done = sum(witness.finished(work.name) >= work.pods for work in works)
    end = witness.last_end(start)
    result = Result(
        name,
        witness.machine_seconds(start, end),
        waits,
        done,
        evicted=sum(witness.lost(work.name) for work in works),
        hurt_delay_seconds=float(np.mean(hurt)) if hurt else float("nan"),
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
    process = Process(config, client, decider_of(policy, config), Options(policy))
    running = Running(process)
    try:
        pace = config.clock.time_scale
        ran = run(cluster, works, process.clock, Resource.NODES, True, f"{Path(policy).name}, live", pace)
        if until_empty:
            cluster.wait_until(lambda: not cluster.request("GET", "/api/v1/nodes")["items"], "the pool is empty")
    finally:
        running.stop()
        client.close()
    decisions = process.metrics.value(METRIC_DECISIONS)
    parts = parts_of(ran, [seen.view for seen in running.observations])
    return replace(ran.result, decisions=int(decisions), parts=parts), running


def decider_of(policy: str, config: LiveConfig) -> Decider:
    """What decides: a baseline, the folder of a run, or `tuned:TIMEOUT,HEADROOM`."""
    if not policy.startswith(TUNED):
        return make_decider(policy, config.codec)
    timeout, headroom = (float(number) for number in policy.removeprefix(TUNED).split(","))
    fallback = make_decider(FALLBACK, config.codec).policy
    return Decider(ConstantSetpoint(config.codec, timeout, headroom), fallback, config.codec)


def with_karpenter(cluster: Cluster, works: list[Work], config: LiveConfig, consolidation: str) -> Result:
    """The real Karpenter decides, with the same boot time, idle time-out and most nodes."""
    pool, pace = config.pools[0], config.clock.time_scale
    delay = max(1, round(pool.boot_seconds / pace))  # whole seconds
    cluster.request("POST", manifests.NODE_CLASSES, manifests.node_class("replay", registration_delay_seconds=delay))
    nodes = manifests.node_pool(
        "replay",
        node_class="replay",
        gpu_limit=pool.max_nodes * pool.gpus_per_node,
        consolidate_after=f"{IDLE_SECONDS / pace:.0f}s",
        consolidation=consolidation,
    )
    cluster.request("POST", manifests.NODE_POOLS, nodes)
    name = f"Karpenter {consolidation}"
    return run(cluster, works, ScaledClock(pace), "nodeclaims", False, name, pace).result


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
            if policy.split(":")[0] == KARPENTER:
                yield with_karpenter(cluster, works, config, policy.partition(":")[2] or "WhenEmpty")
            else:
                if number == 0:  # the simulator says the same each time
                    yield simulate(policy, trace, config)
                yield with_policy(cluster, works, at_its_hour(config, trace), policy)[0]


def karpenter_environment(pace: float) -> dict[str, str]:
    """Karpenter's batch windows at a multiple of the clock: 1 s without a new pod, 10 s at most, unless given."""
    return {"BATCH_IDLE_DURATION": f"{1000.0 / pace:.0f}ms", "BATCH_MAX_DURATION": f"{10_000.0 / pace:.0f}ms"}


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.trace_replay", description=__doc__)
    parser.add_argument("--trace", required=True, help="for example itp:cluster08.csv.gz")
    parser.add_argument("--start-seconds", type=float, default=3_405_600.0, help="where the window begins")
    parser.add_argument("--hours", type=float, default=2.0, help="its length")
    parser.add_argument("--longest-seconds", type=float, default=5400.0, help="longer jobs are cut, in both worlds")
    parser.add_argument("--max-nodes", type=int, default=12)
    parser.add_argument("--time-factor", type=float, default=TIME_SCALE, help="trace seconds per second of the wall")
    parser.add_argument("--policies", nargs="+", default=["reactive"])
    parser.add_argument("--repeat", type=int, default=1, help="rounds; more than one shows min, median and max")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="override of the live config")
    options = parser.parse_args()
    trace = window_of(options.trace, options.start_seconds, options.hours, options.longest_seconds)
    log_json("WARNING")
    pace = options.time_factor
    config = settings_of(options.max_nodes, f"clock.time_scale={pace}", *options.overrides)
    needs_karpenter = any(policy.split(":")[0] == KARPENTER for policy in options.policies)
    found = []
    with ControlPlane(find_binaries(karpenter=needs_karpenter)) as cluster:
        if needs_karpenter:
            cluster.start_karpenter(karpenter_environment(pace))
        sys.stdout.write(f"{trace.num_jobs} jobs of {options.hours:g} h at {pace:g} times the clock\n{HEAD}\n")
        for result in results(cluster, trace, config, options.policies, options.repeat):
            found.append(result)
            sys.stdout.write(f"{result.row()}\n")
            sys.stdout.flush()
    if options.repeat > 1:
        sys.stdout.write(f"\n{spread(found)}")
    sys.stdout.write("".join(["\n", *(result.details() for result in found)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
