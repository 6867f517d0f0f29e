"""Sweeps with a stand-in for the training, which scores a trial by what it drew."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import optuna
import pytest

from agents.cluster_task import USD
from agents.training import Result
from autoscaler.cli import main
from autoscaler.experiment import ExperimentConfig, load_experiment
from autoscaler.sweeps import study
from autoscaler.sweeps.space import SweepError
from autoscaler.sweeps.study import sweep
from autoscaler.training import Hooks, TrainedRun
from configs.errors import UserError
from tests.conftest import ROOT

CONFIG = {
    "sweep": {
        "agent.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "train.num_envs": {"choices": [8, 16]},
    }
}


class Trainings:
    """Instead of `autoscaler.train`: three validations, of which the first is the start and equal for all."""

    def __init__(self) -> None:
        self.experiments: list[ExperimentConfig] = []
        self.folders: list[str] = []
        self.score: Callable[[ExperimentConfig], float] = lambda experiment: 1000.0 * experiment.agent.learning_rate

    def train(
        self, experiment: ExperimentConfig, folder: Path, *, hooks: Hooks, tuned: Any, progress: Any
    ) -> TrainedRun:
        self.experiments.append(experiment)
        self.folders.append(folder.name)
        assert hooks.on_log is not None
        for step, usd in ((0, 1.0), (100, self.score(experiment) + 1.0), (200, self.score(experiment))):
            hooks.on_log(step, {"validation/usd": usd})
            if step < 200 and hooks.should_stop():
                return TrainedRun(folder, experiment, Result(step, 200, False, 0, USD, 1.0, 1.0, 1.0))
        return TrainedRun(
            folder, experiment, Result(200, 200, True, 200, USD, min(1.0, self.score(experiment)), 1.0, 1.0)
        )


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    made = Trainings()
    monkeypatch.setattr(study, "train", made.train)
    monkeypatch.setattr(study, "tune_heuristic", lambda *_arguments: None)
    return made


def drawn(trainings: Trainings) -> list[tuple[float, int]]:
    return [(experiment.agent.learning_rate, experiment.train.num_envs) for experiment in trainings.experiments]


def test_the_best_trial_is_the_one_with_the_lowest_score_beside_the_start(trainings: Trainings, tmp_path: Path) -> None:
    report = sweep(CONFIG, tmp_path / "s", trials=12)
    finished = [trial for trial in report.trials if trial.state == "finished"]
    assert report.best is not None
    assert report.best.usd == min(trial.usd for trial in finished)
    assert report.best.usd == pytest.approx(1000.0 * report.best.values["agent.learning_rate"])
    assert {trial.state for trial in report.trials} == {"finished", "pruned"}
    assert report.importances["agent.learning_rate"] > report.importances["train.num_envs"]
    assert sum(report.importances.values()) == pytest.approx(1.0)


def test_the_config_of_the_best_trial_can_be_trained(trainings: Trainings, tmp_path: Path) -> None:
    report = sweep(CONFIG, tmp_path / "s", trials=3)
    assert report.best is not None
    assert report.best_config == tmp_path / "s" / "best.yaml"
    assert load_experiment(tmp_path / "s" / "best.yaml") == trainings.experiments[report.best.number]


def test_what_is_worse_than_the_median_is_pruned(trainings: Trainings, tmp_path: Path) -> None:
    scores = (1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 0.5)
    trainings.score = lambda experiment: scores[len(trainings.experiments) - 1]
    report = sweep(CONFIG, tmp_path / "s", trials=7)
    assert [trial.state for trial in report.trials] == ["finished"] * 5 + ["pruned", "finished"]
    assert report.trials[5].usd == 10.0


@pytest.mark.slow
def test_a_sweep_that_goes_on_draws_what_an_unbroken_one_draws(trainings: Trainings, tmp_path: Path) -> None:
    sweep(CONFIG, tmp_path / "whole", trials=14)
    whole, trainings.experiments = drawn(trainings), []
    for trials in (3, 3, 11, 14):
        sweep(CONFIG, tmp_path / "parts", trials=trials)
    assert drawn(trainings) == whole
    assert len(set(whole)) == 14


def test_another_seed_draws_other_values(trainings: Trainings, tmp_path: Path) -> None:
    for seed in (0, 1):
        sweep({**CONFIG, "seed": seed}, tmp_path / f"{seed}", trials=1)
    assert len(set(drawn(trainings))) == 2


def test_each_trial_is_trained_with_every_seed_and_scored_by_their_mean(trainings: Trainings, tmp_path: Path) -> None:
    trainings.score = lambda experiment: float(experiment.seed)
    report = sweep({**CONFIG, "seed": 3}, tmp_path / "s", trials=1, seeds=3)
    assert trainings.folders == ["0000-seed3", "0000-seed4", "0000-seed5"]
    assert report.trials[0].usd == 4.0


def test_a_trial_that_is_stopped_is_tried_again_with_the_same_values(trainings: Trainings, tmp_path: Path) -> None:
    report = sweep(CONFIG, tmp_path / "s", trials=3, should_stop=lambda: len(trainings.experiments) == 2)
    assert [trial.state for trial in report.trials] == ["finished", "failed", "waiting"]
    report = sweep(CONFIG, tmp_path / "s", trials=3)
    assert [trial.state for trial in report.trials] == ["finished", "failed", "finished", "finished"]
    values = drawn(trainings)
    assert values[1] == values[2]
    assert len(set(values)) == 3


def test_the_trial_of_a_process_that_died_is_tried_again(trainings: Trainings, tmp_path: Path) -> None:
    sweep(CONFIG, tmp_path / "s", trials=1)
    storage = f"sqlite:///{tmp_path / 's' / 'study.db'}"
    held = optuna.load_study(study_name=study.NAME, storage=storage)
    for pid in (2**22 + 1, os.getpid()):  # no process can have the first number on Linux
        trial = held.ask()
        trial.suggest_float("agent.learning_rate", 1e-4, 1e-2, log=True)
        trial.set_user_attr(study.PROCESS, [socket.gethostname(), pid])
    report = sweep(CONFIG, tmp_path / "s", trials=3)
    assert [trial.state for trial in report.trials] == ["finished", "failed", "running", "finished"]
    assert report.trials[3].values["agent.learning_rate"] == report.trials[1].values["agent.learning_rate"]


def test_a_trial_whose_values_do_not_fit_together_fails_and_the_others_go_on(
    trainings: Trainings, tmp_path: Path
) -> None:
    def score(experiment: ExperimentConfig) -> float:
        if len(trainings.experiments) == 2:
            raise UserError("does not fit")
        return 1.0

    trainings.score = score
    report = sweep(CONFIG, tmp_path / "s", trials=3)
    assert [(trial.state, trial.error) for trial in report.trials] == [
        ("finished", None),
        ("failed", "does not fit"),
        ("finished", None),
    ]


def test_a_first_trial_that_cannot_run_ends_the_sweep(trainings: Trainings, tmp_path: Path) -> None:
    def score(experiment: ExperimentConfig) -> float:
        raise UserError("no such trace")

    trainings.score = score
    with pytest.raises(UserError, match="no such trace"):
        sweep(CONFIG, tmp_path / "s", trials=3)


@pytest.mark.parametrize("arguments", [{"seeds": 2}, {"overrides": ["seed=1"]}])
def test_a_folder_of_another_sweep_is_refused(trainings: Trainings, tmp_path: Path, arguments: dict[str, Any]) -> None:
    sweep(CONFIG, tmp_path / "s", trials=1)
    with pytest.raises(SweepError, match="holds a sweep of another config"):
        sweep(CONFIG, tmp_path / "s", trials=2, **arguments)


def test_a_folder_that_is_none_of_a_sweep_is_left_as_it_is(trainings: Trainings, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    with pytest.raises(SweepError, match="is no folder of a sweep"):
        sweep(CONFIG, tmp_path, trials=1)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_the_report_is_written_as_json_and_as_a_picture(trainings: Trainings, tmp_path: Path) -> None:
    report = sweep(CONFIG, tmp_path / "s", trials=6)
    document = json.loads((tmp_path / "s" / "report.json").read_text())
    assert document["schema"] == "autoscaler.sweep/1"
    assert len(document["trials"]) == 6
    assert report.best is not None
    assert document["trials"][document["best"]]["usd"] == report.best.usd
    assert document["config"]["sweep"]["train.num_envs"]["choices"] == [8, 16]
    assert matplotlib.image.imread(tmp_path / "s" / "report.png").shape[:2] == (480, 1200)


def test_the_documentation_names_every_field_of_the_report(trainings: Trainings, tmp_path: Path) -> None:
    document = sweep(CONFIG, tmp_path / "s", trials=4).document()
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8").partition("## `autoscaler.sweep/1`")[2]
    named = set(re.findall(r"^\| `([^`]+)`", text.partition("\n## ")[0], re.MULTILINE))
    trial = {f"trials[].{name}" for name in document["trials"][0]} - {"trials[].values"} | {"trials[].values.<key>"}
    assert named == set(document) - {"trials", "importances"} | trial | {"importances.<key>"}


@pytest.mark.slow
def test_two_real_trainings_are_two_run_folders(tmp_path: Path) -> None:
    small = {
        "trace": "synthetic:quickstart?days=3&seed=0",
        "environment": {"episode_seconds": 21600.0, "codec": {"max_pools": 1, "window_slots": 2}},
        "train": {"total_steps": 2048, "num_envs": 16, "validations": 2, "validation_windows": 2},
    }
    report = sweep({**small, "sweep": {"agent.learning_rate": {"choices": [0.001, 0.01]}}}, tmp_path / "s", trials=2)
    assert [trial.state for trial in report.trials] == ["finished", "finished"]
    for trial in report.trials:
        folder = tmp_path / "s" / "trials" / f"{trial.number:04d}-seed0"
        curve = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        usd = [line["validation/usd"] for line in curve if "validation/usd" in line and line["step"] > 0]
        assert trial.usd == min(usd)


def test_the_command_prints_the_config_of_the_best_trial(
    trainings: Trainings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(json.dumps(CONFIG))
    assert main(["sweep", "c.yaml", "--trials", "4", "--out", "out", "--name", "first"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "out/first/best.yaml\n"
    assert "agent.learning_rate" in captured.err
    assert re.search(r"trial 3: [\d.]+ USD, best [\d.]+", captured.err)
    assert main(["sweep", "c.yaml", "--trials", "4", "--out", "out", "--name", "first", "-q", "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["trials"]) == 4
    assert captured.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment/quickstart"], "sweep is empty"),
        (["nowhere.yaml"], "nowhere.yaml: no such file"),
        (["c.yaml", "--name", "../x"], "--name is '../x'"),
        (["c.yaml", "--set", "sweep={agent.learning_rat: {low: 1, high: 2}}"], "did you mean 'learning_rate'"),
        (["c.yaml", "--out", "/proc/sweeps"], "cannot be written"),
        (["c.yaml", "--json", "nowhere/x.json"], "nowhere/x.json: cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_folder(
    arguments: list[str],
    message: str,
    trainings: Trainings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(json.dumps(CONFIG))
    assert main(["sweep", *arguments, "--trials", "1"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]
