"""Alibaba's cluster of 2026 with spot jobs."""

from pathlib import Path

import pytest

import traces
from autoscaler.cli import main

HEADER = "job_name,organization,gpu_model,cpu_request,gpu_request,worker_num,submit_time,duration,job_type\n"
ROWS = "a,o1,A100,8,2,4,0,600,HP\nb,o1,A10,4,0.5,1,10,60,Spot\nc,o2,A10,4,0,1,20,60,Spot\nd,o2,A10,4,0.5,3,30,60,Spot\n"


def load(tmp_path: Path, query: str = "") -> traces.Trace:
    (tmp_path / "job_info_df.csv").write_text(HEADER + ROWS)
    return traces.load(f"alibaba-spot:{tmp_path}/job_info_df.csv{query}")


def test_requests_are_of_a_worker_and_spot_jobs_rank_below(tmp_path: Path) -> None:
    trace = load(tmp_path, "?gangs=round")
    assert trace.gpu_milli.tolist() == [8000, 500, 2000]
    assert trace.table["cpu_milli"].to_pylist() == [32_000, 4000, 12_000]
    assert trace.table["priority"].to_pylist() == [1, 0, 0]
    assert trace.table["gpu_models"].to_pylist() == [["A100"], ["A10"], ["A10"]]
    assert trace.metadata.dropped == {"it requests no GPU": 1}


def test_workers_that_share_gpus_are_split(tmp_path: Path) -> None:
    assert load(tmp_path).table["job_id"].to_pylist() == ["a", "b", "d/0", "d/1", "d/2"]


def test_jobs_that_ran_at_the_start_can_be_left_out(tmp_path: Path) -> None:
    trace = load(tmp_path, "?initial=false")
    assert trace.metadata.dropped["it ran at the start already (initial=false)"] == 1
    assert traces.find_uri(f"{tmp_path}/job_info_df.csv")[0].startswith("alibaba-spot:")


def test_the_load_of_its_nodes_is_told_without_knowing_their_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load(tmp_path)
    nodes = tmp_path / "node_info_df.csv"
    nodes.write_text("gpu_model,gpu_capacity_num,cpu_num,node_name\nA100,8,128,0\nA10,1,192,1\n")
    assert traces.load_nodes(f"alibaba-spot-nodes:{nodes}").table.to_pylist()[1] == {
        "node_id": "1", "gpu_model": "A10", "gpus": 1, "cpu_milli": 192_000, "memory_mib": None, "switches": None
    }  # fmt: skip
    jobs = f"alibaba-spot:{tmp_path}/job_info_df.csv"
    assert main(["traces", "info", jobs, "--nodes", f"alibaba-spot-nodes:{nodes}"]) == 0
    assert "A100" in capsys.readouterr().out
    nodes.write_text("gpu_model,gpu_capacity_num,cpu_num,node_name\nA100,8,-1,0\n")
    with pytest.raises(traces.TraceValueError, match="row 1, column cpu_num: -1000 is not above 0"):
        traces.load_nodes(f"alibaba-spot-nodes:{nodes}")
