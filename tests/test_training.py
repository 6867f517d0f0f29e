"""Training as a library, with a stand-in for the engine: what is recorded, told and restored around it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.baselines.tuned import Tuned
from agents.cluster_task import USD
from agents.errors import ArtifactError
from agents.training import Result
from autoscaler import training
from autoscaler.experiment import ExperimentError
from autoscaler.run_folder import saved_experiment

EXPERIMENT = {
    "trace": "synthetic:quickstart?days=4&seed=0",
    "environment": {"episode_seconds": 21600.0, "codec": {"max_pools": 1, "window_slots": 2}},
    "train": {"total_steps": 1000, "num_envs": 4, "validations": 2, "validation_windows": 2},
}
TUNED = Tuned(300.0, 0.0, "best-fit", 10.0, 1.0, (10.0, 10.0), ("a", "b"))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """The lengths that trainings had, and whether they resumed. Each keeps its start."""
    calls: list[tuple[int, bool]] = []

    def run(task: Any, folder: Path, hooks: Any, resume: bool) -> Result:
        if calls and calls[-1] == (0, False):
            raise ArtifactError("no checkpoint")
        calls.append((task.train.total_steps, resume))
        (folder / "checkpoints" / "step-1").mkdir(parents=True, exist_ok=True)
        for writer in hooks.writers:
            writer.write({"validation/usd": 9.0, "text": "no number"}, {}, 0)
        return Result(task.train.total_steps, task.train.total_steps, True, 0, USD, 9.0, 9.0, 10.0)

    monkeypatch.setattr(training, "run_engine", run)
    return calls


def test_hooks_see_the_numbers_of_each_entry(engine: list[tuple[int, bool]], tmp_path: Path) -> None:
    seen: list[tuple[int, dict[str, float]]] = []
    hooks = training.Hooks(on_log=lambda step, numbers: seen.append((step, dict(numbers))))
    training.train(EXPERIMENT, tmp_path / "run", tuned=TUNED, hooks=hooks)
    assert seen == [(0, {"validation/usd": 9.0})]


def test_a_kept_start_is_told_as_such(engine: list[tuple[int, bool]], tmp_path: Path) -> None:
    run = training.train(EXPERIMENT, tmp_path / "run", tuned=TUNED)
    assert run.describe().startswith("kept the policy that training started from: none of 1,000 steps scored better; ")
    assert "9.00 USD" in run.describe()
    assert run.describe().endswith("reactive-tuned 10.00 (-10.0%)")


def test_a_longer_run_is_recorded_as_one(engine: list[tuple[int, bool]], tmp_path: Path) -> None:
    folder = training.train(EXPERIMENT, tmp_path / "run", tuned=TUNED).folder
    run = training.resume(folder, steps=1500)
    assert engine == [(1000, False), (1500, True)]
    assert run.experiment == saved_experiment(folder)
    assert saved_experiment(folder).train.total_steps == 1500
    assert json.loads((folder / "run.json").read_text())["result"]["total_steps"] == 1500
    training.resume(folder)
    assert engine[-1] == (1500, True)


def test_a_longer_run_that_cannot_begin_leaves_the_config_as_it_was(
    engine: list[tuple[int, bool]], tmp_path: Path
) -> None:
    folder = training.train(EXPERIMENT, tmp_path / "run", tuned=TUNED).folder
    before = (folder / "config.yaml").read_text()
    engine.append((0, False))
    with pytest.raises(ArtifactError, match="no checkpoint"):
        training.resume(folder, steps=1500)
    assert (folder / "config.yaml").read_text() == before


@pytest.mark.parametrize("steps", [500, 1000])
def test_a_run_is_not_made_shorter(engine: list[tuple[int, bool]], tmp_path: Path, steps: int) -> None:
    folder = training.train(EXPERIMENT, tmp_path / "run", tuned=TUNED).folder
    with pytest.raises(ExperimentError, match="is made for 1,000 steps already"):
        training.resume(folder, steps=steps)


def test_a_policy_to_start_from_is_looked_for_before_anything_is_tuned(
    engine: list[tuple[int, bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "tune_together", None)  # calling it would be an error of another type
    with pytest.raises(ArtifactError, match="there is no policy artifact"):
        training.train(EXPERIMENT, tmp_path / "run", init_from=tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()
