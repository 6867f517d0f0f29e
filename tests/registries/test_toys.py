"""Every registry takes a new entry by one file and one line, and the command line uses it.

`toys/` holds the files; each test adds the line to the registry that CONTRIBUTING names, and types a command.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from agents.registry import AGENTS, BASELINES
from autoscaler.cli import main
from autoscaler.experiment import load_experiment
from envs.gpu_cluster.registry import PACKERS, QUEUE_ORDERS
from envs.registry import ENVIRONMENTS, TRAINING
from tests.registries.toys.agent import BriskA2C
from traces.formats import FORMATS

TOYS = "tests.registries.toys"
EXAMPLES = ("agent.py", "baseline.py", "packer.py", "queue_order.py", "trace_format.py")
ENV_ID = "toy/Corridor-v0"
BUSY = "synthetic:quickstart?days=1&seed=0&jobs_per_day=400"
CLUSTER = "pools:\n  - {name: gpu, max_nodes: 8}\n"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The JSON document that a command prints."""
    assert main([*arguments, "--json", "-"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def simulate(capsys: pytest.CaptureFixture[str], *arguments: str, trace: str = BUSY) -> dict[str, Any]:
    """What `autoscaler simulate` prints."""
    return run(capsys, "simulate", "--quiet", "--trace", trace, *arguments)


@pytest.fixture
def scarce(tmp_path: Path) -> str:
    """A cluster so small that jobs must wait."""
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER)
    return str(path)


def waits(document: dict[str, Any]) -> float:
    """The mean wait of jobs, seconds."""
    mean: float = document["metrics"]["wait_seconds"]["mean"]
    return mean


def test_a_trace_format(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "toy", f"{TOYS}.trace_format")
    document = simulate(capsys, trace="toy:30")
    assert document["trace"] == {**document["trace"], "uri": "toy:30", "jobs": 30}
    assert document["energy_kwh"]["busy"] > 0.0
    assert main(["traces", "list"]) == 0
    assert "equal jobs, one each minute" in capsys.readouterr().out


def test_a_baseline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BASELINES, "cautious", f"{TOYS}.baseline:BASELINE")
    document = simulate(capsys, "--policy", "cautious")
    assert document["policy"] == "cautious"
    assert document["objective_usd"] != simulate(capsys)["objective_usd"]


@pytest.mark.slow
def test_a_queue_order(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, scarce: str) -> None:
    monkeypatch.setitem(QUEUE_ORDERS, "widest", f"{TOYS}.queue_order:ORDER")
    first = simulate(capsys, "--cluster", scarce)
    widest = simulate(capsys, "--cluster", scarce, "--set", "physics.queue.order=widest")
    assert waits(first) != waits(widest)
    named = simulate(capsys, "--cluster", scarce, "--set", f"physics.queue.order={TOYS}.queue_order:ORDER")
    assert waits(named) == waits(widest)


@pytest.mark.slow
def test_a_packer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKERS, "emptiest", f"{TOYS}.packer:PACKER")
    emptiest = simulate(capsys, "--packer", "emptiest")
    tight = simulate(capsys, "--packer", "best-fit")
    assert emptiest["energy_kwh"]["fragmentation"] != tight["energy_kwh"]["fragmentation"]
    assert emptiest["trace"] == tight["trace"]


def test_the_settings_of_an_agent(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AGENTS, "brisk-a2c", f"{TOYS}.agent:BriskA2C")
    assert load_experiment("experiment/quickstart-ppo", ["agent.name=brisk-a2c"]).agent == BriskA2C()
    assert (
        main(["train", "experiment/quickstart-ppo", "--set", "agent.name=brisk-a2c", "--set", "agent.n_steps=0"]) == 2
    )
    assert "n_steps" in capsys.readouterr().err


@pytest.mark.slow
def test_an_agent_trains_and_its_policy_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(AGENTS, "brisk-a2c", f"{TOYS}.agent:BriskA2C")
    small = ["agent.name=brisk-a2c", "train.total_steps=128", "train.num_envs=4", "train.validation_windows=2"]
    changes = [word for change in small for word in ("--set", change)]
    train = ["train", "experiment/quickstart-ppo", "--trace", "synthetic:quickstart?days=3&seed=0", "--quiet"]
    assert main([*train, "--out", str(tmp_path), "--name", "toy", *changes]) == 0
    capsys.readouterr()
    document = simulate(capsys, "--policy", str(tmp_path / "toy"))
    assert document["policy"] == "brisk-a2c"
    assert document["metrics"]["jobs_finished"] == document["trace"]["jobs"]


def test_an_environment(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENTS, ENV_ID, {"entry_point": f"{TOYS}.corridor.env:CorridorEnv"})
    try:
        listed = run(capsys, "envs", "list")["environments"]
        assert listed[-1] == {"id": ENV_ID, "entry_point": f"{TOYS}.corridor.env:CorridorEnv", "arguments": {}}
        document = run(capsys, "envs", "check", ENV_ID, "--steps", "200", "--seed", "3")
        assert document["total_reward"] == -200.0
        assert document["episodes"] > 2
        assert gymnasium.make(ENV_ID).observation_space.shape == (1,)
    finally:
        gymnasium.registry.pop(ENV_ID, None)


@pytest.mark.slow
def test_an_environment_is_trained_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a score and a baseline of its own, which its folder brings."""
    monkeypatch.setitem(ENVIRONMENTS, ENV_ID, {"entry_point": f"{TOYS}.corridor.env:CorridorEnv"})
    monkeypatch.setitem(TRAINING, ENV_ID, f"{TOYS}.corridor.training:CorridorTraining")
    path = tmp_path / "corridor.yaml"
    path.write_text(
        "env: toy/Corridor-v0\n"
        "env_kwargs: {cells: 4, max_episode_steps: 30}\n"
        "agent: {name: ppo, n_steps: 64, batch_size: 64}\n"
        "train: {total_steps: 2048, num_envs: 4, validations: 2, validation_windows: 3}\n"
    )
    try:
        assert main(["train", str(path), "--out", str(tmp_path), "--name", "run"]) == 0
    finally:
        gymnasium.registry.pop(ENV_ID, None)
    captured = capsys.readouterr()
    assert "steps to the end of the corridor, going on at each step" in captured.err
    entries = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    validation = [entry for entry in entries if "validation/steps" in entry]
    assert [entry["step"] for entry in validation] == [0, 1024, 2048]
    best = validation[-1]["validation/best_steps"]
    assert best == min(entry["validation/steps"] for entry in validation)
    assert 4.0 <= validation[-1]["validation/going_on_steps"] <= best <= 30.0


@pytest.mark.parametrize("name", [*EXAMPLES, "corridor/env.py", "corridor/training.py"])
def test_the_examples_of_contributing_are_the_toys(name: str) -> None:
    root = Path(__file__).parents[2]
    example = (Path(__file__).parent / "toys" / name).read_text()
    assert f"```python\n{example}```" in (root / "CONTRIBUTING.md").read_text()


def test_files_beside_the_user_need_no_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys = Path(__file__).parent / "toys"
    shutil.copy(toys / "baseline.py", tmp_path / "my_own_baseline.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    assert simulate(capsys, "--policy", "my_own_baseline:BASELINE")["policy"] == "cautious"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policy", "reactiv"), "unknown policy 'reactiv'; did you mean 'reactive'?"),
        (("--policy", "math:pi"), "policy 'math:pi' is a float; write Baseline(make)"),
        (("--packer", "best-fitt"), "unknown packer 'best-fitt'; did you mean 'best-fit'?"),
        (("--packer", "math:pi"), "packer 'math:pi' is a float; write Packer(score)"),
        (("--packer", "no_such_module:X"), "module 'no_such_module' cannot be imported"),
        (("--set", "physics.queue.order=shortst"), "unknown physics.queue.order 'shortst'; did you mean 'shortest'?"),
        (("--set", "physics.queue.order=math:pi"), "queue order 'math:pi' is a float; write QueueOrder(rank)"),
    ],
)
def test_what_is_no_entry_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert main(["simulate", "--quiet", "--trace", "synthetic:quickstart?days=1&seed=0", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("autoscaler/GpuClustr-v0", "unknown environment 'autoscaler/GpuClustr-v0'; did you mean"),
        ("no_such_module:toy/X-v0", "environment 'no_such_module:toy/X-v0' cannot be made"),
    ],
)
def test_an_environment_that_there_is_not_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], env_id: str, message: str
) -> None:
    assert main(["envs", "check", env_id]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
