"""Parity: at the same state, the simulator and the live observer give the same bits to every policy.

The reference simulator runs a trace; whatever happens in it is told to the live store as the API server would
tell it, at the same moment. At every decision, snapshot, observation, mask and decision must be equal.
"""

from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from importlib import import_module
from itertools import pairwise
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pytest

from agents.baselines import ConstantSetpoint
from agents.policy import Policy
from agents.registry import make_baseline
from autoscaler.live.clock import ManualClock
from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.model import ClusterView
from autoscaler.live.names import ANNOTATION_CHECKPOINTABLE, ANNOTATION_LATEST_START, ANNOTATION_PREDICTED_SECONDS
from autoscaler.live.policy.decide import Decider, make_decider
from autoscaler.live.policy.pool_signals import PoolSignals
from autoscaler.live.policy.setpoints import Setpoints, setpoints_after
from autoscaler.live.policy.snapshot import fill_snapshot, plan_backlog
from autoscaler.live.view.parse import Parser
from autoscaler.live.view.store import Resource, Store
from autoscaler.live.view.submissions import Submissions
from autoscaler.live.view.view import ViewBuilder
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import (
    CONSOLIDATION_CHOICES,
    ClusterSnapshot,
    CodecLayout,
    Decision,
    Pool,
    PoolSignal,
    fingerprint,
    signal_row,
)
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.lifecycle import BootConfig, FailureConfig, SpotConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig
from envs.gpu_cluster.simulator import reference
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from envs.gpu_cluster.simulator.reference import Job, Node, ReferenceSimulator, Running
from envs.gpu_cluster.simulator.state import CPU_MILLI, MEMORY_MIB, NEVER
from tests.live import raw
from traces.signals import Forecaster, make_forecaster
from traces.trace import Trace

MONDAY = 1_699_833_600.0  # 2023-11-13 00:00 UTC, where the trace's second 0 lies
GPUS = 8


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
            )
            for index, pool in enumerate(problem.cluster.pools)
        )
        config = problem.config
        self.config = LiveConfig(
            pools,
            codec=layout,
            usd_per_gpu_hour=config.objective.usd_per_gpu_hour,
            decision_interval_seconds=config.decision_interval_seconds,
        )
        self.clock = ManualClock(MONDAY)
        self.store = Store(Parser(self.config, self.clock), self.clock)
        self.views = ViewBuilder(self.config, self.clock)
        self.submissions = Submissions(self.clock.now())
        self.names: dict[int, str] = {}  # a simulated node that is on -> the name of its Node
        self.ordered = 0
        self.consolidated = {pool.name: self.clock.now() for pool in pools}
        self.setpoints: Setpoints = {}
        self.signals: PoolSignals | None = None
        self.changes: list[float] = []  # when another setpoint came into force in pool a
        self.moves: Counter[str] = Counter()  # how often a pod was made again, by its first name
        self.problem = problem

    def at(self, milliseconds: int) -> None:
        self.clock.seconds = MONDAY + milliseconds / 1000.0

    def submit(self, job: Job) -> None:
        pods = max(1, job.milli // 1000 // GPUS)
        created = (MONDAY + job.submit_ms / 1000.0) // 1.0
        thing = raw.job(name_of(job), pods, job.milli // 1000 // pods, created=created)
        self.store.apply(Resource.JOBS, "ADDED", thing)
        self.pods("ADDED", job)

    def pods(self, kind: str, job: Job, nodes: list[Node] | None = None, phase: str | None = None) -> None:
        count = max(1, job.milli // 1000 // GPUS)
        for index in range(count):
            self.pod(kind, job, index, self.names[id(nodes[index])] if nodes else None, phase)

    def pod(self, kind: str, job: Job, index: int, node: str | None, phase: str | None = None) -> None:
        count = max(1, job.milli // 1000 // GPUS)
        first = f"{name_of(job)}-{index}"
        name = f"{first}-{self.moves[first]}" if self.moves[first] else first
        annotations = {ANNOTATION_CHECKPOINTABLE: "true"} if job.checkpoint > 0 else {}
        if job.predicted_ms > 0:
            annotations[ANNOTATION_PREDICTED_SECONDS] = repr(job.predicted_ms / 1000.0)
        if job.latest_ms > 0:
            annotations[ANNOTATION_LATEST_START] = repr(MONDAY + job.latest_ms / 1000.0)
        state: dict[str, Any] = {"phase": phase} if phase else {}
        state["spec"], meta = {"priority": job.priority, **self.containers(job, count)}, {"annotations": annotations}
        pod = raw.pod(name, job.milli // 1000 // count, node, job=name_of(job), created=MONDAY, metadata=meta, **state)
        self.store.apply(Resource.PODS, kind, pod)

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


TOLD = (become_idle, start, finish, preempt, happen, end_boot, submit, consolidate, scale)


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


class Restless:
    """Places jobs by default, and wants the setpoint after the last one whatever the mask says."""

    name, masked = "restless", False

    def __init__(self, layout: CodecLayout) -> None:
        self.codec_fingerprint = fingerprint(layout)
        self._default, self._setpoints, self._turn = make_baseline("reactive", layout), len(layout.setpoints), 0

    def reset(self, num_clusters: int) -> None:
        self._turn = 0

    def act(self, observations: np.ndarray, action_masks: np.ndarray) -> np.ndarray:
        action = self._default.act(observations, action_masks)
        self._turn = (self._turn + 1) % self._setpoints
        action[:, 0] = self._turn
        return action


CLUSTERS = {
    "one pool from zero": (PoolConfig("gpu", max_nodes=6),),
    "two pools, one with a minimum": (
        PoolConfig("a", max_nodes=3, min_nodes=1, boot_seconds=90.0),
        PoolConfig("b", max_nodes=5, boot_seconds=301.5),
    ),
}


@pytest.mark.parametrize("pools", CLUSTERS.values(), ids=CLUSTERS)
@pytest.mark.parametrize("policy", ["reactive", "random"])
@pytest.mark.parametrize("seed", [0, 1])
def test_live_and_simulated_state_are_equal_to_the_bit(pools: tuple[PoolConfig, ...], policy: str, seed: int) -> None:
    """Over a whole trace: snapshot, observation, mask, target nodes and placement of every decision."""
    layout = CodecLayout(max_pools=3, window_slots=4, max_hold_seconds=1800.0)
    problem = make_problem(make_trace(seed, 60), ClusterConfig(pools), EnvironmentConfig(codec=layout))
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    acting = make_baseline(policy, layout, seed)
    assert run(simulator, acting, layout) > 50


class RecordedSignals:
    """Live sources that show what was recorded; a pool without a region has no signal."""

    def __init__(self, problem: Problem) -> None:
        self.usd_per_tonne = problem.config.objective.usd_per_tonne
        regions = {region.name: region for region in problem.config.regions}
        self.pools = [regions[pool.region or "none"].signals() for pool in problem.cluster.pools]

    def signals_now(self, now_seconds: float) -> np.ndarray:
        rows = []
        for signals in self.pools:
            sources = {name: Source(make_forecaster(of.forecast, of.load(name))) for name, of in signals.items()}
            price, carbon = sources.get("price", 0.15), sources.get("carbon", 0.0)
            rows.append(signal_row(now_seconds, price, carbon, self.usd_per_tonne))
        return np.stack(rows)


class Source:
    """A recorded signal and its forecast."""

    def __init__(self, forecaster: Forecaster) -> None:
        self.at, self.forecast = forecaster.signal.at, forecaster.forecast


@pytest.mark.parametrize("forecast", ["persistence", "ridge"])
def test_the_same_where_the_policy_is_told_of_prices_and_carbon(forecast: str) -> None:
    """One pool without a signal, one with carbon and price; one decision each at the beginning of an hour."""
    layout = CodecLayout(max_pools=3, window_slots=4, max_hold_seconds=7200.0, signals=True)
    common = {"alignment": "offset", "start": "2023-11-13T00:00:00Z", "forecast": forecast}
    carbon, price = (
        SignalConfig(f"synthetic:{name}?start=2023-10-15&days=60", **common) for name in ("solar", "price")
    )
    regions = (RegionConfig("none"), RegionConfig("solar", carbon, price))
    pools = (PoolConfig("a", 3, 1, boot_seconds=90.0), PoolConfig("b", 5, boot_seconds=301.5, region="solar"))
    objective = ObjectiveConfig(usd_per_tonne=90.0)
    config = EnvironmentConfig(codec=layout, regions=regions, objective=objective, resync_interval_seconds=3000.0)
    problem = make_problem(make_trace(3, 40), ClusterConfig(pools), config)
    live = LiveSide(problem, layout)
    live.signals = RecordedSignals(problem)
    simulator = ToldSimulator(problem, live)
    assert run(simulator, make_baseline("random", layout, 0), layout) > 50
    told = simulator.snapshot.pool_signals
    assert told[:3, PoolSignal.KNOWN].tolist() == [0.0, 1.0, 0.0]


def test_the_same_where_no_signal_is_known() -> None:
    """A live loop without any source tells a policy what the simulator does where no region has a signal."""
    layout = CodecLayout(max_pools=3, window_slots=4, signals=True)
    pools = CLUSTERS["two pools, one with a minimum"]
    problem = make_problem(make_trace(5, 30), ClusterConfig(pools), EnvironmentConfig(codec=layout))
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    assert run(simulator, make_baseline("reactive", layout), layout) > 20
    assert simulator.snapshot.pool_signals[:2, PoolSignal.USD_PER_KWH :].tolist() == [[0.15] * 25] * 2


@pytest.mark.parametrize("interval", [0.0, 10.0, 1200.0])
def test_the_same_while_setpoints_are_held(interval: float) -> None:
    """A policy that wants another setpoint at each decision gets it once per interval, on both sides."""
    layout = CodecLayout(max_pools=3, window_slots=4)
    config = EnvironmentConfig(codec=layout, decision_interval_seconds=interval)
    problem = make_problem(make_trace(4, 60), ClusterConfig(CLUSTERS["two pools, one with a minimum"]), config)
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    decisions = run(simulator, Restless(layout), layout)
    changes = simulator.live.changes
    assert min(after - before for before, after in pairwise(changes)) >= interval
    assert len(changes) == decisions if interval == 0.0 else len(changes) < decisions


@pytest.mark.parametrize("pools", CLUSTERS.values(), ids=CLUSTERS)
@pytest.mark.parametrize("policy", ["one", "all", "random"])
@pytest.mark.parametrize("checkpointed", [0.8, 1.0])
def test_the_same_while_jobs_are_moved(pools: tuple[PoolConfig, ...], policy: str, checkpointed: float) -> None:
    """With the consolidation lever: what can be emptied, whether it is time, and the decision."""
    layout = CodecLayout(max_pools=3, window_slots=4, consolidation=True, consolidation_interval_seconds=60.0)
    trace = make_trace(6, 80, checkpointed)
    problem = make_problem(trace, ClusterConfig(pools), EnvironmentConfig(codec=layout))
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    if policy == "random":
        acting = make_baseline("random", layout, 0)
    else:
        acting = ConstantSetpoint(layout, consolidation=CONSOLIDATION_CHOICES.index(policy))
    assert run(simulator, acting, layout) > 50
    assert sum(totals.moves for totals in simulator.totals) >= 3


@pytest.mark.parametrize("packer", ["worst-fit", "random-fit"])
@pytest.mark.parametrize("policy", ["one", "all"])
def test_the_same_while_jobs_are_moved_that_need_cpus_and_memory(packer: str, policy: str) -> None:
    """What can be emptied depends on what pods request and nodes have, seen in the simulator and on a cluster alike."""
    layout = CodecLayout(max_pools=3, window_slots=4, consolidation=True, consolidation_interval_seconds=60.0)
    plain, generator = make_trace(6, 80, 1.0), np.random.default_rng(0)
    gpus = plain.gpu_milli // 1000
    trace = Trace.from_columns(
        {
            "submit_time_seconds": plain.submit_time_seconds,
            "duration_seconds": plain.duration_seconds,
            "gpu_milli": plain.gpu_milli,
            "checkpoint_interval_seconds": [60.0] * 80,
            "cpu_milli": gpus * np.where(gpus < 4, generator.choice([500, 4000, 11_001], 80), 4000),
            "memory_mib": gpus * np.where(gpus < 4, generator.choice([1, 8192, 20_000], 80), 8192),
        }
    )
    pools = tuple(PoolConfig(name, 8, cpus_per_node=32.0, memory_gib_per_node=64.0) for name in "ab")
    config = EnvironmentConfig(codec=layout, packer=packer, physics=PhysicsConfig(second_resources=True))
    problem = make_problem(trace, ClusterConfig(pools), config)
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    acting = ConstantSetpoint(layout, consolidation=CONSOLIDATION_CHOICES.index(policy))
    assert run(simulator, acting, layout) > 50
    assert sum(totals.moves for totals in simulator.totals) >= 3


@pytest.mark.parametrize("policy", ["reactive", "random"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_while_nodes_fail_and_are_taken_back(policy: str, seed: int) -> None:
    """Nodes that drain, are in repair or were taken are not available, and their jobs wait again."""
    layout = CodecLayout(max_pools=3, window_slots=4, max_hold_seconds=1800.0)
    pools = (
        PoolConfig("a", max_nodes=4, failures=FailureConfig(6000.0, 900.0, 0.5)),
        PoolConfig("b", max_nodes=4, min_nodes=1, spot=SpotConfig(5000.0, 120.0, 1200.0)),
    )
    trace = make_trace(seed, 60, checkpointed=0.8)
    problem = make_problem(trace, ClusterConfig(pools), EnvironmentConfig(codec=layout))
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    assert run(simulator, make_baseline(policy, layout, seed), layout) > 50
    assert sum(totals.node_failures for totals in simulator.totals) >= 3
    assert sum(totals.spot_reclaims for totals in simulator.totals) >= 3
    assert sum(totals.preemptions for totals in simulator.totals) >= 3


@pytest.mark.parametrize("policy", ["reactive", "random"])
@pytest.mark.parametrize("window_slots", [0, 2])
@pytest.mark.parametrize("placement", ["cost", "order", "balanced"])
def test_the_same_while_jobs_overflow(policy: str, window_slots: int, placement: str) -> None:
    """Pools that are full, whose boots fail, or that lose nodes; and where each job behind the window goes."""
    layout = CodecLayout(
        max_pools=3,
        window_slots=window_slots,
        balance_similar_pools=placement == "balanced",
        cost_aware_placement=placement == "cost",
    )
    boot = BootConfig(failure_probability=0.5, timeout_seconds=200.0, backoff_seconds=300.0)
    pools = (
        PoolConfig("a", max_nodes=3, boot=boot),
        PoolConfig("b", max_nodes=2, min_nodes=1, failures=FailureConfig(6000.0, 900.0, 0.5)),
        PoolConfig("c", max_nodes=3, usd_per_node_hour=2.0 if placement == "cost" else 0.0),
    )
    problem = make_problem(make_trace(4, 80), ClusterConfig(pools), EnvironmentConfig(codec=layout))
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    assert run(simulator, make_baseline(policy, layout, 0), layout) > 50
    assert all(totals.used_milli_ms > 0 for totals in simulator.totals)
    assert simulator.totals[0].boot_failures >= 3


@pytest.mark.parametrize("policy", ["reactive", "random"])
def test_the_same_with_what_jobs_say_of_themselves(policy: str) -> None:
    """Expected run time, priority and slack, also after the latest start, and what may then be held."""
    layout = CodecLayout(max_pools=3, window_slots=4, max_hold_seconds=600.0, job_hints=True)
    plain = make_trace(3, 60)
    submit = plain.submit_time_seconds
    trace = Trace.from_columns(
        {
            "submit_time_seconds": submit,
            "duration_seconds": plain.duration_seconds,
            "gpu_milli": plain.gpu_milli,
            "priority": [index % 5 - 1 for index in range(60)],
            "predicted_duration_seconds": [7.5 * index if index % 3 else None for index in range(60)],
            "latest_start_seconds": [at + 900.0 if index % 2 else None for index, at in enumerate(submit)],
        }
    )
    config = EnvironmentConfig(codec=layout, physics=PhysicsConfig(queue=QueueConfig(deferral=True)))
    problem = make_problem(trace, ClusterConfig(CLUSTERS["one pool from zero"]), config)
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    assert run(simulator, make_baseline(policy, layout, 0), layout) > 50


def run(simulator: ToldSimulator, acting: Policy, layout: CodecLayout) -> int:
    """Play the whole trace and compare every decision; return how many there were."""
    simulator.reset(0, NEVER, simulator.problem.num_jobs)
    decider = make_decider("reactive", layout)
    decisions = 0
    while not simulator.done:
        view, snapshot = check(simulator, decider)
        action = acting.act(simulator.observation[None], simulator.mask[None])[0]
        decision = decider.decode(action, snapshot)
        simulator.live.decided(decision, view)
        simulator.step(action)
        for name in Decision._fields:
            assert getattr(decision, name).tobytes() == getattr(simulator.decision, name).tobytes(), name
        decisions += 1
    return decisions
