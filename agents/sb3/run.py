"""The callback that makes a training a run: rewards, validation, checkpoints, the best policy so far."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy

from agents.artifact import Manifest
from agents.sb3.checkpoint import follow_new_episodes, save_checkpoint
from agents.sb3.curve import CurveWriter
from agents.sb3.files import save_trained
from agents.sb3.models import is_off_policy
from agents.sb3.scores import TrainedPolicy
from agents.sb3.space_policy import SpacePolicy
from agents.training import Hooks, Result, Task
from configs.serialize import to_dict
from envs.vec_env import BeginsAnew, TrainingVecEnv

CHECKPOINTS, POLICY = "checkpoints", "policy"
KEEP_CHECKPOINTS = 2
OFF_POLICY_LOG_STEPS = 64
"""Steps of each cluster between two entries of the learning curve, where rollouts are shorter than that."""


class RunCallback(BaseCallback):
    """Validates, saves and stops at the right moments, which depend on the number of steps alone.

    Args:
        task: what is trained.
        folder: the run folder.
        hooks: of the caller.
        curve: the learning curve.
        env: the batch of environments.
        baseline_score: validation score of the baseline.
    """

    def __init__(
        self, task: Task, folder: Path, hooks: Hooks, curve: CurveWriter, env: TrainingVecEnv, baseline_score: float
    ) -> None:
        super().__init__()
        self.task, self.folder, self.hooks, self.curve, self.batch = task, folder, hooks, curve, env
        self.baseline_score = baseline_score
        self.start_score = self.best_score = task.metric.worst
        self.kept_step = 0
        self.world = task.world()
        self.validated_at = self.saved_at = -1
        self.logged_at = 0
        self.reward_sum = self.time = 0.0
        self.stopped = False

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep of this object."""
        return {
            "start_score": self.start_score,
            "best_score": self.best_score,
            "kept_step": self.kept_step,
            "validated_at": self.validated_at,
            "logged_at": self.logged_at,
            "reward_sum": self.reward_sum,
            "time": self.time,
            "curve_size": self.curve.size,
            "baseline_score": self.baseline_score,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.start_score, self.best_score = float(state["start_score"]), float(state["best_score"])
        self.baseline_score = float(state["baseline_score"])
        self.kept_step, self.logged_at = int(state["kept_step"]), int(state["logged_at"])
        self.reward_sum, self.time = float(state["reward_sum"]), float(state["time"])
        self.validated_at = self.saved_at = int(state["validated_at"])
        self.curve.truncate(int(state["curve_size"]))

    def result(self) -> Result:
        """How the training ended."""
        return Result(
            steps=self.model.num_timesteps,
            total_steps=self.task.train.total_steps,
            finished=not self.stopped,
            kept_step=self.kept_step,
            metric=self.task.metric,
            best_score=self.best_score,
            start_score=self.start_score,
            baseline_score=self.baseline_score,
        )

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
        self.reward_sum += float(self.locals["rewards"].sum(dtype=np.float64))
        self.time += float(self.batch.step_seconds.sum()) / self.task.rate[1]
        self.hooks.advance(self.training_env.num_envs)
        return not self.stopped

    def _on_rollout_end(self) -> None:
        off_policy = is_off_policy(self.model)
        if off_policy and self.num_timesteps - self.logged_at < OFF_POLICY_LOG_STEPS * self.training_env.num_envs:
            return
        if self.time > 0.0:
            reward = self.reward_sum / self.task.reward_scale / self.time
            self.logger.record(f"rollout/reward_per_{self.task.rate[0]}", reward)
        self.reward_sum = self.time = 0.0
        self.logged_at = self.num_timesteps
        if off_policy:
            self.model.dump_logs()

    def validate(self) -> None:
        """Score the deterministic policy, and save it if it is the best so far."""
        metric = self.task.metric
        training = self.model.policy.training
        self.model.policy.set_training_mode(False)
        score = self.task.score(policy_of(self.task, self.world, self.model.policy))
        self.model.policy.set_training_mode(training)
        if self.validated_at < 0:
            self.start_score = score
        self.validated_at = self.num_timesteps
        if metric.is_better(score, self.best_score):
            self.best_score, self.kept_step = score, self.num_timesteps
            save_trained(self.folder / POLICY, self.model.policy, self._manifest(), self.task.config_text)
        entry = {
            f"validation/{metric.name}": score,
            f"validation/best_{metric.name}": self.best_score,
            f"validation/{metric.baseline_key}_{metric.name}": self.baseline_score,
        }
        for writer in self.logger.output_formats:
            writer.write(entry, dict.fromkeys(entry, ()), self.num_timesteps)

    def checkpoint(self) -> None:
        """Save everything; older checkpoints than the last `KEEP_CHECKPOINTS` go."""
        self.saved_at = self.num_timesteps
        if isinstance(self.batch, BeginsAnew):
            self.batch.begin_anew(self.model.num_timesteps)
            follow_new_episodes(self.model, self.batch)
        name = f"step-{self.num_timesteps:012d}"
        save_checkpoint(self.folder / CHECKPOINTS / name, self.model, self.batch, self.state())
        for old in checkpoints(self.folder)[:-KEEP_CHECKPOINTS]:
            shutil.rmtree(old)

    def _manifest(self) -> Manifest:
        settings = to_dict(self.task.agent)
        return Manifest(
            agent=settings.pop("name"),
            settings=settings,
            masked=self.task.agent.masked,
            **self.world,
            seed=self.task.seed,
            kept_step=self.kept_step,
            total_steps=self.task.train.total_steps,
        )


def policy_of(task: Task, world: Mapping[str, Any], policy: BasePolicy) -> TrainedPolicy | SpacePolicy:
    """The deterministic policy of a model, as it is saved.

    Args:
        task: what is trained.
        world: `task.world()`.
        policy: of the model; its weights are shared.

    Raises:
        AgentConfigError: it cannot be saved.
    """
    agent = task.agent
    if task.layout is None:
        return SpacePolicy(agent.name, policy, agent.masked, world["environment"])
    return TrainedPolicy(agent.name, policy, agent.masked, task.layout, None)


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a run folder, the oldest first."""
    return sorted((folder / CHECKPOINTS).glob("step-*"))
