"""The example of the README, and every example of docs/training.md in its order, run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow.csv import write_csv

import autoscaler
import traces
from autoscaler.cli import main
from tests.conftest import ROOT


def blocks(name: str) -> list[tuple[str, str]]:
    """(language, text) of each code block of a document."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def write_jobs(path: str) -> None:
    """Jobs in a file with the columns of ITP's."""
    jobs = traces.load("synthetic:quickstart?days=4&seed=3").table
    columns = {
        "job_id": jobs["job_id"],
        "submission_time": jobs["submit_time_seconds"],
        "duration": jobs["duration_seconds"],
        "num_gpu": pa.array([2] * len(jobs)),
    }
    write_csv(pa.table(columns), path)


@pytest.mark.slow
def test_the_example_of_the_readme_trains_evaluates_and_looks_at_a_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = [text for language, text in blocks("README.md") if language == "python" and "autoscaler.train" in text]
    assert len(example.strip().splitlines()) <= 12
    assert re.findall(r"^(?:import|from) .*", example, re.MULTILINE) == ["import autoscaler"]
    assert "200_000" in example
    exec(example.replace("200_000", "2_000"), {})
    captured = capsys.readouterr()
    assert "the tuned constants are kept" in captured.out  # so few steps prove nothing
    assert "USD" in captured.out
    assert "train: " in captured.err
    assert Path("report.html").is_file()


@pytest.mark.slow
def test_every_example_of_the_training_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    write_jobs("jobs.csv")
    files = {"env:": "other", "traces:": "many", "parquet:jobs": "mine"}
    for language, text in blocks("docs/training.md"):
        if language == "yaml":
            file = next((name for words, name in files.items() if words in text), "experiment")
            # So few steps prove nothing, and take a second.
            Path(f"{file}.yaml").write_text(text.replace("20_000_000", "20_000"))
            autoscaler.load_experiment(f"{file}.yaml")
        elif language == "python":
            exec(text, names)
        else:
            for line in text.splitlines():
                words = shlex.split(line, comments=True)[1:]
                few = ["--set", "train.total_steps=20_000"] if "experiment/every-price" in words else []
                assert main([*words, *few]) == 0, (line, capsys.readouterr().err)
    assert {path.name for path in Path("runs").iterdir()} == {
        "first",
        "mine",
        "every-price",
        "other",
        "second",
        "third",
        "lr",
        "best",
        "logged",
    }
    assert names["curve"]
