"""`autoscaler evaluate` from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoscaler.cli import main

TRACE = "synthetic:quickstart?days=4&seed=0"


def evaluate(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["evaluate", "--trace", TRACE, "--json", "-", "--quiet", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    document: dict[str, Any] = json.loads(captured.out)
    return document


def test_all_rules_run_the_later_windows(capsys: pytest.CaptureFixture[str]) -> None:
    document = evaluate(capsys)
    assert document["schema"] == "autoscaler.evaluate/1"
    assert set(document["policies"]) == {"always-on", "reactive", "reactive-tuned", "random"}
    assert document["reference"] == "reactive-tuned"
    windows = document["provenance"]["windows"]
    assert len(windows) == 5
    span = document["trace"]["span_seconds"]
    assert windows[0]["start_seconds"] == pytest.approx(windows[-1]["end_seconds"] - 0.4 * span, abs=1.0)
    reactive = document["policies"]["reactive"]
    assert reactive["metrics"]["jobs_submitted"]["mean"] == sum(window["jobs"] for window in windows) / 5
    cost = reactive["objective_usd"]
    assert cost["low"] < cost["mean"] < cost["high"]
    assert document["policies"]["random"]["versus_reference"]["objective_share"]["low"] > 0


def test_the_same_command_gives_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, other = (
        evaluate(capsys, "--baselines", "random,reactive-tuned", "--seed", seed)["policies"] for seed in ("3", "3", "4")
    )
    assert first == second
    assert first["random"]["objective_usd"] != other["random"]["objective_usd"]


def test_windows_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    document = evaluate(capsys, "--baselines", "reactive", "--windows", "2", "--from", "0.25", "--until", "0.75")
    assert document["reference"] is None
    windows = document["provenance"]["windows"]
    assert len(windows) == 2
    length = windows[-1]["end_seconds"] - windows[0]["start_seconds"]
    assert length == pytest.approx(0.5 * document["trace"]["span_seconds"], abs=1.0)
    assert document["policies"]["reactive"]["objective_usd"]["low"] is None


def test_prices_change_what_tuning_chooses_for(capsys: pytest.CaptureFixture[str]) -> None:
    cheap, expensive = (
        evaluate(capsys, "--baselines", "reactive-tuned", "--set", f"objective.usd_per_gpu_hour={price}")
        for price in ("0.0", "50.0")
    )
    waits = [
        document["policies"]["reactive-tuned"]["metrics"]["wait_seconds"]["mean"]["mean"]
        for document in (cheap, expensive)
    ]
    assert waits[1] < waits[0]
    assert expensive["provenance"]["environment"]["objective"]["usd_per_gpu_hour"] == 50.0


def test_all_rules_include_those_of_the_levers_that_are_on(capsys: pytest.CaptureFixture[str]) -> None:
    trace, lever = f"{TRACE}&checkpointable=1.0", "codec.consolidation=true"
    arguments = ["--trace", trace, "--set", lever, "--set", "move_seconds=1", "--windows", "1"]
    assert main(["evaluate", *arguments, "--json", "-"]) == 0
    captured = capsys.readouterr()
    policies = json.loads(captured.out)["policies"]
    assert set(policies) == {"always-on", "reactive", "reactive-tuned", "random", "consolidating"}
    assert policies["consolidating"]["metrics"]["moves"]["mean"] > 0
    assert policies["reactive"]["metrics"]["moves"]["mean"] == 0
    chosen = policies["reactive-tuned"]["settings"]["consolidation"]
    assert ("consolidate" in captured.err) == (chosen > 0)
    assert main(["evaluate", *arguments, "--baselines", "consolidating", "--quiet"]) == 0
    assert "moves / job" in capsys.readouterr().out


def test_failures_are_in_a_table_of_their_own_where_nodes_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster, report = tmp_path / "cluster.yaml", tmp_path / "r.html"
    cluster.write_text("pools:\n  - {name: gpu, max_nodes: 64, failures: {mean_seconds: 20000}}\n")
    arguments = ["evaluate", "--trace", f"{TRACE}&checkpointable=1.0", "--baselines", "reactive", "--quiet"]
    assert main([*arguments, "--cluster", str(cluster), "--report", str(report)]) == 0
    assert "GPU-hours of work lost" in capsys.readouterr().out
    assert "What happened to nodes and jobs" in report.read_text(encoding="utf-8")
    assert main(arguments) == 0
    assert "work lost" not in capsys.readouterr().out


def test_files_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, picture, result = tmp_path / "r.html", tmp_path / "p.svg", tmp_path / "r.json"
    arguments = ["--report", str(report), "--figure", str(picture), "--json", str(result)]
    assert main(["evaluate", "--trace", TRACE, "--baselines", "reactive,reactive-tuned", *arguments]) == 0
    captured = capsys.readouterr()
    assert "reactive-tuned" in captured.out
    assert "USD per window" in captured.out
    assert "steps/s" in captured.err
    assert report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "<svg" in picture.read_text(encoding="utf-8")
    assert json.loads(result.read_text())["schema"] == "autoscaler.evaluate/1"
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: there is no policy artifact"),
        (["--baselines", "reactiv"], "did you mean 'reactive'"),
        (["--baselines", "consolidating"], "--set codec.consolidation=true"),
        (["--baselines", "none"], "nothing to evaluate"),
        (["--windows", "500"], "choose fewer or longer windows"),
        (["--from", "0.9", "--until", "0.5"], "must rise"),
        (["--figure", "x.pdf"], "end the name in one of them"),
        (["--report", "nowhere/x.html"], "nowhere/x.html: cannot be written"),
        (["--json", "nowhere/x.json"], "nowhere/x.json: cannot be written"),
        (["--set", "objective.usd=1"], "unknown key"),
        (["--cluster", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--trace", "itp:nowhere.csv"], "nowhere.csv: cannot be read"),
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
    trace = [] if "--trace" in arguments else ["--trace", TRACE]
    assert main(["evaluate", *trace, *arguments, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_seeds_of_one_policy_join(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two short runs are two seeds of one policy; the heuristic that was tuned beside them is the reference."""
    sizes = ["total_steps=1024", "num_envs=8", "validations=1", "validation_windows=2", "checkpoint_steps=1024"]
    short = ["agent.n_steps=64", *(f"train.{size}" for size in sizes)]
    overrides = [word for override in short for word in ("--set", override)]
    folders = []
    for seed in ("0", "1"):
        arguments = ["--trace", TRACE, "--seed", seed, "--out", str(tmp_path / "runs"), "--name", f"seed{seed}", "-q"]
        assert main(["train", "experiment/quickstart-ppo", *arguments, *overrides]) == 0
        folders.append(capsys.readouterr().out.strip())
    report = tmp_path / "report.html"
    assert main(["evaluate", *folders, "--report", str(report), "--json", "-", "--quiet"]) == 0
    document = json.loads(capsys.readouterr().out)
    trained = document["policies"]["maskable-ppo"]
    assert trained["kind"] == "trained"
    assert trained["seeds"] == [0, 1]
    assert trained["runs"] == folders
    assert trained["versus_reference"]["objective_share"]["low"] is not None
    assert document["trace"]["uri"] == TRACE
    record = json.loads((Path(folders[0]) / "run.json").read_text())
    assert document["policies"]["reactive-tuned"]["settings"] == record["tuned"]
    assert "trained, 2 seeds" in report.read_text(encoding="utf-8")
    assert main(["simulate", "--policy", folders[0], "--set", "codec.window_slots=3", "--trace", TRACE]) == 2
    error = capsys.readouterr().err
    assert "policy maskable-ppo was trained with codec.window_slots=4, not 3" in error
    assert error.count("\n") == 1
    assert main(["simulate", "--policy", folders[1], "--trace", TRACE, "--json", "-", "--quiet"]) == 0
    simulated = json.loads(capsys.readouterr().out)
    assert simulated["policy"] == "maskable-ppo"
    assert simulated["metrics"]["jobs_unfinished"] == 0
