"""The grid: cached by content, resumable, the same rows from every engine, one line for bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from autoscaler.bench import tasks
from autoscaler.bench.errors import BenchError
from autoscaler.bench.grid import run_bench
from autoscaler.bench.policies import choose_policies
from autoscaler.bench.scenario import find_scenario
from autoscaler.bench.store import Store
from autoscaler.bench.tasks import Task
from autoscaler.cli import main
from autoscaler.evaluation.serverless import ServerlessEvaluation
from autoscaler.progress import Reporter
from tests.bench.worlds import FUNCTIONS, MARK, SMALL, small_scenario
from tests.conftest import ROOT

MEASURED = ("replay_cpu_seconds", "replay_wall_seconds", "learning_cpu_seconds", "learning_wall_seconds")
"""Columns that no two runs have the same."""


def rows(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path)
    return table.drop_columns(list(MEASURED)).to_pylist()


def test_a_row_is_a_policy_with_a_seed_on_a_window(tmp_path: Path) -> None:
    done = run_bench([small_scenario(tmp_path)], policies="reactive,random", seeds=2, out=tmp_path / "out", workers=1)
    found = [(row["policy"], row["seed"], row["window"]) for row in rows(done.results)]
    assert found == [
        ("random", 0, 1),
        ("random", 0, 2),
        ("random", 1, 1),
        ("random", 1, 2),
        ("reactive", 0, 1),
        ("reactive", 0, 2),
    ]
    assert done.tasks == 3
    first = rows(done.results)[-1]
    assert first["objective_usd"] == pytest.approx(first["bound_usd"] + first["decidable_usd"])
    assert first["jobs_finished"] == first["jobs_submitted"] > 0


def test_all_rules_are_those_of_the_environment_and_only_what_was_named_is_said_to_be_skipped(tmp_path: Path) -> None:
    notes: list[str] = []

    class Notes(Reporter):
        def note(self, text: str) -> None:
            notes.append(text)

    scenario = small_scenario(tmp_path, "functions", FUNCTIONS)
    out = tmp_path / "out"
    done = run_bench([scenario], policies="all,nearest", out=out, workers=1, progress=Notes())
    found = rows(done.results)
    assert {row["policy"] for row in found} == set(ServerlessEvaluation.rules)
    assert all(row["objective_usd"] >= row["bound_usd"] for row in found)
    assert [note for note in notes if "skipped" in note] == [
        "skipped on functions, which is no scenario of autoscaler/EdgeCity-v0: nearest"
    ]


def test_what_is_done_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, out = small_scenario(tmp_path), tmp_path / "out"
    before = rows(run_bench([scenario], policies="reactive", out=out, workers=1).results)
    monkeypatch.setattr("autoscaler.bench.local.run_task", lambda *_: pytest.fail("runs again"))
    again = run_bench([scenario], policies="reactive", out=out, workers=1)
    assert (again.cached, again.tasks) == (1, 1)
    np.testing.assert_equal(rows(again.results), before)  # NaN where nothing is known


def test_results_of_later_grids_join_and_stale_ones_go(tmp_path: Path) -> None:
    scenario, out = small_scenario(tmp_path), tmp_path / "out"
    run_bench([scenario], policies="reactive", out=out, workers=1)
    joined = run_bench([scenario], policies="always-on", out=out, workers=1)
    assert {row["policy"] for row in rows(joined.results)} == {"reactive", "always-on"}
    small_scenario(tmp_path, text=SMALL.replace("version: 1", "version: 2"))
    changed = run_bench([scenario], policies="always-on", out=out, workers=1)
    assert {(row["policy"], row["version"]) for row in rows(changed.results)} == {("always-on", 2)}


def test_the_key_of_a_task_follows_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = find_scenario(small_scenario(tmp_path), None)
    (plain, tuned), (agent, other) = (
        choose_policies(names, 1)
        for names in ("reactive,reactive-tuned", "ppo?train.total_steps=1000,ppo?train.total_steps=2000")
    )
    keys = {Task(scenario, policy, seed).key for policy in (plain, tuned, agent, other) for seed in (0, 1)}
    assert len(keys) == 8
    assert Task(scenario, plain, 0).key in keys
    monkeypatch.setattr(tasks, "code_digest", lambda: "other code")
    assert Task(scenario, plain, 0).key not in keys


PPO = "ppo?train.total_steps=512&train.num_envs=4&agent.n_steps=16&agent.batch_size=64&train.validations=1"


@pytest.mark.parametrize("policy", [PPO, "cma-es?train.total_steps=512&agent.window_days=0.5"], ids=["ppo", "cma-es"])
def test_an_agent_is_trained_within_its_task_and_kept(tmp_path: Path, policy: str) -> None:
    done = run_bench([small_scenario(tmp_path)], policies=policy, out=tmp_path / "out", workers=1)
    row = pq.read_table(done.results).to_pylist()[0]
    assert row["policy"] == policy
    assert row["kind"] == "agent"
    assert row["learning_steps"] >= 512
    assert row["learning_cpu_seconds"] > 0
    run = tmp_path / "out" / "policies" / row["key"]
    again = run_bench([small_scenario(tmp_path)], policies=str(run), out=tmp_path / "other", workers=1)
    theirs = pq.read_table(again.results).to_pylist()[0]
    assert theirs["objective_usd"] == row["objective_usd"]
    assert theirs["kind"] == "run"


def bench(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A process of its own: its workers import what the tests define."""
    return subprocess.Popen(
        [sys.executable, "-m", "autoscaler", "bench", "run", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_every_engine_gives_the_same_rows_and_a_killed_worker_costs_its_task_only(tmp_path: Path, engine: str) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="ray is not installed")
    scenario = small_scenario(tmp_path)
    policies = "reactive,random,tests.bench.worlds:DIES_ONCE"
    (tmp_path / "calm").touch()
    _, errors = bench(
        scenario, "--policies", policies, "--out", str(tmp_path / "a"), "--workers", "1",
        **{MARK: str(tmp_path / "calm")},
    ).communicate()  # fmt: skip
    assert "a worker was killed" not in errors
    killed = bench(
        scenario, "--policies", policies, "--out", str(tmp_path / "b"), "--workers", "2", "--engine", engine,
        **{MARK: str(tmp_path / "mark")},
    )  # fmt: skip
    _, errors = killed.communicate()
    assert killed.returncode == 0, errors
    assert "a worker was killed" in errors
    assert (tmp_path / "mark").exists()
    np.testing.assert_equal(rows(tmp_path / "a" / "results.parquet"), rows(tmp_path / "b" / "results.parquet"))


@pytest.mark.slow
def test_a_task_that_always_kills_its_worker_is_given_up(tmp_path: Path) -> None:
    process = bench(
        small_scenario(tmp_path), "--policies", "tests.bench.worlds:DIES,reactive", "--out", str(tmp_path / "out"),
        "--workers", "2", "--quiet",
    )  # fmt: skip
    output, errors = process.communicate()
    assert process.returncode == 2
    assert "its worker was killed 3 times" in errors.splitlines()[-1]
    assert output.strip() == str(tmp_path / "out" / "results.parquet")
    assert {row["policy"] for row in rows(tmp_path / "out" / "results.parquet")} == {"reactive"}


@pytest.mark.slow
def test_a_killed_grid_goes_on_where_it_was(tmp_path: Path) -> None:
    scenario, out = small_scenario(tmp_path), tmp_path / "out"
    arguments = (
        scenario,
        "--policies",
        "reactive,always-on,random",
        "--seeds",
        "30",
        "--out",
        str(out),
        "--workers",
        "1",
    )
    process = bench(*arguments)
    while not list((out / "tasks").glob("*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = {path.name: path.stat().st_mtime_ns for path in (out / "tasks").glob("*.json")}
    done = bench(*arguments, "--json", "-")
    output, errors = done.communicate()
    assert done.returncode == 0, errors
    document = json.loads(output)
    assert document["cached"] == len(kept) >= 1
    assert document["tasks"] == 32
    assert {name: (out / "tasks" / name).stat().st_mtime_ns for name in kept} == kept
    assert not list(out.rglob("*.partial"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--policies", "reactiv"], "did you mean 'reactive'"),
        (["--policies", "reactive?x=1"], "only agents take options"),
        (["--policies", "ppo?trace=x"], "is no setting of an agent"),
        (["--policies", "ppo?train.total_stepz=1"], "did you mean"),
        (["--policies", "dqn"], "cannot play MultiDiscrete"),
        (["--policies", "learned-hazard"], "nothing can run"),
        (["--policies", "consolidating"], "nothing can run"),
        (["--address", "auto"], "add --engine ray"),
        (["--policies", "./no/such/run"], "no/such/run"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["bench", "run", small_scenario(tmp_path), "--out", str(out), "--quiet", *arguments]) == 2
    errors = capsys.readouterr().err
    assert words in errors
    assert len(errors.splitlines()) == 1
    assert not out.exists()


def test_an_agent_that_is_made_for_one_environment_takes_part_there() -> None:
    (policy,) = choose_policies("learned-hazard?train.total_steps=1000", 2)
    scenarios = {name: find_scenario(name, None).config for name in ("serverless-generated", "synthetic-one-pool")}
    assert policy.reason_against(scenarios["serverless-generated"]) is None
    reason = policy.reason_against(scenarios["synthetic-one-pool"])
    assert reason == "which is no scenario of autoscaler/Serverless-v0"


def test_a_folder_is_for_one_grid_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path / "out").lock(), pytest.raises(BenchError, match="another `bench run` uses it"):
        run_bench([small_scenario(tmp_path)], policies="reactive", out=tmp_path / "out", workers=1)


def test_a_damaged_task_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_bench([small_scenario(tmp_path)], policies="reactive", out=out, workers=1)
    (path,) = (out / "tasks").glob("*.json")
    path.write_text("[{")
    with pytest.raises(BenchError, match="remove it, and its task runs again"):
        run_bench([small_scenario(tmp_path)], policies="reactive", out=out, workers=1)
