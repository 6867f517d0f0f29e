"""Parity: at the same state, the simulator and the live observer give the same bits to every policy.

The plain twin of the simulator runs a trace; whatever happens in it is told to the live store as the API server would
tell it, at the same moment. At every decision, snapshot, observation, mask and decision must be equal.
"""

from typing import Any

import numpy as np
import pytest

from agents.registry import make_baseline
from autoscaler.live.clock import ManualClock
from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.decide import Decider, make_decider
from autoscaler.live.observe.snapshot import fill_snapshot
from autoscaler.live.observe.submissions import Submissions
from autoscaler.live.observe.view import ViewBuilder
from autoscaler.live.parse import Parser
from autoscaler.live.store import Resource, Store
from envs.cluster import ClusterConfig, PoolConfig
from envs.codec import ClusterSnapshot, CodecLayout, Pool
from envs.config import EnvironmentConfig
from envs.simulator.problem import Problem, make_problem
from envs.simulator.reference import Job, Node, ReferenceSimulator, Running
from envs.simulator.state import NEVER
from tests.live import raw
from traces.trace import Trace

MONDAY = 1_699_833_600.0  # 2023-11-13 00:00 UTC, where the trace's second 0 lies
GPUS = 8


def make_trace(seed: int, jobs: int) -> Trace:
    """Gangs whose pods are all alike, as an Indexed Job has them."""
    generator = np.random.default_rng(seed)
    gpus = generator.choice([1, 2, 4, 8, 16, 24], jobs, p=[0.3, 0.2, 0.2, 0.15, 0.1, 0.05])
    return Trace.from_columns(
        submit_time_seconds=np.sort(np.round(generator.uniform(0.0, 7200.0, jobs), 3)),
        duration_seconds=np.round(generator.exponential(1200.0, jobs) + 1.0, 3),
        gpu_milli=gpus * 1000,
    )


class LiveTwin:
    """The live observer, told what happens in a simulated cluster."""

    def __init__(self, problem: Problem, layout: CodecLayout) -> None:
        pools = tuple(
            LivePool(
                name=pool.name,
                max_nodes=pool.max_nodes,
                min_nodes=pool.min_nodes,
                gpus_per_node=pool.gpus_per_node,
                boot_seconds=pool.boot_seconds,
                idle_node_watts=float(problem.template[index, Pool.IDLE_NODE_WATTS]),
                busy_gpu_watts=float(problem.template[index, Pool.BUSY_GPU_WATTS]),
                usd_per_kwh=float(problem.template[index, Pool.USD_PER_KWH]),
            )
            for index, pool in enumerate(problem.cluster.pools)
        )
        self.config = LiveConfig(pools, codec=layout, usd_per_gpu_hour=problem.config.objective.usd_per_gpu_hour)
        self.clock = ManualClock(MONDAY)
        self.store = Store(Parser(self.config, self.clock), self.clock)
        self.views = ViewBuilder(self.config, self.clock)
        self.submissions = Submissions(self.clock.now())
        self.names: dict[int, str] = {}  # a simulated node that is on -> the name of its Node
        self.ordered = 0

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
            node = self.names[id(nodes[index])] if nodes else None
            state = {"phase": phase} if phase else {}
            pod = raw.pod(
                f"{name_of(job)}-{index}", job.milli // 1000 // count, node, job=name_of(job), created=MONDAY, **state
            )
            self.store.apply(Resource.PODS, kind, pod)

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
        pool = self.config.pools[node.pool].name
        return raw.node(self.names[id(node)], pool, GPUS if ready else None, ready, created=self.clock.now() // 1.0)

    def snapshot(self) -> ClusterSnapshot:
        view, submitted = self.views.build(self.store.contents())
        self.submissions.note(submitted, view.now_seconds)
        return fill_snapshot(view, self.submissions, self.config)


def name_of(job: Job) -> str:
    return f"j{job.number:05d}"


class ToldSimulator(ReferenceSimulator):
    """The plain twin, which tells a live observer whatever happens."""

    def __init__(self, problem: Problem, live: LiveTwin) -> None:
        super().__init__(problem)
        self.live = live

    def _become_idle(self, node: Node) -> None:
        self.live.at(self.now)
        before = node.state
        super()._become_idle(node)
        if before == "off":  # a node of the minimum, on from the start
            self.live.order(node)
        if before != "on":
            self.live.ready(node)

    def _start(self, job: Job, pool: int) -> bool:
        started = super()._start(job, pool)
        if started:
            self.live.at(self.now)
            self.live.pods("MODIFIED", job, [node for node, _ in self.running[-1].parts])
        return started

    def _finish(self, run: Running) -> None:
        self.live.at(self.now)
        self.live.pods("MODIFIED", run.job, [node for node, _ in run.parts], "Succeeded")
        super()._finish(run)

    def _submit(self) -> None:
        self.live.at(self.now)
        before = self.next_job
        super()._submit()
        for job in self.trace[before : self.next_job]:
            self.live.submit(job)

    def _scale(self, pool: int, target: int) -> None:
        before = {id(node): node.state for node in self.nodes}
        super()._scale(pool, target)
        self.live.at(self.now)
        for node in self.nodes:
            if before[id(node)] == "off" and node.state == "booting":
                self.live.order(node)
            elif before[id(node)] == "on" and node.state == "off":
                self.live.remove(node)


def check(simulator: ToldSimulator, decider: Decider) -> ClusterSnapshot:
    """Everything that a policy sees, bit by bit."""
    simulator.live.at(simulator.now)
    snapshot = simulator.live.snapshot()
    for name in ClusterSnapshot._fields:
        expected, found = getattr(simulator.snapshot, name), getattr(snapshot, name)
        assert found.tobytes() == expected.tobytes(), (simulator.now, name, expected, found)
    decided = decider.decide(snapshot)
    assert decided.observation.tobytes() == simulator.observation.tobytes()
    assert decided.mask.tobytes() == simulator.mask.tobytes()
    return snapshot


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
    simulator = ToldSimulator(problem, LiveTwin(problem, layout))
    simulator.reset(0, NEVER, problem.num_jobs)
    decider = make_decider("reactive", layout)
    acting = make_baseline(policy, layout, seed)
    decisions = 0
    while not simulator.done:
        snapshot = check(simulator, decider)
        action = acting.act(simulator.observation[None], simulator.mask[None])[0]
        decision = decider.decode(action, snapshot)
        simulator.step(action)
        assert decision.target_nodes.tobytes() == simulator.decision.target_nodes.tobytes()
        assert decision.placement.tobytes() == simulator.decision.placement.tobytes()
        decisions += 1
    assert decisions > 50
