"""Grid events: the power of a cluster is kept within a budget, whatever the policy decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traces
from configs.errors import ConfigError
from configs.loader import build_config, to_dict
from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.cluster import PoolConfig, auto_cluster
from envs.gpu_cluster.codec import POWER_CAP_FRACTIONS, CodecLayout, Pool, Signal
from envs.gpu_cluster.codec.levers import GO_ON
from envs.gpu_cluster.config import CurvesConfig, EnvironmentConfig, PhysicsConfig
from envs.gpu_cluster.grid import GridEventConfig, GridEventSource
from envs.gpu_cluster.simulator import NEVER, Simulator
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from tests.envs.gpu_cluster.builders import Job, small_problem
from tests.envs.gpu_cluster.side_by_side import both_simulators, step_both, whole

BUSY_KW = (300.0 + 8 * 305.6) / 1000.0
IDLE_KW = (300.0 + 8 * 34.8) / 1000.0
POOL = PoolConfig("gpu", max_nodes=2, min_nodes=2)
LAYOUT = CodecLayout(max_pools=1, window_slots=3, elastic_width=True, suspension=True, grid_events=True)
EVENT = {"start_seconds": 1000.0, "duration_seconds": 1000.0, "notice_seconds": 500.0, "ramp_seconds": 100.0}


def problem_of(jobs: list[Job], kw: float, tiers: list[int] | None = None, **options: Any) -> Problem:
    """Jobs on two nodes of 8 V100, one decision each 100 s, and an event from 1000 s to 2000 s."""
    columns = {
        "checkpoint_interval_seconds": [600.0] * len(jobs),
        "flexibility": tiers,
        "min_gpus": options.pop("min_gpus", None),
    }
    return small_problem(
        jobs,
        [options.pop("pool", POOL)],
        codec=LAYOUT,
        columns=columns,
        physics=PhysicsConfig(curves=CurvesConfig(power_caps=options.pop("caps", None), resize_seconds=0.0)),
        settle_seconds=100.0,
        resync_interval_seconds=100.0,
        move_seconds=0.0,
        grid_events=(GridEventConfig(power_kw=kw, **EVENT),),
        **options,
    )


class Pair:
    """Both simulators under a rule that keeps all nodes on and lets every job start."""

    def __init__(self, problem: Problem) -> None:
        self.fast, self.slow = both_simulators(problem, whole(problem))
        layout = problem.config.codec
        self._action = np.array([layout.setpoint(14400.0, 0.0), 1, 1, 1, 0, GO_ON])
        self.powers: list[tuple[float, float]] = []

    def until(self, seconds: float) -> Pair:
        """Decide until a moment; mean power of each stretch between two decisions, with its end."""
        while not self.slow.done and self.slow.now < seconds * 1000:
            before, kwh = self.slow.now, self.fast.energy().total
            step_both(self.fast, self.slow, self._action)
            hours = (self.slow.now - before) / 3.6e6
            self.powers.append((self.slow.now / 1000, (self.fast.energy().total - kwh) / hours))
        return self

    @property
    def row(self) -> np.ndarray:
        """What the snapshot says of the pool."""
        return self.slow.snapshot.pools[0]


def test_idle_nodes_go_first_even_below_the_minimum() -> None:
    pair = Pair(problem_of([(0.0, 9000.0, 4.0)], kw=1.7)).until(1100)
    assert (pair.row[Pool.IDLE_NODES], pair.row[Pool.USED_GPUS]) == (0.0, 4.0)
    assert pair.fast.excess_kw_seconds[0] == 0.0
    pair.until(2200)  # the minimum is on again after the event
    assert pair.row[Pool.BOOTING_NODES] == 1.0


def test_caps_come_before_anything_is_stopped() -> None:
    """Two busy nodes draw 5.49 kW; capped to 85 % they draw less than 5.2 kW."""
    pair = Pair(problem_of([(0.0, 9000.0, 8.0)] * 2, kw=5.2, caps="preset:V100")).until(1200)
    assert POWER_CAP_FRACTIONS[int(pair.row[Pool.POWER_CAP])] < 1.0
    assert pair.row[Pool.USED_GPUS] == 16.0
    assert pair.powers[-1][1] <= 5.2
    assert pair.fast.pool_totals()[0].suspensions == pair.fast.pool_totals()[0].resizes == 0
    pair.until(2200)  # the cap goes with the event, for the policy chose none
    assert pair.row[Pool.POWER_CAP] == 0.0


def test_elastic_jobs_are_narrowed_before_any_is_suspended() -> None:
    kw = 2 * BUSY_KW - 3 * (305.6 - 34.8) / 1000.0
    pair = Pair(problem_of([(0.0, 9000.0, 8.0)] * 2, kw=kw, min_gpus=[5, 5])).until(1200)
    assert pair.row[Pool.USED_GPUS] == 13.0
    assert pair.fast.pool_totals()[0].suspensions == 0


def test_the_job_with_the_most_gpus_is_suspended_and_goes_on_after_the_event() -> None:
    pair = Pair(problem_of([(0.0, 9000.0, 4.0), (0.0, 9000.0, 8.0)], kw=1.7)).until(1200)
    assert (pair.row[Pool.USED_GPUS], pair.row[Pool.SUSPENDED_GPUS]) == (4.0, 8.0)
    assert pair.row[Pool.NEXT_RESUME_SECONDS] == 800.0
    assert pair.powers[-1][1] <= 1.7
    pair.until(9900)
    assert pair.row[Pool.USED_GPUS] > 0.0
    assert pair.fast.finished_jobs[0] >= 1


@pytest.mark.parametrize("tier", [0, 1, 2])
def test_a_job_below_tier_3_is_not_suspended_and_the_excess_is_reported(tier: int) -> None:
    """It draws 2.74 kW of 1 kW, from the end of the ramp at 1100 s to the end of the event."""
    pair = Pair(problem_of([(0.0, 9000.0, 8.0)], kw=1.0, tiers=[tier])).until(2500)
    assert pair.fast.pool_totals()[0].suspensions == 0
    assert pair.fast.excess_kw_seconds[0] == pytest.approx((BUSY_KW - 1.0) * 900.0, rel=1e-6)


def test_a_job_of_tier_0_is_not_capped_and_one_of_tier_1_is() -> None:
    jobs, tiers = [(0.0, 9000.0, 8.0)] * 2, [0, 1]
    pair = Pair(problem_of(jobs, kw=0.5, tiers=tiers, caps="preset:V100")).until(1200)
    saved = {run.job.number: run.saved_milli for run in pair.slow.running}
    assert saved[0] == 0
    assert saved[1] > 0


def test_nothing_starts_that_would_break_the_budget_and_what_fits_does() -> None:
    """The budget leaves room for two more GPUs on the idle node, or for one, but not for four."""
    kw = 2 * IDLE_KW + 3 * (305.6 - 34.8) / 1000.0
    pair = Pair(problem_of([(1050.0, 9000.0, 4.0), (1050.0, 9000.0, 2.0)], kw=kw)).until(1300)
    assert pair.row[Pool.USED_GPUS] == 2.0
    assert pair.fast.waiting_jobs[0] == 1
    assert pair.until(2300).row[Pool.USED_GPUS] == 6.0


def test_from_its_notice_on_no_node_is_ordered_that_the_budget_has_no_power_for() -> None:
    pool = PoolConfig("gpu", max_nodes=4, boot_seconds=300.0)
    jobs = [(0.0, 9000.0, 8.0), (600.0, 9000.0, 8.0)]
    pair = Pair(problem_of(jobs, kw=BUSY_KW + IDLE_KW / 2, pool=pool)).until(900)
    assert (pair.row[Pool.BUSY_NODES], pair.row[Pool.BOOTING_NODES]) == (1.0, 0.0)
    assert pair.until(2200).row[Pool.BOOTING_NODES] == 1.0


def test_the_policy_is_told_of_notice_budget_and_time_left() -> None:
    pair = Pair(problem_of([(0.0, 9000.0, 8.0)], kw=2.0, tiers=[0])).until(400)
    signals = pair.slow.snapshot.signals
    assert signals[Signal.POWER_WATTS] == pytest.approx(1000.0 * (BUSY_KW + IDLE_KW))
    assert signals[Signal.BUDGET_KNOWN] == signals[Signal.BUDGET_WATTS] == 0.0
    signals = pair.until(500).slow.snapshot.signals
    assert signals[Signal.BUDGET_KNOWN : Signal.BUDGET_ENDS_SECONDS + 1].tolist() == [1.0, 2000.0, 500.0, 1500.0]
    signals = pair.until(1100).slow.snapshot.signals
    assert signals[Signal.BUDGET_KNOWN : Signal.BUDGET_ENDS_SECONDS + 1].tolist() == [1.0, 2000.0, 0.0, 900.0]
    assert pair.until(2000).slow.snapshot.signals[Signal.BUDGET_KNOWN] == 0.0


def random_events(generator: np.random.Generator, count: int) -> tuple[GridEventConfig, ...]:
    """Events after each other."""
    events, end = [], 0.0
    for _ in range(count):
        start = end + round(float(generator.exponential(1500.0)), 3)
        event = GridEventConfig(
            start_seconds=start,
            duration_seconds=100.0 + round(float(generator.exponential(2000.0)), 3),
            fraction=round(float(generator.random()), 3),
            notice_seconds=float(generator.choice([0.0, 600.0, 3600.0])),
            ramp_seconds=60.0,
        )
        events.append(event)
        end = event.end_seconds
    return tuple(events)


def random_world(seed: int, events: int) -> Problem:
    """Jobs of tier 0 and 3 on two pools with boots, and events."""
    generator = np.random.default_rng(seed)
    submit = np.sort(generator.random(120) * 1500.0 * events).tolist()
    jobs = [(at, float(generator.exponential(3000.0)) + 1.0, float(generator.choice([0.5, 1, 2, 8]))) for at in submit]
    columns = {
        "checkpoint_interval_seconds": [600.0] * len(jobs),
        "flexibility": generator.choice([0, 3, 3, 3], len(jobs)),
    }
    pools = [
        PoolConfig("a", max_nodes=4, boot_seconds=float(generator.choice([0.0, 300.0]))),
        PoolConfig("b", max_nodes=6, min_nodes=1, gpus_per_node=4, boot_seconds=120.0),
    ]
    codec = CodecLayout(max_pools=2, window_slots=4, suspension=True)
    return small_problem(
        jobs, pools, codec=codec, columns=columns, settle_seconds=1.0, grid_events=random_events(generator, events)
    )


@pytest.mark.slow
def test_after_the_ramp_of_1000_random_events_the_power_is_within_the_budget_or_nothing_may_be_touched() -> None:
    """Under random actions. What may not be touched: jobs of tier 0, and nodes that still boot."""
    seen = met = 0
    for seed in range(50):
        problem = random_world(seed, 20)
        simulator, generator = Simulator.from_problem(problem), np.random.default_rng(seed)
        simulator.reset_all()
        starts = problem.events[:, 2].tolist()
        seen += len(starts)
        excess = 0.0
        while not simulator.is_done() and simulator.time_ms[0] < problem.events[-1, 3]:
            before, kwh = int(simulator.time_ms[0]), simulator.energy().total
            simulator.step(generator.integers(problem.config.codec.action_sizes)[None])
            now = int(simulator.time_ms[0])
            budget_kw = [row[4] / 1e9 for row in problem.events.tolist() if row[2] <= before and now <= row[3]]
            if not budget_kw or now == before:
                continue
            kw = (simulator.energy().total - kwh) / ((now - before) / 3.6e6)
            if kw <= budget_kw[0] * (1 + 1e-9) + 1e-9:
                met += 1
                continue
            excess += kw - budget_kw[0]
            times = simulator.job_times()
            untouched = (times.start_ms <= now) & (times.end_ms == NEVER) & (problem.flexibility == 0)
            assert simulator.running_jobs[0] == untouched.sum()
        assert (excess > 0.0) <= (simulator.excess_kw_seconds[0] > 0.0)
    assert seen == 1000
    assert met > 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"power_kw": None}, "power_kw is None and fraction is None; give one of them"),
        ({"fraction": 0.5}, "give one of them"),
        ({"power_kw": None, "fraction": 1.5}, "fraction is 1.5"),
        ({"duration_seconds": 100.0}, "duration_seconds is 100"),
        ({"start_seconds": -1.0}, "start_seconds is -1"),
    ],
)
def test_an_event_without_meaning_is_refused(change: dict[str, float | None], message: str) -> None:
    with pytest.raises(EnvironmentConfigError, match=message):
        GridEventConfig(**{**EVENT, "power_kw": 5.0, **change})  # type: ignore[arg-type]


def test_events_must_follow_each_other_and_leave_time_for_a_decision() -> None:
    event = GridEventConfig(**EVENT, power_kw=5.0)
    with pytest.raises(EnvironmentConfigError, match="starts at 1000 s, before the one in front of it ends at 2000 s"):
        EnvironmentConfig(grid_events=(event, event))
    with pytest.raises(EnvironmentConfigError, match=r"ramp_seconds is 100, .* settle_seconds \(200\)"):
        EnvironmentConfig(settle_seconds=200.0, grid_events=(event,))


def file_of_events(folder: Path) -> str:
    """Three events of 2017: one before the trace below, one that is on when it begins, and one within it."""
    rows = [
        "2017-09-30 01:00,2017-09-30 02:00,9",
        "2017-09-30 23:00,2017-10-01 01:00,8",
        "2017-10-01 05:00,2017-10-01 06:30,7",
    ]
    (folder / "events.csv").write_text("\n".join(["start,end,kw", *rows]) + "\n")
    return f"csv-grid-events:{folder}/events.csv?power_kw=kw&notice_hours=2"


def test_the_events_of_a_file_stand_in_the_time_of_the_trace(tmp_path: Path) -> None:
    trace = traces.load("synthetic:quickstart?days=1&seed=0")
    dated = replace(trace, metadata=replace(trace.metadata, start_time=datetime.fromisoformat("2017-10-01")))
    source = GridEventSource(file_of_events(tmp_path), ramp_seconds=60.0)
    first, second = make_problem(dated, auto_cluster(dated), EnvironmentConfig(grid_events=source)).config.grid_events
    assert (first.start_seconds, first.duration_seconds, first.power_kw) == (0.0, 3600.0, 8.0)
    assert (second.start_seconds, second.duration_seconds, second.power_kw) == (18000.0, 5400.0, 7.0)
    assert (second.notice_seconds, second.ramp_seconds) == (7200.0, 60.0)
    moved = replace(source, start="2017-10-01T05:30:00Z")
    (only,) = moved.load(trace)
    assert (only.start_seconds, only.duration_seconds) == (0.0, 3600.0)


def test_events_that_no_trace_meets_are_refused_with_both_spans(tmp_path: Path) -> None:
    trace = traces.load("synthetic:quickstart?days=1&seed=0")
    uri = file_of_events(tmp_path)
    with pytest.raises(EnvironmentConfigError, match="the trace has no dates, so nothing says when it begins"):
        GridEventSource(uri).load(replace(trace, metadata=replace(trace.metadata, start_time=None)))
    with pytest.raises(EnvironmentConfigError, match=r"2017-09-30.* to 2017-10-01.*, and the trace runs from 2020"):
        GridEventSource(uri, start="2020-01-01").load(trace)
    with pytest.raises(EnvironmentConfigError, match="write it as 2022"):
        GridEventSource(uri, start="monday")


def test_an_experiment_may_name_a_file_of_events(tmp_path: Path) -> None:
    events = {"uri": file_of_events(tmp_path), "start": "2017-10-01T00:00:00Z"}
    loaded = build_config({"grid_events": events}, EnvironmentConfig)
    assert loaded.grid_events == GridEventSource(**events)
    assert build_config(to_dict(loaded), EnvironmentConfig) == loaded
    with pytest.raises(ConfigError, match="did you mean 'start'"):
        build_config({"grid_events": {**events, "strat": 1}}, EnvironmentConfig)
