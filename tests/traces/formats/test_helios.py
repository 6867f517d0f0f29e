"""SenseTime's Helios."""

from datetime import datetime
from pathlib import Path

import pytest

import traces
from tests.traces.test_inputs import zipped

HEADER = "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n"


def row(
    name: str = "1", gpus: str = "8", state: str = "COMPLETED", start: str = "10:00:10", seconds: str = "3590"
) -> str:
    began = f"2020-04-02 {start}" if start else ""
    return f"{name},uA,vcB,{gpus},32,1,{state},2020-04-02 10:00:00,{began},2020-04-02 11:00:00,{seconds},10\n"


def load(tmp_path: Path, text: str, query: str = "") -> traces.Trace:
    (tmp_path / "cluster_log.csv").write_text(HEADER + text)
    return traces.load(f"helios:{tmp_path}/cluster_log.csv{query}")


def test_a_job(tmp_path: Path) -> None:
    trace = load(tmp_path, row())
    job = {name: value for name, value in trace.table.to_pylist()[0].items() if value is not None}
    assert job == {
        "job_id": "1",
        "submit_time_seconds": 0.0,
        "duration_seconds": 3590.0,
        "gpu_milli": 8000,
        "user": "uA",
        "group": "vcB",
        "cpu_milli": 32_000,
        "status": "COMPLETED",
    }
    assert trace.metadata.start_time == datetime.fromisoformat("2020-04-02T10:00")


def test_cpu_jobs_and_those_that_did_not_run_to_an_end_are_dropped(tmp_path: Path) -> None:
    rows = [
        row("1"),
        row("2", gpus="0"),
        row("3", state="RUNNING"),
        row("4", state="SUSPENDED"),
        row("5", state="CANCELLED", start=""),
        row("6", state="CANCELLED", seconds="0"),
        row("7", seconds="1209700"),
        row("8", state="NODE_FAIL"),
    ]
    trace = load(tmp_path, "".join(rows))
    assert trace.table["job_id"].to_pylist() == ["1", "7", "8"]
    assert trace.metadata.dropped == {
        "it requests no GPU": 1,
        "it still ran at the end of the collection": 2,
        "it never ran": 2,
    }


def test_jobs_before_the_paper_begins_may_be_dropped(tmp_path: Path) -> None:
    early = row("2").replace("2020-04-02", "2020-03-18")
    assert load(tmp_path, row() + early).metadata.start_time == datetime.fromisoformat("2020-03-18T10:00")
    trace = load(tmp_path, row() + early, "?warmup=drop")
    assert trace.metadata.dropped == {"it is before 2020-04-01 (warmup=drop)": 1}
    assert trace.metadata.start_time == datetime.fromisoformat("2020-04-02T10:00")


def test_the_clusters_of_the_release_are_one_trace_or_one_is_chosen(tmp_path: Path) -> None:
    names = ("Earth", "Saturn", "Uranus", "Venus")
    members = {f"data/{name}/cluster_log.csv": (HEADER + row(name)).encode() for name in names}
    path = zipped(tmp_path / "data.zip", {**members, "data/Venus/cluster_gpu_number.csv": b"date,total\n"})
    trace = traces.load(f"helios:{path}?cluster=Venus")
    assert trace.table["job_id"].to_pylist() == ["Venus"]
    assert trace.metadata.source == "SenseTime Helios Venus"
    both = traces.load(f"helios:{path}")
    assert both.table["job_id"].to_pylist() == [f"{name}/{name}" for name in names]
    assert both.metadata.source == "SenseTime Helios Earth, 4 files"
    only = zipped(tmp_path / "one.zip", {name: text for name, text in members.items() if "Venus" in name} | {"a": b""})
    with pytest.raises(traces.TraceURIError, match=r"has no cluster_log\.csv of Earth; there is that of Venus"):
        traces.load(f"helios:{only}?cluster=Earth")


def test_negative_gpu_counts_are_counted(tmp_path: Path) -> None:
    assert load(tmp_path, row("1") + row("2", gpus="-1") + row("3")).metadata.bad_rows == {
        "its gpu_num is not a number of GPUs": 1
    }
