"""Train an agent inside a run folder: learning curve, validation, checkpoints, and the best policy so far."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat

from agents.artifact import Manifest
from agents.baselines.tuned import Tuned
from agents.config import AgentConfig, TrainConfig
from agents.errors import ArtifactError
from agents.sb3.checkpoint import load_checkpoint, save_checkpoint
from agents.sb3.files import save_trained
from agents.sb3.models import agent_module, make_model
from agents.sb3.scores import TrainedPolicy
from agents.scoring import score
from envs.gpu_cluster.codec import fingerprint
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.vector import GpuClusterVecEnv

CURVE, CHECKPOINTS, POLICY, TENSORBOARD = "metrics.jsonl", "checkpoints", "policy", "tensorboard"
KEEP_CHECKPOINTS = 2


@dataclass(frozen=True, slots=True)
class Task:
    """What to train, on what.

    Attributes:
        agent: name and hyperparameters.
        train: lengths and sizes.
        problem: the training window with the tuned packer.
        validation: [K, 3] int64 episodes of the training window, to score the deterministic policy on.
        tuned: the tuned heuristic of the training window: where maskable-ppo starts from and what it is compared with.
        seed: of everything.
        config_text: the resolved configuration, saved with the policy.
    """

    agent: AgentConfig
    train: TrainConfig
    problem: Problem
    validation: NDArray[np.int64]
    tuned: Tuned
    seed: int
    config_text: str

    @property
    def reward_scale(self) -> float:
        """Makes the tuned heuristic's discounted return about -1: its cost per hour times the hours that count.

        About 1 where it earns instead: narrow elastic jobs can take less energy than the work that the reward leaves
        out.
        """
        unit_hours = self.problem.config.decision_interval_seconds / 3600.0
        horizon_hours = unit_hours / max(1.0 - self.agent.discount, 1e-6)
        return 1.0 / max(abs(self.tuned.usd_per_hour) * horizon_hours, 1e-9)


@dataclass(frozen=True, slots=True)
class Hooks:
    """How the caller takes part.

    Attributes:
        advance: called with environment steps as they are done.
        should_stop: asked before each iteration; True: save a checkpoint and stop.
        writers: further writers of the learning curve, such as Weights & Biases.
    """

    advance: Callable[[int], None] = lambda _steps: None
    should_stop: Callable[[], bool] = lambda: False
    writers: tuple[KVWriter, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How a training ended.

    Attributes:
        steps: environment steps done.
        finished: False if it was stopped before.
        best_usd: validation score of the saved policy: USD per window, without the energy of GPUs that work.
        tuned_usd: that of the tuned heuristic.
    """

    steps: int
    finished: bool
    best_usd: float
    tuned_usd: float


class CurveWriter(KVWriter):
    """Appends one JSON line per entry of the learning curve; what depends on the wall clock is left out.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._path.stat().st_size

    def truncate(self, size: int) -> None:
        """Forget what came after a checkpoint."""
        with self._path.open("r+b") as file:
            file.truncate(size)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Append an entry."""
        numbers = {
            key: float(value)
            for key, value in sorted(key_values.items())
            if not key.startswith("time/") and isinstance(value, (int, float, np.number))
        }
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **numbers}) + "\n")

    def close(self) -> None:
        """Do nothing: the file is closed after each line."""


class RunCallback(BaseCallback):
    """Validates, saves and stops at the right moments, which depend on the number of steps alone.

    Args:
        task: what is trained.
        folder: the run folder.
        hooks: of the caller.
        curve: the learning curve.
        tuned_cost: validation score of the tuned heuristic.
    """

    def __init__(self, task: Task, folder: Path, hooks: Hooks, curve: CurveWriter, tuned_cost: float) -> None:
        super().__init__()
        self.task, self.folder, self.hooks, self.curve = task, folder, hooks, curve
        self.tuned_cost = tuned_cost
        self.best_cost = np.inf
        self.validated_at = self.saved_at = -1
        self.stopped = False

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep of this object."""
        return {
            "best_cost": self.best_cost,
            "validated_at": self.validated_at,
            "curve_size": self.curve.size,
            "tuned_cost": self.tuned_cost,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best_cost = float(state["best_cost"])
        self.tuned_cost = float(state["tuned_cost"])
        self.validated_at = self.saved_at = int(state["validated_at"])
        self.curve.truncate(int(state["curve_size"]))

    def _on_rollout_start(self) -> None:
        train = self.task.train
        if self._is_due(self.validated_at, train.total_steps // train.validations):
            self.validate()
        if self.hooks.should_stop():
            self.stopped = True
            self.checkpoint()
        elif self.num_timesteps > 0 and self._is_due(self.saved_at, train.checkpoint_steps):
            self.checkpoint()

    def _is_due(self, last: int, interval: int) -> bool:
        return last < 0 or self.num_timesteps // max(interval, 1) > last // max(interval, 1)

    def _on_step(self) -> bool:
        self.hooks.advance(self.training_env.num_envs)
        return not self.stopped

    def validate(self) -> None:
        """Score the deterministic policy, and save it if it is the best so far."""
        agent, layout = self.task.agent.name, self.task.problem.config.codec
        policy = TrainedPolicy(agent, agent_module(agent).actor_body(self.model), layout, None)
        cost = float(score(policy, self.task.problem, self.task.validation).mean())
        self.validated_at = self.num_timesteps
        if cost < self.best_cost:
            self.best_cost = cost
            save_trained(self.folder / POLICY, self.model, self._manifest(), self.task.config_text)
        entry = {
            "validation/usd": cost,
            "validation/best_usd": self.best_cost,
            "validation/tuned_usd": self.tuned_cost,
        }
        for writer in self.logger.output_formats:
            writer.write(entry, dict.fromkeys(entry, ()), self.num_timesteps)

    def checkpoint(self) -> None:
        """Save everything; older checkpoints than the last `KEEP_CHECKPOINTS` go."""
        import shutil

        env = self.training_env
        assert isinstance(env, GpuClusterVecEnv)
        self.saved_at = self.num_timesteps
        name = f"step-{self.num_timesteps:012d}"
        save_checkpoint(self.folder / CHECKPOINTS / name, self.model, env, self.state())
        for old in checkpoints(self.folder)[:-KEEP_CHECKPOINTS]:
            shutil.rmtree(old)

    def _manifest(self) -> Manifest:
        config = self.task.problem.config
        return Manifest(
            agent=self.task.agent.name,
            hidden_units=self.task.agent.hidden_units,
            codec=config.codec.to_dict(),
            codec_fingerprint=fingerprint(config.codec),
            packer=config.packer,
            seed=self.task.seed,
            steps=self.num_timesteps,
        )


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a run folder, the oldest first."""
    return sorted((folder / CHECKPOINTS).glob("step-*"))


def train(task: Task, folder: Path, hooks: Hooks | None = None, resume: bool = False) -> Result:
    """Train until `total_steps`, or until `hooks.should_stop`.

    Args:
        task: what to train.
        folder: the run folder; learning curve, checkpoints and policy go there.
        hooks: how the caller takes part.
        resume: go on from the newest checkpoint, with the same bits as if the training had never stopped.

    Raises:
        ArtifactError: there is no checkpoint to resume from, or it does not fit.
        OSError: the folder cannot be written.
    """
    hooks = hooks or Hooks()
    torch.set_num_threads(task.train.threads)
    env = GpuClusterVecEnv(task.problem, task.train.num_envs, task.seed, task.reward_scale)
    start = [int(choice) for choice in task.tuned.policy(task.problem.config).rule]
    model = make_model(task.agent, task.train, env, task.seed, start)
    curve = CurveWriter(folder / CURVE)
    model.set_logger(_logger(folder, curve, hooks))
    tuned_cost = np.inf if resume else _tuned_cost(task)
    callback = RunCallback(task, folder, hooks, curve, tuned_cost)
    if resume:
        _resume(folder, model, env, callback)
        hooks.advance(model.num_timesteps)
    left = task.train.total_steps - model.num_timesteps
    if left > 0:
        model.learn(left, callback, reset_num_timesteps=False)
    if not callback.stopped and left > 0:
        callback.validate()
        callback.checkpoint()
    model.logger.close()
    return Result(model.num_timesteps, not callback.stopped, callback.best_cost, callback.tuned_cost)


def _tuned_cost(task: Task) -> float:
    return float(score(task.tuned.policy(task.problem.config), task.problem, task.validation).mean())


def _logger(folder: Path, curve: CurveWriter, hooks: Hooks) -> Logger:
    board = TensorBoardOutputFormat(str(folder / TENSORBOARD))
    return Logger(str(folder), [curve, board, *hooks.writers])


def _resume(folder: Path, model: BaseAlgorithm, env: GpuClusterVecEnv, callback: RunCallback) -> None:
    found = checkpoints(folder)
    if not found:
        raise ArtifactError(f"{folder}: there is no checkpoint to resume from; train it anew")
    model._setup_learn(0, reset_num_timesteps=True)  # noqa: SLF001 (makes the buffers that the checkpoint fills)
    callback.load_state(load_checkpoint(found[-1], model, env))
