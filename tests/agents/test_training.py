"""Training: learning curves that repeat to the bit, also over a stop and a resume, and checkpoints that are whole."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch

import agents.sb3.checkpoint as checkpoint_module
import traces
from agents.artifact import WEIGHTS, find_artifact, read_manifest
from agents.baselines.tuned import Tuned
from agents.cluster_task import ClusterTask
from agents.errors import AgentConfigError, ArtifactError
from agents.loading import load_policy
from agents.sb3.run import CHECKPOINTS, KEEP_CHECKPOINTS, POLICY, checkpoints
from agents.sb3.training import CURVE, TENSORBOARD
from agents.scoring import score
from agents.training import Hooks, train
from envs.gpu_cluster.cluster import auto_cluster
from envs.gpu_cluster.codec import ALWAYS_ON, IDLE_AGE_EDGES_SECONDS, CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from tests.agents.builders import LAYOUTS, small_problem, small_task

CORE = ["maskable-ppo", "ppo", "dqn"]
AGENTS = sorted(set(LAYOUTS) - {"ars"})
"""All but `ars`, whose updates are whole episodes."""


@pytest.fixture(scope="module")
def problem() -> dict[str, Problem]:
    """The same two days of jobs for every agent."""
    return {agent: small_problem(layout) for agent, layout in LAYOUTS.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    """Makes empty run folders."""

    def make(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    return make


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / CURVE).read_text().splitlines()]


def stop_after(iterations: int) -> Hooks:
    """Asks to stop before iteration number `iterations`."""
    asked = []
    return Hooks(should_stop=lambda: asked.append(0) is None and len(asked) > iterations)


def end_state(folder: Path) -> dict[str, Any]:
    """Everything that a training leaves, without the wall clock."""
    newest = checkpoints(folder)[-1]
    state = json.loads((newest / "state.json").read_text())
    state["episodes"] = [{**episode, "t": 0.0} for episode in state["episodes"]]
    with np.load(newest / "arrays.npz") as file:
        arrays = {name: file[name].tobytes() for name in file}
    tensors = {
        name: value.numpy().tobytes()
        for name, value in safetensors.torch.load_file(newest / "model.safetensors").items()
    }
    policy = (folder / POLICY / WEIGHTS).read_bytes()
    return {"name": newest.name, "state": state, "arrays": arrays, "tensors": tensors, "policy": policy}


def assert_same_end(one: Path, other: Path) -> None:
    assert (one / CURVE).read_text() == (other / CURVE).read_text()
    ours, theirs = end_state(one), end_state(other)
    for key, value in ours.items():
        if isinstance(value, dict):
            assert value.keys() == theirs[key].keys()
            assert [name for name in value if value[name] != theirs[key][name]] == []
        else:
            assert value == theirs[key]


@pytest.mark.parametrize("agent", AGENTS)
def test_a_training_writes_its_curve_its_policy_and_checkpoints(
    agent: str, problem: dict[str, Problem], folder: Callable[[str], Path]
) -> None:
    run = folder("run")
    advanced: list[int] = []
    task = small_task(agent, problem=problem[agent], train={"checkpoint_steps": 1024})
    result = train(task, run, Hooks(advance=advanced.append))
    assert result.finished
    assert result.steps == sum(advanced) == 4096
    validations = [entry for entry in curve(run) if "validation/usd" in entry]
    assert [entry["step"] for entry in validations] == [0, 1024, 2048, 3072, 4096]
    best = min(entry["validation/usd"] for entry in validations)
    assert result.best_score == validations[-1]["validation/best_usd"] == best
    assert result.start_score == validations[0]["validation/usd"]
    assert result.beats_start == (best < result.start_score)
    kept = next(entry["step"] for entry in validations if entry["validation/usd"] == best)
    manifest = read_manifest(find_artifact(run))
    assert (manifest.kept_step, manifest.total_steps) == (result.kept_step, result.total_steps) == (kept, 4096)
    assert any(any(key.startswith("train/") for key in entry) for entry in curve(run))
    assert all(len(entry) > 1 for entry in curve(run))
    rewards = [entry["rollout/reward_per_hour"] for entry in curve(run) if "rollout/reward_per_hour" in entry]
    assert "rollout/reward_per_hour" in curve(run)[1]  # right after the first validation
    assert all(-100.0 < reward < 0.0 for reward in rewards)
    assert not any(key.startswith("time/") for entry in curve(run) for key in entry)
    assert len(checkpoints(run)) == KEEP_CHECKPOINTS
    assert checkpoints(run)[-1].name == "step-000000004096"
    assert list((run / TENSORBOARD).glob("events.*"))
    policy = load_policy(run)
    assert policy.packer == "best-fit"
    assert score(policy, task.problem, task.validation).mean() == pytest.approx(best, rel=1e-9)
    assert score(task.tuned.policy(task.problem.config), task.problem, task.validation).mean() == pytest.approx(
        result.baseline_score
    )


def assert_cheaper(task: ClusterTask, run: Path) -> None:
    """The best policy of a training, and the last ones too, cost less than the one that it starts from."""
    result = train(task, run)
    costs = [entry["validation/usd"] for entry in curve(run) if "validation/usd" in entry]
    assert result.best_score < 0.9 * costs[0]
    assert np.mean(costs[-3:]) < 0.95 * costs[0]


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["maskable-ppo", "ppo"])
def test_training_makes_a_policy_cheaper(
    agent: str, problem: dict[str, Problem], folder: Callable[[str], Path]
) -> None:
    """maskable-ppo starts from a bad rule here, ppo from a random network."""
    lengths = {"total_steps": 60_000, "validations": 10}
    network = {"hidden_units": 16} if agent == "maskable-ppo" else {"policy_kwargs": {"net_arch": [16, 16]}}
    task = small_task(agent, problem=problem[agent], train=lengths, learning_rate=3e-3, **network)
    bad = Tuned(IDLE_AGE_EDGES_SECONDS[-1], ALWAYS_ON, "best-fit", 12.0, 0.5, (12.0, 12.0), ("", ""))
    assert_cheaper(replace(task, tuned=bad), folder("run"))


@pytest.mark.slow
def test_training_makes_a_policy_of_dqn_cheaper(problem: dict[str, Problem], folder: Callable[[str], Path]) -> None:
    """Decisions are five minutes apart and only energy costs: the values of two setpoints must differ by more than the
    network is wrong, and one setpoint for a second changes nearly nothing.
    """
    trace = traces.load("synthetic:quickstart?days=2&seed=0")
    config = replace(
        problem["dqn"].config,
        settle_seconds=300.0,
        resync_interval_seconds=300.0,
        objective=ObjectiveConfig(usd_per_gpu_hour=0.0),
    )
    settings = {"buffer_size": 20_000, "learning_starts": 1000, "gradient_steps": 8, "learning_rate": 1e-3}
    task = small_task(
        "dqn",
        problem=make_problem(trace, auto_cluster(trace), config),
        train={"total_steps": 20_000, "validations": 10},
        policy_kwargs={"net_arch": [32, 32]},
        gamma=0.99,
        **settings,
    )
    assert_cheaper(task, folder("run"))


@pytest.mark.slow
@pytest.mark.parametrize("agent", CORE)
def test_the_same_seed_gives_the_same_training_and_another_one_another(
    agent: str, problem: dict[str, Problem], folder: Callable[[str], Path]
) -> None:
    runs = [folder(name) for name in ("one", "two", "other")]
    for run, seed in zip(runs, (5, 5, 6), strict=True):
        train(small_task(agent, seed, problem[agent]), run)
    assert_same_end(runs[0], runs[1])
    assert (runs[0] / CURVE).read_text() != (runs[2] / CURVE).read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("agent", "iterations"), [(agent, 3) for agent in AGENTS] + [(agent, 5) for agent in CORE])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    agent: str, iterations: int, problem: dict[str, Problem], folder: Callable[[str], Path]
) -> None:
    """Stopped twice, against once through."""
    task = small_task(agent, problem=problem[agent])
    whole, parts = folder("whole"), folder("parts")
    assert train(task, whole).finished
    unit = {"dqn": 10, "qrdqn": 10, "a2c": 2}.get(agent, 1)
    first = train(task, parts, stop_after(iterations * unit))
    assert not first.finished
    second = train(task, parts, stop_after(unit), resume=True)
    assert not second.finished
    assert first.steps < second.steps < 4096
    advanced: list[int] = []
    last = train(task, parts, Hooks(advance=advanced.append), resume=True)
    assert last.finished
    assert sum(advanced) == last.steps == 4096
    assert_same_end(whole, parts)


@pytest.mark.slow
def test_ars_updates_by_whole_episodes_and_goes_on_to_the_same_bits(
    problem: dict[str, Problem], folder: Callable[[str], Path]
) -> None:
    task = small_task("ars", problem=problem["ars"], train={"total_steps": 20_000, "validations": 2})
    whole, parts = folder("whole"), folder("parts")
    finished = train(task, whole)
    assert finished.finished
    assert finished.steps >= 20_000
    assert any("train/step_size" in entry and "rollout/reward_per_hour" in entry for entry in curve(whole))
    assert not train(task, parts, stop_after(1)).finished
    assert train(task, parts, resume=True) == finished
    assert_same_end(whole, parts)


def test_a_training_that_was_killed_goes_on_from_its_last_checkpoint(
    problem: dict[str, Problem], folder: Callable[[str], Path]
) -> None:
    """Its curve has entries of after the checkpoint, which are forgotten."""
    agent = "maskable-ppo"
    task = small_task(agent, problem=problem[agent], train={"checkpoint_steps": 1500})
    whole, killed = folder("whole"), folder("killed")
    train(task, whole)

    def kill() -> bool:
        if len(curve(killed)) > 9:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        train(task, killed, Hooks(should_stop=kill))
    assert curve(killed)[-1]["step"] > int(checkpoints(killed)[-1].name.removeprefix("step-"))
    assert train(task, killed, resume=True).finished
    assert_same_end(whole, killed)


def test_resuming_what_is_finished_changes_nothing(problem: dict[str, Problem], folder: Callable[[str], Path]) -> None:
    task, run = small_task("maskable-ppo", problem=problem["maskable-ppo"]), folder("run")
    first = train(task, run)
    before = (run / CURVE).read_text(), end_state(run)
    assert train(task, run, resume=True) == first
    assert ((run / CURVE).read_text(), end_state(run)) == before


@pytest.fixture(scope="module")
def stopped(problem: dict[str, Problem], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped, not to be changed."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    run.mkdir()
    train(small_task("maskable-ppo", problem=problem["maskable-ppo"]), run, stop_after(2))
    return run


def copied(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "copy"))


@pytest.mark.parametrize(
    "change",
    [{"hidden_units": 16}, {"train": {"num_envs": 8}}, {"agent": "ppo"}, {"agent": "dqn"}, {"agent": "ars"}],
)
def test_a_checkpoint_of_another_configuration_is_refused(
    stopped: Path, change: dict[str, Any], problem: dict[str, Problem], tmp_path: Path
) -> None:
    agent = change.get("agent", "maskable-ppo")
    values = {name: value for name, value in change.items() if name != "agent"}
    with pytest.raises(ArtifactError, match="the checkpoint cannot be resumed"):
        train(small_task(agent, problem=problem[agent], **values), copied(stopped, tmp_path), resume=True)


@pytest.mark.parametrize("name", ["model.safetensors", "arrays.npz", "state.json"])
@pytest.mark.parametrize("damage", ["missing", "short", "empty", "noise"])
def test_a_damaged_checkpoint_is_refused(
    stopped: Path, name: str, damage: str, problem: dict[str, Problem], tmp_path: Path
) -> None:
    run = copied(stopped, tmp_path)
    path = checkpoints(run)[-1] / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"short": content[: len(content) // 2], "empty": b"", "noise": b"\x93NUMPY" * 40}[damage])
    with pytest.raises(ArtifactError, match="cannot be resumed") as caught:
        train(small_task("maskable-ppo", problem=problem["maskable-ppo"]), run, resume=True)
    assert str(path.parent) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_checkpoint_there_is_nothing_to_resume(
    problem: dict[str, Problem], folder: Callable[[str], Path]
) -> None:
    with pytest.raises(ArtifactError, match="there is no checkpoint to resume from"):
        train(small_task("maskable-ppo", problem=problem["maskable-ppo"]), folder("run"), resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["savez", "save_file"])
def test_a_full_disk_leaves_no_half_written_checkpoint(
    step: str, problem: dict[str, Problem], folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second checkpoint cannot be written; the first one stays, and the run goes on from it."""
    task = small_task("maskable-ppo", problem=problem["maskable-ppo"], train={"checkpoint_steps": 1024})
    whole, run = folder("whole"), folder("run")
    train(task, whole)
    module = {"savez": np, "save_file": checkpoint_module.safetensors.torch}[step]
    real, calls = getattr(module, step), []

    def full(*arguments: Any, **keywords: Any) -> None:
        path = next(argument for argument in arguments if isinstance(argument, Path))
        if CHECKPOINTS in path.parts:
            calls.append(path)
        if len(calls) == 2:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*arguments, **keywords)

    monkeypatch.setattr(module, step, full)
    with pytest.raises(OSError, match="No space left"):
        train(task, run)
    monkeypatch.undo()
    assert [path.name for path in (run / CHECKPOINTS).iterdir()] == ["step-000000000512"]
    assert train(task, run, resume=True).finished
    assert_same_end(whole, run)


def test_a_full_disk_leaves_no_half_written_policy(
    problem: dict[str, Problem], folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_tensors: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    run = folder("run")
    with pytest.raises(OSError, match="No space left"):
        train(small_task("maskable-ppo", problem=problem["maskable-ppo"]), run)
    assert not (run / POLICY).exists()
    assert sorted(path.name for path in run.iterdir() if path.name.startswith(".")) == []


def test_dqn_refuses_an_action_of_several_components(
    problem: dict[str, Problem], folder: Callable[[str], Path]
) -> None:
    message = (
        r"agent dqn plays Discrete actions, this environment has MultiDiscrete of 5 components; agents that fit: "
        r"maskable-ppo, ppo, .*; or let one component be left: environment\.codec\.max_pools=1"
    )
    with pytest.raises(AgentConfigError, match=message):
        train(small_task("dqn", problem=problem["ppo"]), folder("run"))


def test_nothing_of_a_checkpoint_is_unpickled(
    stopped: Path, problem: dict[str, Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(stopped, tmp_path)
    for target in ("pickle.load", "pickle.loads", "torch.load"):
        monkeypatch.setattr(target, lambda *_args, **_kwargs: pytest.fail("something was unpickled"))
    assert train(small_task("maskable-ppo", problem=problem["maskable-ppo"]), run, resume=True).finished


def test_the_scale_of_rewards_makes_the_tuned_return_about_minus_one(problem: dict[str, Problem]) -> None:
    """0.5 USD an hour, discounted by 0.997 a minute: 333 minutes count."""
    task = small_task("maskable-ppo", problem=problem["maskable-ppo"], gamma=0.997)
    assert task.reward_scale == pytest.approx(1.0 / (0.5 * (1 / 60) / 0.003))


def test_rewards_of_a_tuned_heuristic_that_earns_have_the_scale_of_one_that_costs_as_much(
    problem: dict[str, Problem],
) -> None:
    task = small_task("maskable-ppo", problem=problem["maskable-ppo"])
    earning = replace(task, tuned=replace(task.tuned, usd_per_hour=-task.tuned.usd_per_hour))
    assert earning.reward_scale == task.reward_scale


def test_training_with_the_consolidation_lever_moves_jobs_and_is_not_worse_than_the_tuned_rule(
    folder: Callable[[str], Path],
) -> None:
    """The tuned rule consolidates; so does the policy that starts from it."""
    trace = traces.load("synthetic:quickstart?days=2&seed=0&checkpointable=1.0")
    layout = CodecLayout(max_pools=1, window_slots=2, consolidation=True, consolidation_interval_seconds=600.0)
    config = EnvironmentConfig(codec=layout, episode_seconds=21_600.0, move_seconds=10.0)
    small = make_problem(trace, auto_cluster(trace), config)
    task = small_task("maskable-ppo", problem=small, train={"total_steps": 8192}, start_logit=4.0)
    task = replace(task, tuned=replace(task.tuned, consolidation=2))
    run_folder = folder("consolidation")
    result = train(task, run_folder)
    assert result.steps >= 8192
    assert result.best_score <= result.baseline_score * 1.001
    policy = load_policy(run_folder / POLICY)
    simulator = Simulator.from_problem(small, len(task.validation))
    simulator.reset(np.arange(len(task.validation)), task.validation)
    while not simulator.done.all():
        simulator.step(policy.act(simulator.observations, simulator.action_masks))
    assert sum(pool.moves for index in range(len(task.validation)) for pool in simulator.pool_totals(index)) > 0
