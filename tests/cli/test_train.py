"""`autoscaler train` from the command line: run folders, resuming, Ctrl-C, and mistakes in one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agents.loading import load_policy
from autoscaler import training
from autoscaler.cli import main
from autoscaler.experiment import load_experiment

CONFIG = """\
trace: synthetic:quickstart?days=3&seed=0
environment:
  episode_seconds: 21600
  codec: {max_pools: 1, window_slots: 2}
agent: {hidden_units: 8, n_steps: 32, batch_size: 128, n_epochs: 2}
train: {total_steps: 2048, num_envs: 16, validations: 2, validation_windows: 2}
"""
ROOT = str(Path(__file__).resolve().parents[2])
ENTRIES = {"config.yaml", "run.json", "metrics.jsonl", "checkpoints", "policy", "tensorboard"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training of a second, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder that is complete, not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.yaml").write_text(CONFIG)
    assert main(["train", str(folder / "small.yaml"), "--seed", "3", "--out", str(folder), "--name", "run", "-q"]) == 0
    return folder / "run"


def train(config: Path, *arguments: str) -> int:
    return main(["train", str(config), "--quiet", "--out", "runs", "--name", "run", *arguments])


def only_line(captured: Any) -> str:
    """The message, which is one line and no traceback; stdout stays empty."""
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("error: ")
    assert "internal" not in captured.err
    return str(captured.err)


def test_a_run_folder_holds_all_that_a_run_is(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == ENTRIES
    resolved = yaml.safe_load((finished / "config.yaml").read_text())
    assert resolved["seed"] == 3
    assert resolved["agent"]["name"] == "maskable-ppo"
    assert resolved["environment"]["objective"] == {
        "usd_per_kwh": 0.15,
        "usd_per_gpu_hour": 1.0,
        "carbon_g_per_kwh": None,
        "usd_per_tonne": 0.0,
    }
    record = json.loads((finished / "run.json").read_text())
    assert record["schema"] == "autoscaler.run/1"
    assert record["tuned"]["packer"] in {"best-fit", "first-fit", "worst-fit"}
    assert record["episode_seconds"] == 21_600.0
    assert record["result"]["finished"]
    assert record["result"]["best_score"] <= record["result"]["baseline_score"]
    assert record["provenance"]
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation/usd" in line] == [0, 1024, 2048]
    assert load_policy(finished).name == "maskable-ppo"
    assert (finished / "policy" / "config.yaml").read_text() == (finished / "config.yaml").read_text()


def test_the_folder_is_the_only_line_on_stdout(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(config), "--out", "runs", "--name", "run"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "runs/run\n"
    assert "reactive-tuned" in captured.err
    assert re.search(
        r"kept the policy (of step [\d,]+ of 2,048|that training started from: none of 2,048)", captured.err
    )
    assert "tune the heuristic" in captured.err


def test_episodes_that_are_shorter_than_the_settings_are_said_and_recorded(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A week does not fit into the 43 hours of the training window."""
    changes = ("--set", "environment.episode_seconds=604800", "--set", "train.total_steps=512")
    assert main(["train", str(config), *changes, "--out", "runs", "--name", "run"]) == 0
    assert "not the 168.0 h of episode_seconds: at most 50% of the trace" in capsys.readouterr().err
    record = json.loads(Path("runs/run/run.json").read_text())
    assert 70_000.0 < record["episode_seconds"] < 77_760.0


def test_quiet_says_nothing_but_the_folder(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(config), "--seed", "1", "--quiet", "--out", "runs"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    name = Path(captured.out.strip()).name
    assert name.startswith("maskable-ppo-seed1-")


def test_the_same_command_gives_the_same_bits(config: Path, finished: Path) -> None:
    assert train(config, "--seed", "3") == 0
    for name in ("metrics.jsonl", "policy/weights.safetensors", "policy/policy.onnx", "config.yaml"):
        assert (Path("runs/run") / name).read_bytes() == (finished / name).read_bytes(), name


def test_trace_and_values_can_be_given_on_the_command_line(config: Path) -> None:
    uri = "synthetic:quickstart?days=2&seed=5"
    assert train(config, "--trace", uri, "--set", "train.total_steps=512", "--set", "agent.hidden_units=4") == 0
    resolved = yaml.safe_load(Path("runs/run/config.yaml").read_text())
    assert (resolved["trace"], resolved["train"]["total_steps"]) == (uri, 512)
    assert load_policy("runs/run").name == "maskable-ppo"


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_the_other_agents_train_too(config: Path, agent: str) -> None:
    config.write_text(
        CONFIG.replace("agent: {hidden_units: 8, n_steps: 32, batch_size: 128, n_epochs: 2}", "agent: {}")
    )
    arguments = ["--set", f"agent.name={agent}", "--set", "train.total_steps=1024"]
    if agent == "dqn":
        arguments += ["--set", "environment.codec.window_slots=0"]
    assert train(config, *arguments) == 0
    assert load_policy("runs/run").name == agent


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    before = (run / "metrics.jsonl").read_bytes(), (run / "run.json").read_bytes()
    assert main(["train", "--resume", str(run), "--quiet"]) == 0
    assert capsys.readouterr().out == f"{run}\n"
    assert ((run / "metrics.jsonl").read_bytes(), (run / "run.json").read_bytes()) == before


def test_a_finished_run_can_be_made_longer(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    before = (run / "metrics.jsonl").read_text()
    assert main(["train", "--resume", str(run), "--steps", "3072", "--quiet"]) == 0
    assert capsys.readouterr().out == f"{run}\n"
    curve = (run / "metrics.jsonl").read_text()
    assert curve.startswith(before)
    assert json.loads(curve.splitlines()[-1])["step"] == 3072
    assert yaml.safe_load((run / "config.yaml").read_text())["train"]["total_steps"] == 3072
    assert json.loads((run / "run.json").read_text())["result"]["total_steps"] == 3072
    assert main(["train", "--resume", str(run), "--steps", "3072", "--quiet"]) == 2
    assert "is made for 3,072 steps already" in only_line(capsys.readouterr())


def test_a_run_can_start_from_the_policy_of_another_on_another_trace(
    config: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--init-from", str(finished), "--steps", "512", "--trace", "synthetic:quickstart?days=3&seed=4"]
    assert train(config, *arguments) == 0
    resolved = yaml.safe_load(Path("runs/run/config.yaml").read_text())
    assert (resolved["train"]["init_from"], resolved["train"]["total_steps"]) == (str(finished), 512)


@pytest.mark.slow
def test_ctrl_c_saves_and_resume_goes_on_to_the_same_bits(config: Path) -> None:
    """Against a run that nothing interrupted. Ctrl-C comes as soon as the learning curve begins."""
    longer = ["--set", "train.total_steps=32768"]
    command = [sys.executable, "-m", "autoscaler", "train", str(config), *longer, "--out", "runs", "--name", "run"]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    curve = Path("runs/run/metrics.jsonl")
    deadline = time.monotonic() + 120
    while not (curve.is_file() and curve.stat().st_size > 0):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert "go on with: autoscaler train --resume runs/run" in err
    assert len(list(Path("runs/run/checkpoints").iterdir())) >= 1
    before = len(curve.read_text().splitlines())
    assert main(["train", "--resume", "runs/run", "--quiet"]) == 0
    assert main(["train", str(config), *longer, "--quiet", "--out", "runs", "--name", "whole"]) == 0
    assert before < len(curve.read_text().splitlines())
    for name in ("metrics.jsonl", "policy/weights.safetensors", "config.yaml"):
        assert (Path("runs/run") / name).read_bytes() == (Path("runs/whole") / name).read_bytes(), name


MISTAKES = [
    (["--set", "agent.learning_rat=1"], "did you mean 'learning_rate'"),
    (["--set", "agnt.name=ppo"], "did you mean 'agent'"),
    (["--set", "agent.name=maskable"], "did you mean 'maskable-ppo'"),
    (["--set", "agent.learning_rate=-1"], "learning_rate is -1"),
    (["--set", "agent.learning_rate=fast"], "learning_rate"),
    (["--set", "train.num_envs=0"], "num_envs is 0"),
    (["--set", "environment.codec.max_pools=0"], "max_pools is 0"),
    (["--set", "environment.packer=bestfit"], "did you mean 'best-fit'"),
    (["--set", "split.train=0"], "split.train is 0"),
    (["--set", "logging.wandb=on"], "logging.wandb is"),
    (["--set", "cluster=automatic"], "it must be auto"),
    (["--set", "agent={name: dqn}"], "agent dqn plays Discrete actions"),
    (["--trace", "itp:nowhere.csv"], "nowhere.csv: cannot be read"),
    (["--trace", "itp:negative.csv"], "negative.csv: row 1, column duration: -5.0 is negative"),
    (["--trace", "itp:nan.csv"], "nan.csv"),
    (["--trace", "itp:column.csv"], "duration"),
    (["--trace", "ipt:negative.csv"], "did you mean 'itp'"),
    (["--trace", "synthetic:quickstrat?days=2"], "did you mean 'quickstart'"),
    (["--trace", "itp:one.csv"], "no job is submitted in the training window"),
    (["--set", "cluster={pools: [{name: a, max_nodes: 1, gpus_per_node: 1}]}"], "fits in no pool"),
    (["--set", "cluster={pools: [{name: a, max_nodes: 99}, {name: b, max_nodes: 1}]}"], "raise codec.max_pools"),
    (["--name", "../run"], "--name is '../run'"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_leaves_no_folder(
    arguments: list[str], message: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "job_id,submission_time,duration,num_gpu\n"
    Path("negative.csv").write_text(header + "a,0,-5,1\n")
    Path("nan.csv").write_text(header + "a,0,nan,1\n")
    Path("column.csv").write_text(header.replace("duration", "length") + "a,0,5,1\n")
    Path("one.csv").write_text(header + "a,0,5,1\n")
    before = {path.name for path in Path.cwd().iterdir()}
    assert train(config, *arguments) == 2
    assert message in only_line(capsys.readouterr())
    assert {path.name for path in Path.cwd().iterdir()} - {"runs"} == before
    assert not list(Path("runs").glob("*"))


def test_a_folder_that_exists_is_not_overwritten(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs/run").mkdir(parents=True)
    Path("runs/run/precious.txt").write_text("keep")
    assert train(config) == 2
    assert "runs/run: the folder exists; resume it with --resume runs/run" in only_line(capsys.readouterr())
    assert [path.name for path in Path("runs/run").iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("/proc/runs", "/proc/runs/run: cannot be written (/proc: "),
        ("small.yaml", "small.yaml is a file); choose another folder"),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_tuned(
    out: str, message: str, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("autoscaler.training.tune_together", None)  # calling it would be an internal error
    assert main(["train", str(config), "--out", out, "--name", "run"]) == 2
    assert message in only_line(capsys.readouterr())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give an experiment config"),
        (["nowhere.yaml"], "nowhere.yaml: no such file"),
        (["experiment/quickstrat"], "did you mean 'experiment/quickstart'"),
        (["--resume", "nowhere"], "nowhere: is no run folder"),
        (["--resume", "nowhere", "--seed", "3"], "--resume takes all but --steps from the run"),
        (["--resume", "nowhere", "--set", "seed=3"], "--resume takes all but --steps from the run"),
    ],
)
def test_a_command_that_names_nothing_is_refused(
    arguments: list[str], message: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err


def damage(run: Path, what: str) -> None:
    if what == "no checkpoint":
        shutil.rmtree(run / "checkpoints")
    elif what == "no record":
        (run / "run.json").unlink()
    elif what == "no tuned":
        (run / "run.json").write_text("{}")
    elif what == "record cut":
        (run / "run.json").write_text("{")
    elif what == "config":
        (run / "config.yaml").write_text(CONFIG.replace("hidden_units: 8", "hidden_units: 16"))
    else:
        for path in run.glob("checkpoints/*/arrays.npz"):
            path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("what", ["no checkpoint", "no record", "no tuned", "record cut", "config", "checkpoint"])
def test_a_run_that_cannot_be_resumed_is_left_as_it_is(
    what: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above all, its policy is never removed."""
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    damage(run, what)
    before = {path for path in run.rglob("*") if "tensorboard" not in path.parts}
    assert main(["train", "--resume", str(run), "--quiet"]) == 2
    only_line(capsys.readouterr())
    assert {path for path in run.rglob("*") if "tensorboard" not in path.parts} == before
    assert load_policy(run).name == "maskable-ppo"


def test_a_full_disk_leaves_no_folder(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import errno

    import safetensors.torch

    def full(_tensors: Any, path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    assert train(config) == 2
    assert "No space left on device" in only_line(capsys.readouterr())
    assert list(Path("runs").iterdir()) == []


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights & Biases with neither network nor account: every connection fails, and the home is empty."""
    pytest.importorskip("wandb")

    def offline(*arguments: Any, **_keywords: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_connection", offline)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


def wandb_records(path: Path) -> list[Any]:
    """What a file of Weights & Biases holds, in order: LevelDB's log format behind a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, at, parts, records = path.read_bytes(), 7, b"", []
    while at < len(data):
        left = 32768 - at % 32768
        if left < 7:  # a block ends with zeros where no header fits
            at += left
            continue
        _checksum, length, kind = struct.unpack_from("<IHB", data, at)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            records.append(record)
            parts = b""
    return records


def test_weights_and_biases_works_offline_over_environment_steps(config: Path, no_network: None) -> None:
    assert train(config, "--set", "logging.wandb=offline", "--set", "train.total_steps=1024") == 0
    (path,) = Path("runs/run").glob("wandb/offline-run-*/run-*.wandb")
    records = wandb_records(path)
    metrics = [record.metric for record in records if record.WhichOneof("record_type") == "metric"]
    assert {(metric.name or metric.glob_name, metric.step_metric) for metric in metrics} >= {
        ("environment_step", ""),
        ("*", "environment_step"),
    }
    history = [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    curve = [json.loads(line) for line in Path("runs/run/metrics.jsonl").read_text().splitlines()]
    assert [entry["environment_step"] for entry in history] == [entry["step"] for entry in curve]
    usd = [entry["validation/usd"] for entry in history if "validation/usd" in entry]
    assert usd == [entry["validation/usd"] for entry in curve if "validation/usd" in entry]


def test_a_resumed_run_stays_one_run_of_weights_and_biases(config: Path, no_network: None) -> None:
    experiment = load_experiment(config, ["logging.wandb=offline"])
    stops = iter([False, True])
    run = training.train(experiment, "runs/run", hooks=training.Hooks(should_stop=lambda: next(stops)))
    assert not run.result.finished
    assert training.resume("runs/run").result.finished
    run_id = json.loads(Path("runs/run/run.json").read_text())["wandb_id"]
    files = sorted(Path("runs/run").glob("wandb/offline-run-*/run-*.wandb"))
    assert [path.name for path in files] == [f"run-{run_id}.wandb"] * 2
    for path in files:
        assert run_id in {record.run.run_id for record in wandb_records(path) if record.HasField("run")}


CARTPOLE = """\
env: CartPole-v1
env_kwargs: {max_episode_steps: 100}
agent: {name: ppo, n_steps: 32, batch_size: 64, policy_kwargs: {net_arch: [8]}}
train: {total_steps: 512, num_envs: 4, validations: 2, validation_windows: 3, checkpoint_steps: 256}
"""


def test_another_environment_is_trained_on_resumed_and_loaded(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CARTPOLE)
    assert train(config) == 0
    assert capsys.readouterr().out == "runs/run\n"
    folder = Path("runs/run")
    assert {path.name for path in folder.iterdir()} == ENTRIES
    resolved = yaml.safe_load((folder / "config.yaml").read_text())
    assert (resolved["env"], resolved["env_kwargs"]) == ("CartPole-v1", {"max_episode_steps": 100})
    assert not {"trace", "cluster", "environment", "split"} & resolved.keys()
    assert main(["train", "--resume", "runs/run", "--steps", "1024"]) == 0
    assert "return per episode on average, random actions" in capsys.readouterr().err
    assert json.loads((folder / "run.json").read_text())["result"]["steps"] == 1024
    assert load_policy(folder).act(np.zeros((2, 4), np.float32), None).shape == (2,)  # type: ignore[arg-type]
    assert main(["evaluate", "runs/run"]) == 2
    assert "environment 'CartPole-v1' brings no evaluation" in only_line(capsys.readouterr())
    assert main(["simulate", "--policy", "runs/run", "--trace", "synthetic:quickstart?days=1&seed=0"]) == 2
    assert "its policy plays CartPole-v1" in only_line(capsys.readouterr())


def test_continuous_actions_are_trained(config: Path) -> None:
    config.write_text(CARTPOLE.replace("CartPole", "Pendulum"))
    assert train(config) == 0
    assert load_policy("runs/run").act(np.zeros((2, 3), np.float32), None).shape == (2, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("env=CartPol-v1", "unknown environment 'CartPol-v1'; did you mean 'CartPole-v1'?"),
        ("env_kwargs={gravity: 1}", "env 'CartPole-v1' cannot be made with env_kwargs {'gravity': 1}"),
        ("env=autoscaler/GpuCluster-v0", "leave it out to train on GPU clusters"),
        ("env=null", "env_kwargs are arguments of env, which is not set"),
        ("trace=synthetic:quickstart?days=3", "trace: only GPU clusters have this, and env is 'CartPole-v1'"),
        ("environment.packer=first-fit", "environment: only GPU clusters have this"),
        ("train.reward=math:sin", "train.reward is made from the costs of GPU clusters"),
        ("agent.policy_kwargs={net_arc: [4]}", "unknown key 'net_arc'; did you mean 'net_arch'?"),
    ],
)
def test_a_mistake_about_another_environment_is_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    config.write_text(CARTPOLE)
    assert train(config, "--set", change) == 2
    assert message in only_line(capsys.readouterr())
    assert not Path("runs/run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.reward=math:sinn", "module 'math' has no 'sinn'; did you mean 'sin'?"),
        ("train.reward=math:sin", "train.reward 'math:sin' fails on the StepTerms of 3 clusters: TypeError"),
        ("train.reward=operator:attrgetter", "train.reward 'operator:attrgetter' fails"),
        ("train.reward=numpy:shape", "must give one finite number for each of 3 clusters, not (0,)"),
        ("train.callbacks=[{target: math:pi}]", "train.callbacks"),
        ("agent.policy_kwargs={net_arch: [4]}", "agent.policy_kwargs belongs to another policy"),
        ("agent.policy=MlpPolcy", "agent.policy is 'MlpPolcy'; did you mean 'MlpPolicy'?"),
    ],
)
def test_a_name_that_names_nothing_is_told_before_anything_is_tuned(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, change: str, message: str
) -> None:
    monkeypatch.setattr(training, "tune_together", None)  # calling it would be an error of another type
    assert train(config, "--set", change) == 2
    assert message in only_line(capsys.readouterr())


def test_a_config_of_a_sweep_names_the_command_for_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(f"{CONFIG}sweep:\n  agent.learning_rate: {{low: 0.001, high: 0.01}}\n")
    assert train(config) == 2
    assert "unknown key 'sweep'; a config that has it is for `autoscaler sweep`" in only_line(capsys.readouterr())
