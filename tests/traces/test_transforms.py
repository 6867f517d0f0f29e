"""Changes by options of a URI."""

from pathlib import Path

import numpy as np
import pytest

import traces
from traces.transforms import parse_window

DAYS = "synthetic:bursty?days=28&seed=3"


def dispersion(trace: traces.Trace, seconds: float) -> float:
    counts = np.bincount((trace.submit_time_seconds // seconds).astype(int))
    return float(counts.var() / counts.mean())


@pytest.fixture(scope="module")
def base() -> traces.Trace:
    return traces.load(DAYS)


def test_the_uri_names_the_jobs_again() -> None:
    trace = traces.load(f"{DAYS}&window=7d..14d&load=1.5&warp=2&resample=4&transform_seed=1&limit=500")
    assert "window=7d..14d&load=1.5" in trace.uri
    assert traces.load(trace.uri).table.equals(trace.table)


@pytest.mark.parametrize(
    ("text", "window"),
    [("7d..14d", (604_800, 1_209_600)), ("36h..", (129_600, None)), ("..90min", (None, 5400)), ("1..2", (1, 2))],
)
def test_windows(text: str, window: tuple[float | None, float | None]) -> None:
    assert parse_window(text) == window


def test_a_window_keeps_times_and_parts_are_consecutive_and_share_no_job(base: traces.Trace) -> None:
    window = traces.load(f"{DAYS}&window=7d..14d")
    assert window.first_submit_seconds >= 7 * 86_400
    assert window.last_submit_seconds < 14 * 86_400
    parts = [traces.load(f"{DAYS}&part={part}&split=2:1:1") for part in ("train", "validation", "test")]
    ids = [job for part in parts for job in part.table["job_id"].to_pylist()]
    assert ids == base.table["job_id"].to_pylist()
    assert [part.span_seconds / base.span_seconds for part in parts] == pytest.approx([0.5, 0.25, 0.25], abs=0.01)


@pytest.mark.parametrize("load", [0.3, 0.5, 1.5, 2, 3.25])
def test_load_scales_the_jobs_and_keeps_the_bursts(base: traces.Trace, load: float) -> None:
    scaled = traces.load(f"{DAYS}&load={load}")
    assert scaled.num_jobs / base.num_jobs == pytest.approx(load, rel=0.02)
    assert len(set(scaled.table["job_id"].to_pylist())) == scaled.num_jobs
    assert scaled.last_submit_seconds <= 28 * 86_400 + base.first_submit_seconds
    assert 1 / 1.5 < dispersion(scaled, 60) / dispersion(base, 60) < 1.5
    # The daily rhythm is as strong as before, so fewer jobs vary less from hour to hour.
    assert min(load, 1) / 1.5 < dispersion(scaled, 3600) / dispersion(base, 3600) < 1.5


def test_time_runs_faster_and_deadlines_move_along() -> None:
    uri = f"{DAYS}&window=7d..9d"
    slow, fast = traces.load(uri), traces.load(f"{uri}&warp=2")
    assert fast.span_seconds == pytest.approx(slow.span_seconds / 2)
    assert fast.first_submit_seconds == slow.first_submit_seconds
    assert fast.duration_seconds.tolist() == slow.duration_seconds.tolist()


def test_resampling_draws_users_with_all_their_jobs(base: traces.Trace) -> None:
    trace = traces.load(f"{DAYS}&resample=1")
    jobs = {row["values"]: row["counts"] for row in base.table["user"].value_counts().to_pylist()}
    drawn = {row["values"]: row["counts"] for row in trace.table["user"].value_counts().to_pylist()}
    assert all(jobs[name.partition("~")[0]] == count for name, count in drawn.items())
    assert any("~1" in name for name in drawn)
    assert not traces.load(f"{DAYS}&resample=2").table.equals(trace.table)


def test_gpu_models_get_other_names(tmp_path: Path) -> None:
    path = str(tmp_path / "x.parquet")
    columns = {"submit_time_seconds": [0.0, 1.0, 2.0], "duration_seconds": [1.0] * 3, "gpu_milli": [1000] * 3}
    traces.Trace.from_columns({**columns, "gpu_models": [["V100", "P100"], ["T4"], None]}).to_parquet(path)
    mapped = traces.load(f"{path}?map_gpus=V100:A100,P100:A100").table["gpu_models"].to_pylist()
    assert mapped == [["A100"], ["T4"], None]
    mapped = traces.load(f"{path}?map_gpus=V100:A100,*:H100").table["gpu_models"].to_pylist()
    assert mapped == [["A100", "H100"], ["H100"], ["H100"]]
    with pytest.raises(traces.TraceURIError, match="no job names the GPU model 'V10'; did you mean 'V100'"):
        traces.load(f"{path}?map_gpus=V10:A100")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("window=7d", "window takes FROM..UNTIL"),
        ("window=14d..7d", "ends before it starts"),
        ("window=7x..8x", "'7x' is no time such as 36h"),
        ("window=90d..", "no job in this window"),
        ("load=0", "load"),
        ("warp=-1", "warp"),
        ("split=1:1", "split takes three lengths"),
        ("map_gpus=V100", "map_gpus takes OLD:NEW"),
        ("files=a", "option files chooses among several files"),
        ("lod=2", "no option 'lod'.*load"),
    ],
)
def test_a_mistake_is_named(query: str, message: str) -> None:
    with pytest.raises(traces.TraceURIError, match=message):
        traces.load(f"{DAYS}&{query}")


def test_a_trace_without_users_cannot_be_resampled_by_them(tmp_path: Path) -> None:
    path = str(tmp_path / "x.parquet")
    columns = {"submit_time_seconds": [0.0], "duration_seconds": [1.0], "gpu_milli": [1000]}
    traces.Trace.from_columns(columns).to_parquet(path)
    with pytest.raises(traces.TraceURIError, match="does not say who submitted"):
        traces.load(f"{path}?resample=1")
