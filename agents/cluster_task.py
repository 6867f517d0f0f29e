"""Training on a GPU cluster: a window of a trace, scored in USD and compared with the tuned heuristic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.artifact import Manifest
from agents.baselines.tuned import Tuned
from agents.config import DISCOUNT_SECONDS, AgentConfig, TrainConfig
from agents.errors import ArtifactError
from agents.scoring import score
from agents.training import Task
from envs.gpu_cluster.codec import CodecLayout, fingerprint
from envs.gpu_cluster.setpoint_box import SetpointBoxVecEnv
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.vector import GpuClusterVecEnv
from envs.scores import Actor, Metric

USD = Metric(
    name="usd",
    description="USD per training window without the energy of busy GPUs",
    higher_is_better=False,
    baseline="reactive-tuned",
    baseline_key="tuned",
)


@dataclass(frozen=True)
class ClusterTask(Task):
    """A policy of the codec, to be trained on a window of a trace.

    Attributes:
        agent: name and hyperparameters.
        train: lengths and sizes.
        problem: the training window with the tuned packer.
        validation: [K, 3] int64 episodes of the training window, to score the deterministic policy on.
        tuned: the tuned heuristic of the training window: where maskable-ppo starts from and what it is compared with.
        seed: of everything.
        config_text: the resolved configuration, saved with the policy.
        others: training windows of further traces and of versions of them, for agents that train on several.
    """

    agent: AgentConfig
    train: TrainConfig
    problem: Problem
    validation: NDArray[np.int64]
    tuned: Tuned
    seed: int
    config_text: str
    others: tuple[Problem, ...] = ()

    rate = ("hour", 3600.0)

    @property
    def layout(self) -> CodecLayout:  # type: ignore[override]
        """The codec layout."""
        return self.problem.config.codec

    @property
    def start_rule(self) -> tuple[int, ...]:  # type: ignore[override]
        """[RULE_SIZE] the tuned heuristic."""
        return tuple(int(choice) for choice in self.tuned.policy(self.problem.config).rule)

    @property
    def unit_seconds(self) -> float:  # type: ignore[override]
        """Rewards are discounted by the minute, however long steps take."""
        return DISCOUNT_SECONDS

    @property
    def metric(self) -> Metric:
        """USD per validation window."""
        return USD

    @property
    def reward_scale(self) -> float:
        """Makes the tuned heuristic's discounted return about -1: its cost per hour times the hours that count.

        About 1 where it earns instead: narrow elastic jobs can take less energy than the work that the reward leaves
        out. A reward of the user is taken as it is.
        """
        if self.train.reward is not None:
            return 1.0
        unit_hours = self.unit_seconds / 3600.0
        horizon_hours = unit_hours / max(1.0 - self.agent.discount, 1e-6)
        return 1.0 / max(abs(self.tuned.usd_per_hour) * horizon_hours, 1e-9)

    def make_vec(self) -> GpuClusterVecEnv:
        """Clusters that replay episodes of the window; with setpoints as a Box for agents that play nothing else."""
        make = SetpointBoxVecEnv if self.agent.is_continuous() else GpuClusterVecEnv
        return make(self.problem, self.train.num_envs, self.seed, self.reward_scale)

    def score(self, actor: Actor) -> float:
        """The mean cost of a validation window in USD."""
        return float(score(actor, self.problem, self.validation).mean())

    def baseline_score(self) -> float:
        """That of the tuned heuristic."""
        return self.score(self.tuned.policy(self.problem.config))

    def world(self) -> dict[str, Any]:
        """Codec and packer."""
        config = self.problem.config
        codec = {"codec": config.codec.to_dict(), "codec_fingerprint": fingerprint(config.codec)}
        return {**codec, "packer": config.packer, "environment": None}

    def check_start(self, folder: Path, manifest: Manifest) -> None:
        """Refuse an artifact of another codec.

        Raises:
            ArtifactError: as above.
        """
        ours, theirs = self.layout.to_dict(), manifest.cluster_layout(folder).to_dict()
        differing = [f"environment.codec.{name}={theirs[name]}" for name in ours if ours[name] != theirs[name]]
        if differing:
            raise ArtifactError(
                f"{folder}: its policy has codec {manifest.codec_fingerprint}, this experiment "
                f"{fingerprint(self.layout)}; set {', '.join(differing)}"
            )
