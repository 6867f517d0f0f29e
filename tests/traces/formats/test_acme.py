"""Acme: Seren and Kalos."""

from datetime import datetime
from pathlib import Path

import pytest

import traces

SEREN = "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time\n"
KALOS = (
    "job_id,user,node_num,gpu_num,cpu_num,mem_per_pod_GB,shared_mem_per_pod,type,state,submit_time,start_time,"
    "end_time,fail_time,stop_time,duration,queue,gpu_time\n"
)


def seren(
    name: str = "1", gpus: str = "8.0", start: str = "2023-03-01 10:00:10+08:00", end: str = "10:30:10+08:00"
) -> str:
    ended = f"2023-03-01 {end}" if end else ""
    return f"{name},uA,1,{gpus},128,Pretrain,COMPLETED,2023-03-01 10:00:00+08:00,{start},{ended},1800,10,14400\n"


def kalos(name: str = "dlctk696s0jbvitv", end: str = "2023-05-17 11:01:16+00:00") -> str:
    times = f"2023-05-17 11:00:58+00:00,2023-05-17 11:01:08+00:00,{end},{end},"
    return f"{name},uB,2,16,240,1024.0,100.0,Other,FAILED,{times},18.0,10.0,288.0\n"


def load(tmp_path: Path, text: str) -> traces.Trace:
    (tmp_path / "x.csv").write_text(text)
    return traces.load(f"acme:{tmp_path}/x.csv")


def test_seren(tmp_path: Path) -> None:
    trace = load(tmp_path, SEREN + seren())
    job = {name: value for name, value in trace.table.to_pylist()[0].items() if value is not None}
    assert job == {
        "job_id": "1",
        "submit_time_seconds": 0.0,
        "duration_seconds": 1800.0,
        "gpu_milli": 8000,
        "user": "uA",
        "cpu_milli": 128_000,
        "status": "COMPLETED",
        "workload": "Pretrain",
    }
    assert trace.metadata.source == "Acme, Seren"
    assert trace.metadata.start_time == datetime.fromisoformat("2023-03-01T10:00")


def test_in_kalos_the_run_time_is_from_start_to_end_though_the_duration_counts_from_the_submission(
    tmp_path: Path,
) -> None:
    trace = load(tmp_path, KALOS + kalos())
    assert trace.duration_seconds.tolist() == [8]
    assert trace.table["memory_mib"].to_pylist() == [2 * 1024 * 1024]
    assert trace.table["job_id"].to_pylist() == ["dlctk696s0jbvitv"]
    assert trace.metadata.source == "Acme, Kalos"


def test_what_did_not_run_on_gpus_is_dropped(tmp_path: Path) -> None:
    rows = seren() + seren("2", gpus="0") + seren("3", start="") + seren("4", end="") + seren("5", end="10:00:10+08:00")
    assert load(tmp_path, SEREN + rows).metadata.dropped == {
        "it requests no GPU": 1,
        "it never ran": 1,
        "it still ran at the end of the collection": 1,
        "it ended in the second of its start": 1,
    }


def test_two_offsets_in_one_file_are_refused_with_the_row(tmp_path: Path) -> None:
    rows = seren() + seren("2", start="2023-03-01 02:00:10+00:00")
    with pytest.raises(
        traces.TraceValueError, match=r"row 2, column start_time: .* is at \+00:00, those before it are at \+08:00"
    ):
        load(tmp_path, SEREN + rows)
