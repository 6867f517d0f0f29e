"""Policies of environments that are no GPU clusters: rules and runs on what training has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autoscaler
from autoscaler.bench.grid import run_bench
from autoscaler.bench.table import bench_table
from autoscaler.cli import main
from autoscaler.evaluation.environments import COLUMNS, EVALUATIONS, make_evaluation, overlaid, rule_environments
from autoscaler.evaluation.errors import EvaluationError
from envs.serverless.training import ConstantAction
from tests.bench.test_json_documentation import documented
from tests.bench.worlds import small_scenario

ENV = "autoscaler/Serverless-v0"
WORKLOAD = "synthetic-functions:mixed?functions=12&hours=6&seed=1"
TRAIN: dict[str, Any] = {
    "workload": WORKLOAD,
    "config": {"part": "train", "episode_seconds": 7200.0, "warm_up_seconds": 600.0},
}
SCENARIO = f"""\
version: 1
description: a few functions
env: {ENV}
env_kwargs:
  workload: {WORKLOAD}
  config: {{warm_up_seconds: 600.0, episode_seconds: 7200.0}}
train_kwargs: {{config: {{part: train}}}}
test_kwargs: {{config: {{part: test}}}}
windows: 2
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short search."""
    agent = {"name": "cma-es", "restarts": 1, "windows": 1, "population": 6}
    train = {"total_steps": 20_000, "validations": 2, "checkpoint_steps": 10_000}
    folder = tmp_path_factory.mktemp("runs") / "run"
    autoscaler.train({"env": ENV, "env_kwargs": TRAIN, "agent": agent, "train": train}, folder)
    return folder


def test_every_rule_has_all_columns_and_costs_more_than_the_bound() -> None:
    evaluation = make_evaluation(ENV, TRAIN, EVALUATIONS[ENV].held_out(TRAIN), 2)
    assert evaluation.reference in evaluation.rules
    for name in ("always-warm", "per-function", "hazard", "fixed-tuned"):
        rule, settings = evaluation.make_rule(name)
        assert bool(settings) == name.endswith("-tuned")
        rows = evaluation.play(rule)
        assert len(rows) == len(evaluation.windows) == 2
        for row in rows:
            assert set(COLUMNS) <= row.keys()
            assert np.isfinite(list(row.values())).all()
            assert 0.0 <= row["decidable_usd"] == pytest.approx(row["objective_usd"] - row["bound_usd"])


def test_an_actor_that_chooses_the_hazard_rule_costs_what_the_rule_costs() -> None:
    evaluation = make_evaluation(ENV, TRAIN, TRAIN, 2)
    rule, acted = evaluation.play(evaluation.make_rule("hazard")[0]), evaluation.play(ConstantAction())
    for ours, theirs in zip(acted, rule, strict=True):
        assert ours["objective_usd"] == pytest.approx(theirs["objective_usd"], rel=1e-9)


def test_held_out_are_the_functions_that_training_has_not_seen() -> None:
    assert EVALUATIONS[ENV].held_out(TRAIN)["config"]["part"] == "test"
    assert EVALUATIONS[ENV].held_out({"workload": WORKLOAD}) == {"workload": WORKLOAD}


def test_changes_are_joined_with_what_they_change() -> None:
    assert overlaid({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "d": 5}) == {"a": {"b": 4, "c": 2}, "d": 5}


def test_rules_of_all_environments_have_names_of_their_own() -> None:
    from agents.registry import AGENTS, BASELINES

    names = rule_environments()
    assert sum(len(EVALUATIONS[env].rules) for env in EVALUATIONS) == len(names)
    assert not names.keys() & {*BASELINES, *AGENTS}


def test_evaluate_compares_a_run_with_rules_on_unseen_functions(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ["--baselines", "hazard-tuned,fixed-10", "--windows", "2", "--quiet", "--json", str(out)]
    assert main(["evaluate", str(run), *options]) == 0
    document = json.loads(out.read_text())
    assert document["env_kwargs"]["config"]["part"] == "test"
    assert document["reference"] == "hazard-tuned"
    assert set(document["policies"]) == {"cma-es", "hazard-tuned", "fixed-10"}
    assert document["policies"]["fixed-10"]["versus"]["objective_usd"]["mean"] is not None
    assert documented(document["schema"]) >= {"env", "reference", "windows[].start_seconds"}


def test_set_changes_the_environment(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ["--baselines", "none", "--windows", "1", "--set", "config.prices.usd_per_kwh=0.0", "--json", str(out)]
    assert main(["evaluate", str(run), "--quiet", *options]) == 0
    measures = json.loads(out.read_text())["policies"]["cma-es"]["measures"]
    assert measures["cost_usd_energy"]["mean"] == 0.0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--baselines", "hazrd"], "did you mean 'hazard'"),
        (["--report", "x.html"], "--report is only for runs of GPU clusters"),
        (["--set", "config.part=tset"], "part"),
        (["--set", "worklod=x"], "did you mean 'workload'"),
    ],
)
def test_bad_input_is_one_line(run: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--quiet", *options]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert error.startswith("error: ") or "Usage" in error


def test_an_environment_without_an_evaluation_is_refused() -> None:
    with pytest.raises(EvaluationError, match="brings no evaluation"):
        make_evaluation("CartPole-v1", {}, {}, 1)


def test_a_scenario_of_functions_runs_beside_clusters(run: Path, tmp_path: Path) -> None:
    scenarios = [small_scenario(tmp_path), small_scenario(tmp_path, "functions", SCENARIO)]
    policies = f"reactive,reactive-tuned,hazard-tuned,hazard,{run}"
    done = run_bench(scenarios, policies=policies, out=tmp_path / "out", workers=1)
    done.check()
    assert done.tasks == 5
    table = bench_table(tmp_path / "out")
    assert table.references == ("hazard-tuned", "reactive-tuned")
    summaries = {summary.name: summary for summary in table.policies}
    assert set(summaries["hazard"].by_scenario) == {"functions"}
    assert summaries["reactive-tuned"].gap_closed is None
    assert summaries["hazard"].gap_closed is not None
    assert run_bench(scenarios, policies=policies, out=tmp_path / "out", workers=1).cached == 5
