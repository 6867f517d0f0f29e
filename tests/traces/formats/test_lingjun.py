"""Alibaba Lingjun 2023."""

import csv
import io
import json
from datetime import datetime
from pathlib import Path

import pytest

import traces
from autoscaler.cli import main

JOB = (
    *("", "id", "job_name", "kind", "model", "status", "user_id", "workspace_id", "priority"),
    *("job_max_running_time_minutes", "gmt_job_submitted", "gmt_job_running", "gmt_job_stopped", "gmt_job_finished"),
)
WORKER = ("", "id", "job_name", "worker_name", "replica_type", "host_ip", "RES")
EIGHT = {"cpu": "32", "memory": "400Gi", "nvidia.com/gpu": "8", "koordinator.sh/rdma": "1"}


def table(header: tuple[str, ...], *rows: tuple[str, ...]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


def job(name: str, *, ran: str = "2023/7/15 02:19", stopped: str = "", end: str = "2023/7/15 12:23") -> tuple[str, ...]:
    facts = ("PyTorchJob", "llama", "Succeeded", "u1", "w1", "5", "1440")
    return ("0", "7", name, *facts, "2023/7/15 2:01", ran, stopped, end)


def worker(name: str, number: int, resources: dict[str, str] | str = EIGHT) -> tuple[str, ...]:
    text = resources if isinstance(resources, str) else json.dumps(resources)
    return ("0", "9", name, f"{name}-worker-{number}", "worker", "0c9d", text)


def load(tmp_path: Path, jobs: list[tuple[str, ...]], workers: list[tuple[str, ...]], query: str = "") -> traces.Trace:
    (tmp_path / "job.csv").write_text(table(JOB, *jobs))
    (tmp_path / "worker.csv").write_text(table(WORKER, *workers))
    return traces.load(f"lingjun:{tmp_path}{query}")


def test_a_job_requests_what_its_workers_do_together_each_once(tmp_path: Path) -> None:
    workers = [worker("a", 0), worker("a", 1, {**EIGHT, "cpu": "500m", "memory": "1024Mi"}), worker("a", 0)]
    trace = load(tmp_path, [job("a")], workers)
    row = {name: value for name, value in trace.table.to_pylist()[0].items() if value is not None}
    assert row == {
        "job_id": "a",
        "submit_time_seconds": 0.0,
        "duration_seconds": 36_240.0,
        "gpu_milli": 16_000,
        "user": "u1",
        "group": "w1",
        "cpu_milli": 32_500,
        "memory_mib": 410_624,
        "status": "Succeeded",
        "priority": 5,
        "predicted_duration_seconds": 86_400.0,
        "workload": "llama",
    }
    assert trace.metadata.start_time == datetime.fromisoformat("2023-07-15T02:01")
    unlimited = load(tmp_path, [job("a")], workers, "?estimates=none")
    assert unlimited.table["predicted_duration_seconds"].null_count == 1


def test_what_did_not_run_on_gpus_to_an_end_is_dropped_by_reason(tmp_path: Path) -> None:
    jobs = [
        job("stopped", stopped="2023/7/15 2:20", end=""),
        job("no workers"),
        job("cpu"),
        job("waited", ran="", end=""),
        job("runs", end=""),
        job("short", end="2023/7/15 02:19"),
    ]
    workers = [worker(name, 0) for name in ("stopped", "waited", "runs", "short")]
    trace = load(tmp_path, jobs, [*workers, worker("cpu", 0, {"cpu": "4"})])
    assert trace.table["job_id"].to_pylist() == ["stopped"]
    assert trace.duration_seconds.tolist() == [60.0]
    assert trace.metadata.dropped == {
        "it has no worker, so its GPUs are not known": 1,
        "it requests no GPU": 1,
        "it never ran": 1,
        "it still ran at the end of the collection": 1,
        "it ended in the minute of its start": 1,
    }


def test_what_cannot_be_is_counted_or_refused_with_its_row(tmp_path: Path) -> None:
    jobs = [job(name) for name in "abc"] + [job("early", ran="2023/7/3 15:18"), job("unread"), job("day 32")]
    jobs[-1] = (*jobs[-1][:-1], "2023/7/32 02:19")
    workers = [worker(each[2], 0) for each in jobs if each[2] != "unread"] + [worker("unread", 0, "{'cpu': 1}")]
    trace = load(tmp_path, jobs, [*workers, ("too", "few")])
    assert trace.num_jobs == 3
    assert trace.metadata.bad_rows == {
        "in worker.csv it has more or fewer cells than the header": 1,
        "its RES of a worker is no JSON object of resources": 1,
        "its gmt_job_finished is not a time": 1,
        "its gmt_job_running is before the submission": 1,
    }
    with pytest.raises(traces.TraceValueError, match=r"row 2, column RES: of a worker is no JSON .* fix it in worker"):
        load(tmp_path, [job("a"), job("unread")], [worker("a", 0), worker("unread", 0, "?")], "?strict=true")
    (tmp_path / "worker.csv").unlink()
    with pytest.raises(traces.TraceFileError, match=r"has no worker\.csv; give the folder"):
        traces.load(f"lingjun:{tmp_path}")


def test_hosts_have_the_switches_on_their_way_to_the_core(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """S2 under P10 and S2 under P12 are two switches."""
    (tmp_path / "topo.csv").write_text("ip,DSW,PSW,ASW\na,G6,P10,S2\nb,G6,P12,S2\nc,G6,P10,S2\n")
    nodes = traces.load_nodes(f"lingjun-nodes:{tmp_path}/topo.csv?gpu_model=A100")
    assert nodes.table["switches"].to_pylist()[0] == ["G6/P10/S2", "G6/P10", "G6"]
    assert nodes.switch_counts == (2, 2, 1)
    assert nodes.total_gpus == 24
    assert main(["traces", "info", f"lingjun-nodes:{tmp_path}/topo.csv"]) == 0
    assert "2, 2, 1 from the nodes to the core" in capsys.readouterr().out
    (tmp_path / "topo.csv").write_text("ip,DSW,PSW,ASW\na,G6,P10,S2\nb,G6,,S2\n")
    with pytest.raises(traces.TraceValueError, match="row 2, column PSW: is empty"):
        traces.load_nodes(f"lingjun-nodes:{tmp_path}/topo.csv")
