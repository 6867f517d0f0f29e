"""`autoscaler simulate` from the command line."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from agents.registry import BASELINES
from autoscaler.cli import main
from envs.gpu_cluster.simulator import EVENT_SCHEMA

TRACE = "synthetic:quickstart?days=2&seed=0"


def simulate(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["simulate", "--trace", TRACE, "--json", "-", "--quiet", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    document: dict[str, Any] = json.loads(captured.out)
    return document


def test_the_document_has_the_documented_fields(capsys: pytest.CaptureFixture[str]) -> None:
    document = simulate(capsys)
    assert list(document) == [
        "schema", "trace", "cluster", "policy", "seed", "wall_seconds", "compile_seconds", "jobs_per_second",
        "energy_kwh", "objective_usd", "cost_usd", "carbon_kg", "metrics", "bound_usd", "decidable_usd",
        "references",
    ]  # fmt: skip
    assert document["schema"] == "autoscaler.simulate/1"
    assert document["trace"]["uri"] == TRACE
    assert document["trace"]["jobs"] == document["metrics"]["jobs_finished"] > 100
    assert document["policy"] == "reactive"
    assert document["cluster"]["source"] == "auto"
    assert document["cluster"]["pools"][0]["gpus_per_node"] == 8
    parts = [document["energy_kwh"][name] for name in ("busy", "fragmentation", "idle", "boot", "off")]
    assert sum(parts) == document["energy_kwh"]["total"]
    assert document["jobs_per_second"] == document["trace"]["jobs"] / document["wall_seconds"]


def timeless(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if "second" not in name}


def test_the_same_seed_gives_the_same_result(capsys: pytest.CaptureFixture[str]) -> None:
    results = [simulate(capsys, "--policy", "random", "--seed", seed) for seed in ("3", "3", "4")]
    assert timeless(results[0]) == timeless(results[1])
    assert results[0]["objective_usd"] != results[2]["objective_usd"]


def test_prices_and_packer_can_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    plain = simulate(capsys, "--set", "objective.usd_per_gpu_hour=0")
    expensive = simulate(capsys, "--set", "objective.usd_per_gpu_hour=0", "--set", "objective.usd_per_kwh=0.3")
    assert expensive["objective_usd"] == pytest.approx(2 * plain["objective_usd"])
    spread = simulate(capsys, "--packer", "worst-fit")
    assert spread["energy_kwh"]["fragmentation"] > plain["energy_kwh"]["fragmentation"]


def test_a_cluster_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("pools:\n  - {name: small, max_nodes: 64, gpus_per_node: 4}\n")
    document = simulate(capsys, "--cluster", str(path))
    assert document["cluster"]["source"] == str(path)
    assert [pool["name"] for pool in document["cluster"]["pools"]] == ["small"]


def test_a_cluster_from_a_list_of_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = tmp_path / "nodes.csv"
    rows = [f"n{index},1000,1000,8,V100" for index in range(40)] + ["t,1000,1000,4,T4"]
    nodes.write_text("sn,cpu_milli,memory_mib,gpu,model\n" + "\n".join(rows) + "\n")
    document = simulate(capsys, "--cluster", f"openb-nodes:{nodes}")
    pools = [
        (pool["name"], pool["gpu_model"], pool["gpus_per_node"], pool["max_nodes"])
        for pool in document["cluster"]["pools"]
    ]
    assert pools == [("V100-8", "V100", 8, 40), ("T4-4", "T4", 4, 1)]


def test_the_table_tells_the_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--trace", TRACE, "--policy", "always-on"]) == 0
    captured = capsys.readouterr()
    for word in ("always-on", "USD", "kWh", "p95", "node-hours", "jobs/s", "compiling"):
        assert word in captured.out
    assert "simulate: " in captured.err


def test_what_happened_to_nodes_and_jobs_is_in_the_table_where_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("pools:\n  - {name: gpu, max_nodes: 64, failures: {mean_seconds: 20000}}\n")
    arguments = ["simulate", "--trace", f"{TRACE}&checkpointable=1.0", "--cluster", str(path), "--quiet"]
    assert main([*arguments, "--json", str(tmp_path / "result.json")]) == 0
    out = capsys.readouterr().out
    metrics = json.loads((tmp_path / "result.json").read_text())["metrics"]
    assert metrics["preemptions"] >= metrics["node_failures"] > 0
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in out.splitlines() if "│" in line}
    assert rows["nodes failed"] == f"{metrics['node_failures']:,}"
    assert rows["jobs stopped"] == f"{metrics['preemptions']:,}"
    assert "boots failed" not in rows
    assert main(["simulate", "--trace", TRACE, "--quiet"]) == 0
    assert "nodes failed" not in capsys.readouterr().out


def test_the_event_log_goes_to_a_file_of_parquet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "events.parquet"
    document = simulate(capsys, "--policy", "reactive", "--events", str(path))
    log = pq.read_table(path)
    assert log.schema.equals(EVENT_SCHEMA)
    assert log.schema.metadata[b"trace"].decode() == TRACE
    assert [pool["name"] for pool in json.loads(log.schema.metadata[b"pools"])] == ["gpu"]
    kinds = log["event"].to_pylist()
    assert kinds.count("node_order") == document["metrics"]["nodes_added"]
    assert kinds.count("decision") == document["metrics"]["decisions"]
    ends = log.filter(pc.equal(log["event"].cast("string"), "job_end"))
    assert len(pc.unique(ends["job"])) == document["metrics"]["jobs_finished"]
    stepped = tmp_path / "stepped.parquet"
    simulate(capsys, "--policy", "random", "--events", str(stepped))
    assert pq.read_table(stepped).num_rows > 1000
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["events.parquet", "stepped.parquet"]


def test_an_event_log_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(table: object, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    path = tmp_path / "events.parquet"
    assert main(["simulate", "--trace", TRACE, "--quiet", "--events", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "No space left on device" in captured.err
    assert list(tmp_path.iterdir()) == []


def test_the_debug_mode_changes_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert timeless(simulate(capsys, "--debug")) == timeless(simulate(capsys))


def test_the_debug_mode_says_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "envs.gpu_cluster.simulator.simulator.describe_broken", lambda clock: "at 1.0 s it did not hold that x"
    )
    assert main(["simulate", "--trace", TRACE, "--quiet", "--debug"]) != 0
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "it did not hold that x" in captured.err


def test_a_job_that_outlives_its_nodes_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("pools:\n  - {name: gpu, max_nodes: 64, failures: {mean_seconds: 100}}\n")
    assert main(["simulate", "--trace", TRACE, "--cluster", str(path), "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "checkpoint_interval_seconds" in captured.err


def test_consolidating_switches_its_lever_on(capsys: pytest.CaptureFixture[str]) -> None:
    trace = f"{TRACE}&checkpointable=1.0"
    assert main(["simulate", "--trace", trace, "--policy", "consolidating", "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "GPU-hours of overhead" in text
    assert "overhead" in text
    assert main(["simulate", "--trace", trace, "--policy", "reactive", "--quiet"]) == 0
    assert "overhead" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--trace", TRACE, "--policy", "consolidating", "--set", "codec.consolidation=false"],
            "needs codec.consolidation; switch it on",
        ),
        (["--trace", TRACE, "--policy", "reactiv"], "did you mean 'reactive'"),
        (["--trace", TRACE, "--policy", "runs/nothing"], "runs/nothing: there is no policy artifact"),
        (["--trace", "itp:nowhere.csv"], "nowhere.csv: cannot be read"),
        (["--trace", TRACE, "--cluster", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--trace", TRACE, "--cluster", "cluster.yaml"], "did you mean 'max_nodes'"),
        (["--trace", TRACE, "--cluster", "small.yaml"], "fits in no pool"),
        (["--trace", TRACE, "--packer", "best"], "did you mean 'best-fit'"),
        (["--trace", TRACE, "--set", "objective.usd_per_kw=1"], "did you mean 'usd_per_kwh'"),
        (["--trace", TRACE, "--set", "objective.usd_per_kwh=-1"], "it must be at least 0"),
        (["--trace", TRACE, "--json", "nowhere/x.json"], "nowhere/x.json: cannot be written"),
        (["--trace", TRACE, "--events", "nowhere/x.parquet"], "nowhere/x.parquet: cannot be written"),
        (["--trace", TRACE, "--usage", "nowhere/x.csv"], "nowhere/x.csv: cannot be written"),
        (["--trace", TRACE, "--usage", "x.txt"], "x.txt: usage is written as CSV or Parquet; end the name in .csv"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cluster.yaml").write_text("pools:\n  - {name: a, max_node: 4}\n")
    Path("small.yaml").write_text("pools:\n  - {name: a, max_nodes: 1, gpus_per_node: 1}\n")
    assert main(["simulate", *arguments, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster.yaml", "small.yaml"]


@pytest.mark.slow
def test_philly_replays_whole(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"philly:{data_dir}/traces/philly/philly_until_2017-11-01.csv.gz"
    assert main(["simulate", "--trace", uri, "--json", "-", "--quiet"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["metrics"]["jobs_finished"] == document["trace"]["jobs"] == 52849
    assert document["metrics"]["gpu_hours_done"] == pytest.approx(document["metrics"]["gpu_hours_requested"], rel=1e-12)


def test_a_custom_rule_can_be_tuned_on_the_training_window(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees the first part of the trace only, and `simulate` and `evaluate` call it as they call `reactive-tuned`."""
    (tmp_path / "my_tuned_rule.py").write_text(
        "from agents.baselines import Baseline, ConstantSetpoint\n"
        "class Found:\n"
        "    def policy(self, config):\n"
        "        return ConstantSetpoint(config.codec, 120.0, name='mine')\n"
        "    def to_dict(self):\n"
        "        return {'seconds': 120.0}\n"
        "    def describe(self):\n"
        "        return '120 s'\n"
        "def tune(window):\n"
        "    start, end = window.start_seconds, window.end_seconds\n"
        "    assert 0.0 <= start < end < start + 0.7 * window.trace.span_seconds, (start, end)\n"
        "    return Found()\n"
        "RULE = Baseline(tune=tune)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    trace = "synthetic:quickstart?days=2&seed=0"
    try:
        assert main(["simulate", "--policy", "my_tuned_rule:RULE", "--trace", trace, "--json", "-", "-q"]) == 0
    finally:
        del BASELINES["my_tuned_rule:RULE"]
    assert json.loads(capsys.readouterr().out)["policy"] == "mine"
