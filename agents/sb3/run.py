"""The callback that makes a training a run: rewards, validation, checkpoints, the best policy so far."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.artifact import Manifest
from agents.sb3.checkpoint import save_checkpoint
from agents.sb3.curve import CurveWriter
from agents.sb3.files import save_trained
from agents.sb3.models import is_off_policy
from agents.sb3.scores import TrainedPolicy
from agents.scoring import score
from agents.training import Hooks, Result, Task
from configs.serialize import to_dict
from envs.gpu_cluster.codec import fingerprint
from envs.gpu_cluster.vector import GpuClusterVecEnv

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
        env: the clusters.
        tuned_cost: validation score of the tuned heuristic.
    """

    def __init__(
        self, task: Task, folder: Path, hooks: Hooks, curve: CurveWriter, env: GpuClusterVecEnv, tuned_cost: float
    ) -> None:
        super().__init__()
        self.task, self.folder, self.hooks, self.curve, self.clusters = task, folder, hooks, curve, env
        self.tuned_cost = tuned_cost
        self.start_cost = self.best_cost = np.inf
        self.kept_step = 0
        self.validated_at = self.saved_at = -1
        self.logged_at = 0
        self.reward_sum = self.hours = 0.0
        self.stopped = False

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep of this object."""
        return {
            "start_cost": self.start_cost,
            "best_cost": self.best_cost,
            "kept_step": self.kept_step,
            "validated_at": self.validated_at,
            "logged_at": self.logged_at,
            "reward_sum": self.reward_sum,
            "hours": self.hours,
            "curve_size": self.curve.size,
            "tuned_cost": self.tuned_cost,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.start_cost, self.best_cost = float(state["start_cost"]), float(state["best_cost"])
        self.tuned_cost = float(state["tuned_cost"])
        self.kept_step, self.logged_at = int(state["kept_step"]), int(state["logged_at"])
        self.reward_sum, self.hours = float(state["reward_sum"]), float(state["hours"])
        self.validated_at = self.saved_at = int(state["validated_at"])
        self.curve.truncate(int(state["curve_size"]))

    def result(self) -> Result:
        """How the training ended."""
        return Result(
            steps=self.model.num_timesteps,
            total_steps=self.task.train.total_steps,
            finished=not self.stopped,
            kept_step=self.kept_step,
            best_usd=self.best_cost,
            start_usd=self.start_cost,
            tuned_usd=self.tuned_cost,
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
        self.hours += float(self.clusters.step_seconds.sum()) / 3600.0
        self.hooks.advance(self.training_env.num_envs)
        return not self.stopped

    def _on_rollout_end(self) -> None:
        off_policy = is_off_policy(self.model)
        if off_policy and self.num_timesteps - self.logged_at < OFF_POLICY_LOG_STEPS * self.training_env.num_envs:
            return
        if self.hours > 0.0:
            self.logger.record("rollout/reward_per_hour", self.reward_sum / self.task.reward_scale / self.hours)
        self.reward_sum = self.hours = 0.0
        self.logged_at = self.num_timesteps
        if off_policy:
            self.model.dump_logs()

    def validate(self) -> None:
        """Score the deterministic policy, and save it if it is the best so far."""
        agent, layout = self.task.agent, self.task.problem.config.codec
        training = self.model.policy.training
        self.model.policy.set_training_mode(False)
        policy = TrainedPolicy(agent.name, self.model.policy, agent.masked, layout, None)
        cost = float(score(policy, self.task.problem, self.task.validation).mean())
        self.model.policy.set_training_mode(training)
        if self.validated_at < 0:
            self.start_cost = cost
        self.validated_at = self.num_timesteps
        if cost < self.best_cost:
            self.best_cost, self.kept_step = cost, self.num_timesteps
            save_trained(self.folder / POLICY, self.model.policy, self._manifest(), self.task.config_text)
        entry = {
            "validation/usd": cost,
            "validation/best_usd": self.best_cost,
            "validation/tuned_usd": self.tuned_cost,
        }
        for writer in self.logger.output_formats:
            writer.write(entry, dict.fromkeys(entry, ()), self.num_timesteps)

    def checkpoint(self) -> None:
        """Save everything; older checkpoints than the last `KEEP_CHECKPOINTS` go."""
        self.saved_at = self.num_timesteps
        name = f"step-{self.num_timesteps:012d}"
        save_checkpoint(self.folder / CHECKPOINTS / name, self.model, self.clusters, self.state())
        for old in checkpoints(self.folder)[:-KEEP_CHECKPOINTS]:
            shutil.rmtree(old)

    def _manifest(self) -> Manifest:
        config = self.task.problem.config
        settings = to_dict(self.task.agent)
        return Manifest(
            agent=settings.pop("name"),
            settings=settings,
            masked=self.task.agent.masked,
            codec=config.codec.to_dict(),
            codec_fingerprint=fingerprint(config.codec),
            packer=config.packer,
            seed=self.task.seed,
            kept_step=self.kept_step,
            total_steps=self.task.train.total_steps,
        )


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a run folder, the oldest first."""
    return sorted((folder / CHECKPOINTS).glob("step-*"))
