"""Generated traces by URI."""

from pathlib import Path

import pytest

import traces


def test_the_same_seed_gives_the_same_trace_and_another_another() -> None:
    uri = "synthetic:quickstart?days=3&seed="
    assert traces.load(uri + "0").table.equals(traces.load(uri + "0").table)
    assert not traces.load(uri + "0").table.equals(traces.load(uri + "1").table)


def test_without_a_seed_one_is_drawn_and_named() -> None:
    first, second = (traces.load("synthetic:quickstart?days=3") for _ in range(2))
    assert first.uri != second.uri
    assert traces.load(first.uri).table.equals(first.table)


def test_the_uri_carries_every_digit() -> None:
    uri = "synthetic:steady?days=1.0000001&seed=7&jobs_per_day=123456.5"
    assert traces.load(uri).uri == uri


@pytest.mark.parametrize("query", ["days=0", "days=-1", "days=nan", "seed=-1", "jobs_per_day=0", "days=1e9"])
def test_options_out_of_range_are_refused(query: str) -> None:
    with pytest.raises(traces.TraceURIError, match=query.partition("=")[0]):
        traces.load(f"synthetic:quickstart?{query}")


def test_a_folder_of_the_name_of_a_preset_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "philly").mkdir()
    (tmp_path / "philly" / "cluster_job_log").write_text("[]")
    monkeypatch.chdir(tmp_path)
    assert traces.load("synthetic:philly?seed=0&days=1").num_jobs > 100
