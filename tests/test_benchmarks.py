"""Benchmarks answer --help, have a quick mode, and refuse at once what they could not write."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPTS = sorted(path.name for path in (ROOT / "benchmarks").glob("[a-z]*.py"))
NO_SPEED = {"curves.py"}  # takes seconds


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """Run a script in this process, as `python benchmarks/NAME ARGUMENTS`."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))

    def start(name: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(ROOT / "benchmarks" / name), run_name="__main__")

    return start


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_benchmark_answers_help(name: str, run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(name, "--help")
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: {name}" in out
    assert ("--quick" in out) == (name not in NO_SPEED)


def test_json_that_cannot_be_written_is_refused_before_anything_is_measured(
    run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run("replay.py", "--json", "nowhere/x.json")
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert "nowhere/x.json: cannot be written" in captured.err
    assert "measuring" not in captured.err


@pytest.mark.slow
def test_a_quick_benchmark_tells_each_run_and_writes_what_it_prints(
    run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("replay.py", "--quick", "--json", str(tmp_path / "r.json"))
    captured = capsys.readouterr()
    document = json.loads((tmp_path / "r.json").read_text())
    (row,) = document["measurements"]
    assert len(row["rates"]) == 1
    assert f"run 1 of 1: {row['rates'][0]:,.0f} jobs/s" in captured.err
    assert row["name"] in captured.out


@pytest.mark.slow
def test_seeds_are_trained_once_and_compared(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["train.total_steps=1024", "train.num_envs=8", "train.validations=1", "trace=synthetic:quickstart?days=4"]
    arguments = ["--quick", "--processes", "1", "--out", str(tmp_path / "out")]
    arguments += [word for size in sizes for word in ("--set", size)]
    run("seeds.py", *arguments)
    captured = capsys.readouterr()
    assert "2 of 2" in captured.err
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["policies"]["cma-es"]["seeds"] == [0, 1]
    assert (tmp_path / "out" / "report.html").is_file()
    assert "cma-es (2 seeds)" in captured.out
    run("seeds.py", *arguments)
    assert capsys.readouterr().err.count("finished before") == 2
