"""Metrics of tiny runs against numbers that are worked out by hand."""

from __future__ import annotations

import math

import pytest

from agents.baselines import ConstantSetpoint
from agents.registry import make_baseline
from autoscaler.evaluation.metrics import INCIDENTS, Measures, measure, nested
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import Window, whole_trace, window_between
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from tests.evaluation.worlds import FAILS, FAILS_TO_BOOT, IS_RECLAIMED, lossy, one_pool, scenario
from traces.trace import Trace

BUSY_GPU_WATTS = 305.6 + 300.0 / 8  # a GPU at work and its share of the host
UNUSED_GPU_WATTS = 34.8 + 300.0 / 8
IDLE_NODE_WATTS = 300.0 + 8 * 34.8


def kwh(watts: float, seconds: float) -> float:
    return watts * seconds / 3.6e6


def measured(world: Scenario, window: Window | None = None) -> Measures:
    window = window or whole_trace(world.trace)
    return measure(run(ConstantSetpoint(world.config.codec), world, [window])[0], world.problem())


def test_one_job_waits_for_a_node_and_runs() -> None:
    """0 s: 8 GPUs for 600 s are requested, a node is ordered. 300 s: it is ready, the job starts. 900 s: the end."""
    got = measured(scenario([(0.0, 600.0, 8.0)]))
    assert got["energy_kwh.busy"] == pytest.approx(kwh(8 * BUSY_GPU_WATTS, 600), rel=1e-12)
    assert got["energy_kwh.boot"] == pytest.approx(kwh(IDLE_NODE_WATTS, 300), rel=1e-12)
    assert got["energy_kwh.fragmentation"] == got["energy_kwh.idle"] == got["energy_kwh.off"] == 0.0
    assert got["energy_kwh.total"] == got["energy_kwh.busy"] + got["energy_kwh.boot"]
    assert got["metrics.waited_gpu_hours"] == pytest.approx(8 * 300 / 3600, rel=1e-12)
    # 0.15 USD a kWh, 1 USD an hour of waiting of one GPU
    assert got["objective_usd"] == pytest.approx(0.15 * got["energy_kwh.total"] + 1.0 * 8 / 12, rel=1e-12)
    assert got["metrics.wait_seconds.mean"] == got["metrics.wait_seconds.p99"] == 300.0
    assert got["metrics.jct_seconds.p50"] == 900.0
    assert got["metrics.bounded_slowdown.mean"] == 1.5  # 900 / 600
    assert got["metrics.node_hours"] == 900 / 3600  # 300 s boot, 600 s busy
    assert got["metrics.node_hours_lower_bound"] == got["metrics.node_hours_floor"] == 600 / 3600
    assert got["metrics.node_hours_over_bound"] == 1.5
    assert got["metrics.utilization"] == pytest.approx(600 / 900)
    assert got["metrics.gpu_hours_requested"] == got["metrics.gpu_hours_done"] == pytest.approx(8 * 600 / 3600)
    assert (got["metrics.jobs_submitted"], got["metrics.jobs_finished"], got["metrics.jobs_unfinished"]) == (1, 1, 0)
    assert got["metrics.hours"] == 0.25
    assert got["metrics.scale_ups_per_hour"] == 4.0  # 1 in a quarter of an hour
    assert got["metrics.scale_downs_per_hour"] == 0.0
    assert (got["metrics.nodes_added"], got["metrics.nodes_removed"]) == (1, 0)
    # at 0 s and 300 s; the job ends at 900 s, when the next decision would be
    assert got["metrics.decisions"] == 2


def test_percentiles_lie_between_waits() -> None:
    """Jobs of 4 GPUs at 0 s and 100 s start when the node is ready at 300 s: waits 300 s and 200 s."""
    got = measured(scenario([(0.0, 600.0, 4.0), (100.0, 600.0, 4.0)]))
    assert got["metrics.wait_seconds.mean"] == got["metrics.wait_seconds.p50"] == 250.0
    assert got["metrics.wait_seconds.p95"] == pytest.approx(295.0)
    assert got["metrics.wait_seconds.p99"] == pytest.approx(299.0)


def test_slowdown_of_a_very_short_job_is_bounded() -> None:
    """A job of 2 s that waits 300 s: (300 + 2) / 10, not / 2."""
    got = measured(scenario([(0.0, 2.0, 1.0)]))
    assert got["metrics.bounded_slowdown.mean"] == pytest.approx(30.2)


def test_a_job_that_runs_before_the_window_counts_as_energy_but_not_as_a_wait() -> None:
    """From 500 s: 4 GPUs run until 1,000 s on one node, 4 more from 600 s to 700 s on the same node."""
    world = scenario([(0.0, 1000.0, 4.0), (600.0, 100.0, 4.0)])
    got = measured(world, window_between(world.trace, 500_000, 700_000))
    assert got["metrics.jobs_submitted"] == got["metrics.jobs_finished"] == 1
    assert got["metrics.wait_seconds.mean"] == 0.0
    assert got["metrics.jct_seconds.mean"] == 100.0
    assert got["energy_kwh.busy"] == pytest.approx(kwh(BUSY_GPU_WATTS, 4 * 500 + 4 * 100), rel=1e-12)
    assert got["energy_kwh.fragmentation"] == pytest.approx(kwh(UNUSED_GPU_WATTS, 4 * 500 - 4 * 100), rel=1e-12)
    assert got["metrics.node_hours"] == got["metrics.node_hours_lower_bound"] == 500 / 3600
    assert got["metrics.gpu_hours_requested"] == got["metrics.gpu_hours_done"] == pytest.approx(2400 / 3600)
    assert got["metrics.hours"] == pytest.approx(500 / 3600)


def test_energy_parts_sum_to_the_total() -> None:
    got = measured(scenario([(0.0, 600.0, 3.0), (50.0, 5000.0, 1.0), (4000.0, 60.0, 8.0)]))
    parts = [got[f"energy_kwh.{name}"] for name in ("busy", "fragmentation", "idle", "boot", "off")]
    assert sum(parts) == got["energy_kwh.total"]
    unknown = {name for name, value in got.items() if not math.isfinite(value)}
    assert unknown <= {name for name in got if name.startswith("references.")}


def moving(jobs: list[tuple[float, float, float]], move_seconds: float) -> Measures:
    """Jobs that can all be moved, consolidated whenever it is possible."""
    columns = {"checkpoint_interval_seconds": [60.0] * len(jobs)}
    trace = Trace.from_columns(
        {
            "submit_time_seconds": [job[0] for job in jobs],
            "duration_seconds": [job[1] for job in jobs],
            "gpu_milli": [round(job[2] * 1000) for job in jobs],
            **columns,
        }
    )
    codec = CodecLayout(max_pools=1, window_slots=0, consolidation=True, consolidation_interval_seconds=60.0)
    world = Scenario(trace, one_pool(), EnvironmentConfig(codec=codec, move_seconds=move_seconds))
    policy = make_baseline("consolidating", codec)
    return measure(run(policy, world, [whole_trace(trace)])[0], world.problem())


def test_a_move_is_counted_delays_its_job_and_costs() -> None:
    """6 + 2 GPUs fill a node and 3 lie on another; when the 6 end, one of the two nodes is emptied onto the other."""
    jobs = [(0.0, 1000.0, 6.0), (0.0, 9000.0, 2.0), (0.0, 9000.0, 3.0)]
    got, free = moving(jobs, 100.0), moving(jobs, 0.0)
    assert got["metrics.moves"] == free["metrics.moves"] == 1
    assert got["metrics.moves_per_job"] == pytest.approx(1 / 3)
    assert free["metrics.overhead_gpu_hours"] == 0.0
    gpus = got["metrics.overhead_gpu_hours"] * 36.0  # 100 s each
    assert gpus in (pytest.approx(2.0), pytest.approx(3.0))
    assert got["metrics.jct_seconds.mean"] - free["metrics.jct_seconds.mean"] == pytest.approx(100 / 3)
    assert got["metrics.gpu_hours_done"] == pytest.approx(got["metrics.gpu_hours_requested"])
    delayed = got["metrics.waited_gpu_hours"] + got["metrics.overhead_gpu_hours"]
    assert got["objective_usd"] == pytest.approx(0.15 * got["energy_kwh.total"] + 1.0 * delayed, rel=1e-12)
    assert got["metrics.node_hours_busy"] < got["metrics.node_hours"]


def incidents(got: Measures) -> dict[str, float]:
    """What happened, without what did not."""
    return {name.removeprefix("metrics."): got[name] for name in INCIDENTS if got[name]}


def test_a_failure_is_counted_with_what_it_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs from 300 to 1300, when 800 s are saved; repaired at 1900, ready at 2200, restarted at 2260, 700 s to go."""
    got = measured(lossy(monkeypatch, **FAILS))
    assert incidents(got) == {
        "node_failures": 1,
        "node_hours_unavailable": 600 / 3600,
        "preemptions": 1,
        "lost_gpu_hours": 2 * 200 / 3600,
        "deadline_misses": 1,
    }
    assert got["metrics.overhead_gpu_hours"] == pytest.approx(2 * (200 + 60) / 3600)
    assert got["metrics.node_hours"] == pytest.approx((300 + 1000 + 300 + 760) / 3600)


def test_a_reclaim_is_counted_and_with_notice_no_work_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    got = measured(lossy(monkeypatch, **IS_RECLAIMED))
    assert incidents(got) == {
        "spot_reclaims": 1,
        "node_hours_unavailable": 600 / 3600,
        "preemptions": 1,
        "deadline_misses": 1,
    }


def test_failed_boots_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    got = measured(lossy(monkeypatch, **FAILS_TO_BOOT))
    assert got["metrics.boot_failures"] == got["metrics.nodes_added"] - 1 > 0
    assert got["metrics.wait_seconds.mean"] == 300 + 100 * got["metrics.boot_failures"]


def test_in_a_plain_world_nothing_of_the_kind_happens() -> None:
    assert incidents(measured(scenario([(0.0, 600.0, 8.0)]))) == {}


def test_dotted_names_become_objects() -> None:
    assert nested({"a.b": 1, "a.c.d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
