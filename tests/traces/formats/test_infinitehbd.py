"""Faults of machines."""

import json
from pathlib import Path

import numpy as np
import pytest

import traces
from autoscaler.cli import main
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.lifecycle import FailureConfig
from envs.gpu_cluster.simulator import draws
from traces.faults import Faults


def event(node: str, days: float, kind: str = "fault_start", cause: str = "GPU") -> dict[str, object]:
    return {"node_id": node, "event_time": days, "event_type": kind, "fault_type": {"Class": cause, "Level": "x"}}


def load(tmp_path: Path, *events: object, query: str = "") -> traces.Faults:
    (tmp_path / "x.json").write_text(json.dumps(events))
    return traces.load_faults(f"infinitehbd:{tmp_path}/x.json{query}")


def test_starts_and_ends_make_intervals_in_seconds(tmp_path: Path) -> None:
    faults = load(
        tmp_path,
        event("b", 3, "fault_end"),
        event("a", 1),
        event("b", 2, cause="NIC"),
        event("a", 2, "fault_end"),
        event("a", 1.5),
        event("a", 2.5, "fault_end"),
        event("c", 4),
    )
    assert faults.node_id == ("a", "a", "b", "c")
    assert faults.start_seconds.tolist() == [86_400, 129_600, 172_800, 345_600]
    assert faults.end_seconds.tolist() == [172_800, 216_000, 259_200, np.inf]
    assert faults.cause == ("GPU", "GPU", "NIC", "GPU")
    assert faults.summary().unrepaired == 1


def test_what_is_no_event_is_counted_or_refused(tmp_path: Path) -> None:
    events = (event("a", 1), event("a", 2, "fault_end"), event("b", 2, "fault_end"), event("c", -1), {"node_id": "d"})
    assert load(tmp_path, *events).bad_rows == {
        "it is no event of a fault": 2,
        "it ends a fault that did not start": 1,
    }
    with pytest.raises(traces.TraceValueError, match="event 4 is no event of a fault"):
        load(tmp_path, *events, query="?strict=true")
    with pytest.raises(traces.TraceValueError, match="2 machines have faults, but only 1 were observed"):
        load(tmp_path, event("a", 1), event("b", 1), query="?nodes=1&days=9")


def test_a_pool_that_fits_is_found_again_from_what_it_does() -> None:
    rng = np.random.default_rng(0)
    intervals, span = [], 400 * 86_400.0
    for node in range(300):
        now = rng.exponential(50 * 86_400)
        while now < span:
            repair = np.exp(np.log(7200) + 0.8 * rng.standard_normal())
            intervals.append((str(node), now, now + repair, "GPU"))
            now += repair + rng.exponential(50 * 86_400)
    fitted = Faults.from_intervals(intervals, nodes=300, span_seconds=span).fit()
    assert fitted["mean_seconds"] == pytest.approx(50 * 86_400, rel=0.05)
    assert fitted["repair_seconds"] == pytest.approx(7200, rel=0.05)
    assert fitted["repair_sigma"] == pytest.approx(0.8, rel=0.05)


def test_the_released_faults(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"infinitehbd:{data_dir}/faults/infinitehbd_fault_trace.json.gz"
    summary = traces.load_faults(uri).summary()
    assert summary.faults == 584
    assert summary.faults_per_node_day == pytest.approx(0.0042, abs=0.0001)
    assert summary.repair_seconds["p50"] / 3600 == pytest.approx(20, abs=1)
    assert summary.repair_seconds["mean"] / 3600 == pytest.approx(133, abs=2)
    assert main(["traces", "info", uri]) == 0
    shown = capsys.readouterr().out
    assert "failures: {mean_seconds:" in shown
    assert "repair_quantiles_seconds: [" in shown


def test_a_pool_may_repair_as_long_as_was_measured_each_length_as_often(data_dir: Path) -> None:
    faults = traces.load_faults(f"infinitehbd:{data_dir}/faults/infinitehbd_fault_trace.json.gz")
    measured = faults.measured()
    pool = PoolConfig("gpu", max_nodes=1, failures=FailureConfig(**measured))
    hours = draws.repairs(pool) / 3.6e6
    truth = faults.repair_seconds[faults.repair_seconds > 0] / 3600.0
    assert np.median(hours) == pytest.approx(np.median(truth), rel=0.05)
    assert hours.mean() == pytest.approx(truth.mean(), rel=0.1)
    fitted = draws.repairs(PoolConfig("gpu", max_nodes=1, failures=FailureConfig(**faults.fit()))) / 3.6e6
    assert abs(hours.mean() - truth.mean()) < abs(fitted.mean() - truth.mean())


def test_two_repairs_are_needed_to_repeat_them(tmp_path: Path) -> None:
    assert load(tmp_path, event("a", 1), event("a", 2, "fault_end")).measured() == {}
