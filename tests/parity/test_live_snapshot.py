"""Parity: at the same state, the simulator and the live observer give the same bits to every policy.

The reference simulator runs a trace; whatever happens in it is told to the live store as the API server would
tell it, at the same moment. At every decision, snapshot, observation, mask and decision must be equal.
"""

from itertools import pairwise

import numpy as np
import pytest

from agents.baselines import ConstantSetpoint
from agents.policy import Policy
from agents.registry import make_baseline
from autoscaler.live.policy.decide import make_decider
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import (
    CONSOLIDATION_CHOICES,
    RESERVE_NODES,
    SUSPENSION_CHOICES,
    CodecLayout,
    Decision,
    PoolSignal,
    Signal,
    fingerprint,
    signal_row,
)
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.lifecycle import BootConfig, FailureConfig, SpotConfig
from envs.gpu_cluster.placement import PriceSlopes
from envs.gpu_cluster.regions import RegionConfig, SignalConfig
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from envs.gpu_cluster.simulator.state import NEVER
from envs.gpu_cluster.transfer import TransferConfig
from tests.parity.live_side import LiveSide, ToldSimulator, check, make_trace, tell_live
from traces.signals import Forecaster, make_forecaster
from traces.trace import Trace

__all__ = ["tell_live"]


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


WEIGHTS = (0.3, 0.2, 0.2, 0.2, 0.1)

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


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_where_submissions_are_remembered_by_user(seed: int) -> None:
    """Jobs in batches, of some users; a memory of weeks, of which no window knows the beginning any more."""
    layout, generator = CodecLayout(max_pools=3, window_slots=4, arrival_features=True), np.random.default_rng(seed)
    plain = make_trace(seed, 90)
    trace = Trace.from_columns(
        {
            "submit_time_seconds": np.cumsum(generator.choice([1.0, 20.0, 59.0, 900.0, 30_000.0], 90, p=WEIGHTS)),
            "duration_seconds": plain.duration_seconds,
            "gpu_milli": plain.gpu_milli,
            "user": generator.choice(["ann", "bob", "eve"], 90).tolist(),
        }
    )
    problem = make_problem(trace, ClusterConfig(CLUSTERS["one pool from zero"]), EnvironmentConfig(codec=layout))
    assert trace.span_seconds > 2 * 86_400.0
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    assert run(simulator, make_baseline("reactive", layout), layout) > 50
    assert simulator.snapshot.signals[Signal.FADING_JOBS_604800S] > 10.0


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
        PoolConfig(
            "b",
            max_nodes=2,
            min_nodes=1,
            failures=FailureConfig(6000.0, 900.0, 0.5),
            placement_usd_per_node_hour=1.0 if placement == "cost" else 0.0,
            placement_slopes=PriceSlopes(2.0, -1.0, 0.5, 1.5, -0.5, 3.0) if placement == "cost" else PriceSlopes(),
        ),
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


@pytest.mark.parametrize("placement", ["cost", "order"])
@pytest.mark.parametrize("policy", ["reactive", "random"])
def test_the_same_where_the_data_of_jobs_are_in_other_regions(policy: str, placement: str) -> None:
    """In two regions, and in one of each of two pools that take other times and prices for a GB."""
    layout = CodecLayout(
        max_pools=3, window_slots=4, data_transfer=True, cost_aware_placement=placement == "cost", signals=True
    )
    pools = (
        PoolConfig("a", 3, 1, boot_seconds=90.0, region="west"),
        PoolConfig("b", 5, boot_seconds=301.5, region="east", transfer=TransferConfig(2.5, 0.01, 0.02)),
        PoolConfig("c", 2, boot_seconds=60.0, transfer=TransferConfig(0.5)),
    )
    plain = make_trace(7, 80)
    data = {
        "data_gb": [(None, 0.0004, 12.3456, 900.0)[index % 4] for index in range(80)],
        "data_region": [(None, "west", "east")[index % 3] for index in range(80)],
    }
    trace = Trace.from_columns({**{name: plain.table[name] for name in plain.table.column_names}, **data})
    config = EnvironmentConfig(codec=layout, regions=(RegionConfig("west"), RegionConfig("east")))
    problem = make_problem(trace, ClusterConfig(pools), config)
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    assert run(simulator, make_baseline(policy, layout, 0), layout) > 50
    assert sum(totals.transferred_mb for totals in simulator.totals) > 0


@pytest.mark.parametrize("policy", ["suspend", "random"])
def test_the_same_while_jobs_are_suspended_and_go_on(policy: str) -> None:
    """Which jobs may be, those that are, until when at most, and that the guardrails suspend the same ones so long."""
    layout = CodecLayout(max_pools=3, window_slots=4, suspension=True, job_hints=True)
    plain = make_trace(8, 50, checkpointed=0.7)
    submit, seconds = plain.submit_time_seconds, plain.duration_seconds
    says = {
        "flexibility": [3 if index % 5 else 1 for index in range(50)],
        "predicted_duration_seconds": [None if index % 4 == 3 else 1.1 * seconds[index] for index in range(50)],
        "latest_start_seconds": [at + 1800.0 if index % 3 == 1 else None for index, at in enumerate(submit)],
        "deadline_seconds": [
            at + seconds[index] + 2400.0 if index % 3 == 2 else None for index, at in enumerate(submit)
        ],
    }
    trace = Trace.from_columns({**{name: plain.table[name] for name in plain.table.column_names}, **says})
    physics = PhysicsConfig(max_suspend_seconds=900.0, queue=QueueConfig(deferral=True))
    pools = ClusterConfig(CLUSTERS["two pools, one with a minimum"])
    problem = make_problem(trace, pools, EnvironmentConfig(codec=layout, physics=physics))
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    suspends = ConstantSetpoint(layout, suspension=SUSPENSION_CHOICES.index("suspend"))
    assert run(simulator, suspends if policy == "suspend" else make_baseline("random", layout, 0), layout) > 50
    assert sum(totals.suspensions for totals in simulator.totals) >= 15


@pytest.mark.parametrize("policy", ["constant", "random"])
def test_the_same_with_reserves_in_nodes(policy: str) -> None:
    """Which one is in force, how long it is held, and the nodes that it wants."""
    layout = CodecLayout(max_pools=3, window_slots=2, reserve_nodes=True)
    pools = ClusterConfig(CLUSTERS["two pools, one with a minimum"])
    problem = make_problem(make_trace(9, 50), pools, EnvironmentConfig(codec=layout))
    simulator = ToldSimulator(problem, LiveSide(problem, layout))
    keeps = ConstantSetpoint(layout, 60.0, 0.0, reserve_nodes=RESERVE_NODES.index(2))
    assert run(simulator, keeps if policy == "constant" else make_baseline("random", layout, 0), layout) > 50
    assert max(simulator.reserves) > 0


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
