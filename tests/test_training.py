"""Training as a library, with a stand-in for the engine: what is recorded, told and restored around it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traces
from agents.baselines.tuned import Tuned
from agents.cluster_task import USD
from agents.errors import ArtifactError
from agents.loading import load_cluster_policy
from agents.training import Result
from autoscaler import training
from autoscaler.evaluation.comparison import Contender, compare
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.training_part import on_training_part
from autoscaler.evaluation.windows import equal_windows
from autoscaler.experiment import ExperimentError
from autoscaler.run_folder import saved_experiment
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from tests.envs.gpu_cluster.builders import make_trace
from tests.evaluation.worlds import one_pool

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
    monkeypatch.setattr(training, "_training_part", lambda *_: None)  # it would replay the policy, and there is none
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


def test_a_training_says_what_it_saves_where_it_was_trained(tmp_path: Path) -> None:
    config = {**EXPERIMENT, "agent": {"name": "cma-es", "restarts": 1, "window_days": 0.5}}
    run = training.train(config, tmp_path / "run", tuned=TUNED)
    part = run.training_part
    assert part is not None
    assert part.windows == 2
    # The same as a comparison of both on the windows of the training part.
    trace, settings = traces.load(run.experiment.trace), run.experiment.environment
    comparison = compare(
        Scenario(trace, run.experiment.described_cluster(trace), settings),
        [
            Contender("reactive-tuned", (TUNED.policy(settings),), "rule"),
            Contender("ours", (load_cluster_policy(run.folder),), "trained"),
        ],
        equal_windows(trace, 0.0, 0.6, 2),
        np.random.default_rng(0),
        reference="reactive-tuned",
    )
    ours, theirs = comparison.results["ours"], comparison.results["reactive-tuned"]
    assert ours.versus is not None
    assert part.gap_closed == ours.versus.gap_closed
    assert part.decidable_usd == ours.estimates["decidable_usd"]
    assert part.tuned_usd == theirs.estimates["decidable_usd"]
    assert part.cheaper == int((ours.versus.by_window < 0.0).sum())
    saved = json.loads((run.folder / "run.json").read_text())["training_part"]
    assert saved["gap_closed"] == part.gap_closed.to_dict()
    assert f"{part.gap_closed.mean:.1%}" in part.describe()
    assert f"of {part.windows} windows" in part.describe()


def test_windows_without_jobs_are_joined() -> None:
    jobs = [(0.0, 60.0, 1.0), (10.0, 60.0, 1.0), (86_400.0, 60.0, 1.0)]
    assert part_of(jobs, CodecLayout(max_pools=1), windows=6).windows == 2


def test_without_a_bound_there_is_no_share_of_a_gap() -> None:
    jobs = [(0.0, 60.0, 1.0), (3600.0, 60.0, 1.0)]
    assert part_of(jobs, CodecLayout(max_pools=1, elastic_width=True), windows=2) is None


def part_of(jobs: list[tuple[float, float, float]], codec: CodecLayout, windows: int) -> Any:
    """The training part of some jobs, all of them, with the tuned heuristic as the trained policy."""
    scenario = Scenario(make_trace(jobs), one_pool(), EnvironmentConfig(codec=codec))
    tuned = TUNED.policy(scenario.config)
    return on_training_part(scenario, 1.0, tuned, tuned, windows)
