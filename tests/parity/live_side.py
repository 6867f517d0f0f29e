"""A live observer that is told all that happens in the reference simulator, and what must be equal then.

The reference simulator runs a trace; whatever happens in it is told to the live store as the API server would
tell it, at the same moment. At every decision, snapshot, observation, mask and decision must be equal.
"""

from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pytest

from autoscaler.live.actuate.suspension import Mark, mark_after, mark_of
from autoscaler.live.clock import ManualClock
from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.guardrail_config import GuardrailConfig, StepLimits, SuspensionLimits
from autoscaler.live.guardrails import GuardrailState, Suspension, evaluate, with_backlog
from autoscaler.live.model import ClusterView
from autoscaler.live.names import (
    ANNOTATION_CHECKPOINTABLE,
    ANNOTATION_DATA_GB,
    ANNOTATION_DATA_REGION,
    ANNOTATION_DEADLINE,
    ANNOTATION_FLEXIBILITY,
    ANNOTATION_LATEST_START,
    ANNOTATION_PREDICTED_SECONDS,
)
from autoscaler.live.policy.decide import Decider
from autoscaler.live.policy.pool_signals import PoolSignals
from autoscaler.live.policy.setpoints import Setpoints, setpoints_after
from autoscaler.live.policy.snapshot import fill_snapshot, plan_backlog
from autoscaler.live.prediction_config import PredictionSettings
from autoscaler.live.signal_config import LiveRegion, SignalSettings
from autoscaler.live.view.parse import Parser
from autoscaler.live.view.store import Resource, Store
from autoscaler.live.view.submissions import Submissions, milliseconds
from autoscaler.live.view.view import ViewBuilder
from envs.gpu_cluster.codec import (
    ClusterSnapshot,
    CodecLayout,
    Decision,
    Pool,
)
from envs.gpu_cluster.simulator import reference
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.simulator.reference import Job, Node, ReferenceSimulator, Running
from envs.gpu_cluster.simulator.state import CPU_MILLI, MEMORY_MIB
from tests.live import raw
from traces.trace import NO_DEADLINE, Trace

MONDAY = 1_699_833_600.0  # 2023-11-13 00:00 UTC, where the trace's second 0 lies
GPUS = 8
USER = "user"
"""Label of pods that says whose job it is, where the policy is shown that."""


def make_trace(seed: int, jobs: int, checkpointed: float = 0.0) -> Trace:
    """Gangs whose pods are all alike, as an Indexed Job has them; a share of them goes on from checkpoints."""
    generator = np.random.default_rng(seed)
    gpus = generator.choice([1, 2, 4, 8, 16, 24], jobs, p=[0.3, 0.2, 0.2, 0.15, 0.1, 0.05])
    return Trace.from_columns(
        {
            "submit_time_seconds": np.sort(np.round(generator.uniform(0.0, 7200.0, jobs), 3)),
            "duration_seconds": np.round(generator.exponential(1200.0, jobs) + 1.0, 3),
            "gpu_milli": gpus * 1000,
            "checkpoint_interval_seconds": [60.0 if draw < checkpointed else None for draw in generator.random(jobs)],
        }
    )


class LiveSide:
    """The live observer, told what happens in a simulated cluster."""

    def __init__(self, problem: Problem, layout: CodecLayout) -> None:
        pools = tuple(
            LivePool(
                name=pool.name,
                max_nodes=pool.max_nodes,
                min_nodes=pool.min_nodes,
                gpus_per_node=pool.gpus_per_node,
                boot_seconds=pool.boot_seconds,
                power=pool.power,
                usd_per_kwh=float(problem.template[index, Pool.USD_PER_KWH]),
                usd_per_node_hour=pool.usd_per_node_hour,
                placement_usd_per_node_hour=pool.placement_usd_per_node_hour,
                placement_slopes=pool.placement_slopes,
                transfer=pool.transfer,
                region=pool.region,
            )
            for index, pool in enumerate(problem.cluster.pools)
        )
        config = problem.config
        self.config = LiveConfig(
            pools,
            codec=layout,
            usd_per_gpu_hour=config.objective.usd_per_gpu_hour,
            decision_interval_seconds=config.decision_interval_seconds,
            prediction=PredictionSettings(user_label=USER),
            signals=SignalSettings(tuple(LiveRegion(region.name) for region in config.regions)),
            guardrails=GuardrailConfig(
                steps=StepLimits(max_suspended=1000),
                suspension=SuspensionLimits(config.physics.max_suspend_seconds, 0.0, config.move_seconds),
            ),
        )
        self.clock = ManualClock(MONDAY)
        self.store = Store(Parser(self.config, self.clock), self.clock)
        self.views = ViewBuilder(self.config, self.clock)
        self.submissions = Submissions(self.clock.now(), layout.arrival_features)
        self.names: dict[int, str] = {}  # a simulated node that is on -> the name of its Node
        self.ordered = 0
        self.consolidated = {pool.name: self.clock.now() for pool in pools}
        self.setpoints: Setpoints = {}
        self.signals: PoolSignals | None = None
        self.changes: list[float] = []  # when another setpoint came into force in pool a
        self.moves: Counter[str] = Counter()  # how often a pod was made again, by its first name
        self.jobs: dict[str, dict[str, Any]] = {}  # the Job of a name, as the API server has it
        self.to_suspend: dict[str, Suspension] = {}  # what the guardrails left of the last decision, by Job
        self.to_resume: set[str] = set()
        self.problem = problem

    def at(self, milliseconds: int) -> None:
        self.clock.seconds = MONDAY + milliseconds / 1000.0

    def submit(self, job: Job) -> None:
        pods = max(1, job.milli // 1000 // GPUS)
        created = (MONDAY + job.submit_ms / 1000.0) // 1.0
        self.jobs[name_of(job)] = raw.job(name_of(job), pods, job.milli // 1000 // pods, created=created)
        self.store.apply(Resource.JOBS, "ADDED", self.jobs[name_of(job)])
        self.pods("ADDED", job)

    def pods(self, kind: str, job: Job, nodes: list[Node] | None = None, phase: str | None = None) -> None:
        count = max(1, job.milli // 1000 // GPUS)
        for index in range(count):
            self.pod(kind, job, index, self.names[id(nodes[index])] if nodes else None, phase)

    def pod(self, kind: str, job: Job, index: int, node: str | None, phase: str | None = None) -> None:
        count = max(1, job.milli // 1000 // GPUS)
        first = f"{name_of(job)}-{index}"
        name = f"{first}-{self.moves[first]}" if self.moves[first] else first
        annotations = {ANNOTATION_FLEXIBILITY: str(job.flexibility)}
        if job.checkpoint > 0:
            annotations[ANNOTATION_CHECKPOINTABLE] = "true"
        if job.deadline_ms != NO_DEADLINE:
            annotations[ANNOTATION_DEADLINE] = repr(MONDAY + job.deadline_ms / 1000.0)
        if job.predicted_ms > 0:
            annotations[ANNOTATION_PREDICTED_SECONDS] = repr(job.predicted_ms / 1000.0)
        if job.latest_ms > 0:
            annotations[ANNOTATION_LATEST_START] = repr(MONDAY + job.latest_ms / 1000.0)
        if job.data_mb > 0:
            annotations[ANNOTATION_DATA_GB] = repr(job.data_mb / 1000.0)
            if len(job.data_pools) < len(self.problem.cluster.pools):  # else they are everywhere
                annotations[ANNOTATION_DATA_REGION] = self.region_of(job)
        state: dict[str, Any] = {"phase": phase} if phase else {}
        state["spec"], meta = {"priority": job.priority, **self.containers(job, count)}, {"annotations": annotations}
        if self.config.codec.arrival_features:
            meta["labels"] = {USER: str(self.problem.users[job.number])}
        pod = raw.pod(name, job.milli // 1000 // count, node, job=name_of(job), created=MONDAY, metadata=meta, **state)
        self.store.apply(Resource.PODS, kind, pod)

    def region_of(self, job: Job) -> str:
        """Where the data of a job are."""
        pool = self.problem.cluster.pools[min(job.data_pools)]
        return pool.region or self.problem.config.regions[0].name

    def containers(self, job: Job, pods: int) -> dict[str, Any]:
        """What each pod of a job requests, where the simulator knows more of it than GPUs."""
        if not self.problem.config.physics.second_resources:
            return {}
        cpu, memory = (int(self.problem.jobs[job.number, column]) // pods for column in (CPU_MILLI, MEMORY_MIB))
        limits = {raw.GPU: str(job.milli // 1000 // pods), "cpu": f"{cpu}m", "memory": f"{memory}Mi"}
        return {"containers": [{"name": "main", "resources": {"limits": limits}}]}

    def move(self, job: Job, index: int, before: Node, after: Node) -> None:
        """A pod is evicted, and its Job makes it again, which the scheduler puts on another node."""
        self.pod("DELETED", job, index, self.names[id(before)])
        self.moves[f"{name_of(job)}-{index}"] += 1
        self.pod("ADDED", job, index, self.names[id(after)])

    def preempt(self, job: Job, nodes: list[Node]) -> None:
        """The pods of a job are evicted, and the job makes them again."""
        self.pods("DELETED", job, nodes)
        for index in range(len(nodes)):
            self.moves[f"{name_of(job)}-{index}"] += 1
        self.pods("ADDED", job)

    def suspend(self, job: Job, nodes: list[Node], until_ms: int) -> None:
        """A job is suspended that the guardrails let the policy suspend, until the same time."""
        suspension = self.to_suspend.pop(name_of(job))
        assert milliseconds(suspension.until_seconds - MONDAY) == until_ms
        self.write(job, mark_of(suspension, self.clock), suspended=True)
        self.pods("DELETED", job, nodes)

    def resume(self, job: Job) -> None:
        """A suspended job goes on, because the guardrails said so or its time is over; its Job makes its pods again."""
        (suspended,) = (each for each in self.look()[0].suspended if each.ref.name == name_of(job))
        assert name_of(job) in self.to_resume or suspended.until_seconds <= self.clock.now()
        self.write(job, mark_after(self.jobs[name_of(job)]["metadata"]["annotations"], suspended, self.clock), False)
        for index in range(max(1, job.milli // 1000 // GPUS)):
            self.moves[f"{name_of(job)}-{index}"] += 1
        self.pods("ADDED", job)

    def write(self, job: Job, mark: Mark, suspended: bool) -> None:
        """Its field and its annotations change in one write."""
        before = self.jobs[name_of(job)]
        kept = {**before["metadata"].get("annotations", {}), **mark}
        metadata = {**before["metadata"], "annotations": {key: text for key, text in kept.items() if text is not None}}
        thing = {**before, "metadata": metadata, "spec": {**before["spec"], "suspend": suspended}}
        self.jobs[name_of(job)] = thing
        self.store.apply(Resource.JOBS, "MODIFIED", thing)

    def lose(self, node: Node) -> None:
        """A node that drains is cordoned, one that failed or was taken is not ready."""
        thing = self.node(node, ready=node.state == "draining")
        thing["status"]["allocatable"][raw.GPU] = str(GPUS)
        thing["spec"]["unschedulable"] = True
        self.store.apply(Resource.NODES, "MODIFIED", thing)

    def order(self, node: Node) -> None:
        self.ordered += 1
        self.names[id(node)] = f"{node.pool}-{node.number:03d}-{self.ordered:05d}"
        self.store.apply(Resource.NODES, "ADDED", self.node(node, ready=False))

    def ready(self, node: Node) -> None:
        self.store.apply(Resource.NODES, "MODIFIED", self.node(node, ready=True))

    def remove(self, node: Node) -> None:
        self.store.apply(Resource.NODES, "DELETED", self.node(node, ready=True))
        del self.names[id(node)]

    def node(self, node: Node, ready: bool) -> dict[str, Any]:
        pool, created = self.problem.cluster.pools[node.pool], self.clock.now() // 1.0
        thing = raw.node(self.names[id(node)], pool.name, GPUS if ready else None, ready, created=created)
        if pool.cpus_per_node is not None and pool.memory_gib_per_node is not None:
            allocatable = {"cpu": f"{pool.cpus_per_node}", "memory": f"{pool.memory_gib_per_node}Gi"}
            thing["status"]["allocatable"].update(allocatable)
        return thing

    def decided(self, decision: Decision, view: ClusterView) -> None:
        before = self.setpoints
        self.setpoints = setpoints_after(before, decision, view)
        if self.setpoints.get("a") != before.get("a"):
            self.changes.append(view.now_seconds)
        if self.config.codec.suspension:
            assert not self.to_suspend, "the simulator suspended all that the guardrails would have"
            allowed = evaluate(view, with_backlog(decision, view), GuardrailState(), self.config)
            self.to_suspend = {each.gang.ref.name: each for each in allowed.suspensions}
            self.to_resume = {each.job.ref.name for each in allowed.resumptions}

    def look(self, full_pools: Collection[str] = ()) -> tuple[ClusterView, ClusterSnapshot]:
        view, submitted = self.views.build(self.store.contents())
        self.submissions.note(submitted, view.now_seconds)
        moved, setpoints = self.consolidated, self.setpoints
        signals = None if self.signals is None else self.signals.signals_now(view.now_seconds)
        snapshot = fill_snapshot(view, self.submissions, self.config, {}, full_pools, moved, setpoints, signals)
        return plan_backlog(view, self.config, snapshot), snapshot


def name_of(job: Job) -> str:
    return f"j{job.number:05d}"


class ToldSimulator(ReferenceSimulator):
    """The reference simulator, which tells a live observer whatever happens, see `tell_live`."""

    def __init__(self, problem: Problem, live: LiveSide) -> None:
        self.live = live
        super().__init__(problem)


def become_idle(well: Callable[..., None], c: ToldSimulator, node: Node) -> None:
    c.live.at(c.now)
    before = node.state
    well(c, node)
    if before == "off":  # a node of the minimum, on from the start
        c.live.order(node)
    if before != "on":
        c.live.ready(node)


def start(well: Callable[..., bool], c: ToldSimulator, job: Job, pool: int) -> bool:
    started = well(c, job, pool)
    if started:
        c.live.at(c.now)
        c.live.pods("MODIFIED", job, [node for node, _ in c.running[-1].parts])
    return started


def finish(well: Callable[..., None], c: ToldSimulator, run: Running) -> None:
    c.live.at(c.now)
    c.live.pods("MODIFIED", run.job, [node for node, _ in run.parts], "Succeeded")
    well(c, run)


def preempt(well: Callable[..., None], c: ToldSimulator, run: Running, has_notice: bool) -> None:
    c.live.at(c.now)
    nodes = [node for node, _ in run.parts]
    well(c, run, has_notice)
    c.live.preempt(run.job, nodes)


def suspend(well: Callable[..., None], c: ToldSimulator, run: Running, until_ms: int) -> None:
    c.live.at(c.now)
    nodes = [node for node, _ in run.parts]
    well(c, run, until_ms)
    c.live.suspend(run.job, nodes, until_ms)


def end_suspensions(well: Callable[..., None], c: ToldSimulator) -> None:
    ending = [suspended.job for suspended in c.suspended if suspended.until_ms <= c.now]
    well(c)
    c.live.at(c.now)
    for job in ending:
        c.live.resume(job)


def happen(well: Callable[..., None], c: ToldSimulator, node: Node) -> None:
    well(c, node)
    c.live.at(c.now)
    if node.state == "off":
        c.live.remove(node)
    else:
        c.live.lose(node)


def submit(well: Callable[..., None], c: ToldSimulator) -> None:
    c.live.at(c.now)
    before = c.next_job
    well(c)
    for job in c.trace[before : c.next_job]:
        c.live.submit(job)


def consolidate(well: Callable[..., None], c: ToldSimulator, pool: int, choice: str) -> None:
    before = {id(run): list(run.parts) for run in c.running}
    well(c, pool, choice)
    c.live.at(c.now)
    for run in c.running:
        for index, ((left, _), (now, _)) in enumerate(zip(before[id(run)], run.parts, strict=True)):
            if left is not now:
                c.live.move(run.job, index, left, now)
                c.live.consolidated[c.live.config.pools[pool].name] = c.live.clock.now()


def end_boot(well: Callable[..., None], c: ToldSimulator, node: Node) -> None:
    well(c, node)
    if node.state == "off":  # its boot failed
        c.live.at(c.now)
        c.live.remove(node)


def scale(well: Callable[..., None], c: ToldSimulator, pool: int, target: int) -> None:
    before = {id(node): node.state for node in c.nodes}
    well(c, pool, target)
    c.live.at(c.now)
    for node in c.nodes:
        if before[id(node)] == "off" and node.state == "booting":
            c.live.order(node)
        elif before[id(node)] == "on" and node.state == "off":
            c.live.remove(node)


TOLD = (become_idle, start, finish, preempt, suspend, end_suspensions)
TOLD += (happen, end_boot, submit, consolidate, scale)


@pytest.fixture(autouse=True)
def tell_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference simulator's functions of these names tell the live observer what they do."""
    modules = [import_module(f"{reference.__name__}.{name}") for _, name, _ in iter_modules(reference.__path__)]
    for told in TOLD:
        for module in modules:
            well = vars(module).get(told.__name__)
            if well is not None:
                monkeypatch.setattr(module, told.__name__, partial(told, well))


def check(simulator: ToldSimulator, decider: Decider) -> tuple[ClusterView, ClusterSnapshot]:
    """Everything that a policy sees, bit by bit."""
    simulator.live.at(simulator.now)
    names = [pool.name for pool in simulator.problem.cluster.pools]
    full = [name for pool, name in enumerate(names) if simulator.in_backoff(pool)]
    view, snapshot = simulator.live.look(full)
    for name in ClusterSnapshot._fields:
        expected, found = getattr(simulator.snapshot, name), getattr(snapshot, name)
        assert found.tobytes() == expected.tobytes(), (simulator.now, name, expected, found)
    decided = decider.decide(snapshot)
    assert decided.observation.tobytes() == simulator.observation.tobytes()
    assert decided.mask.tobytes() == simulator.mask.tobytes()
    behind = view.queue[simulator.problem.tables.window_slots :]
    offers = {name_of(simulator.trace[number]): names[pool] for number, pool in simulator.offers.items()}
    assert {gang.ref.name: gang.default_pool for gang in behind} == offers
    return view, snapshot
