"""Training on a GPU cluster: a window of a trace, scored in USD and compared with the tuned heuristic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.artifact import Manifest
from agents.baselines.tuned import Tuned
from agents.config import DISCOUNT_SECONDS, AgentConfig, TrainConfig
from agents.errors import AgentConfigError, ArtifactError
from agents.scoring import score
from agents.training import Task
from envs.gpu_cluster.codec import CodecLayout, fingerprint
from envs.gpu_cluster.episodes import equal_episodes
from envs.gpu_cluster.setpoint_box import SetpointBoxVecEnv
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.vector import GpuClusterVecEnv
from envs.joined_vec_env import JoinedVecEnv
from envs.scores import Actor, Metric
from envs.vec_env import TrainingVecEnv

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

    def make_vec(self) -> TrainingVecEnv:
        """Clusters that replay episodes of the window; with setpoints as a Box for agents that play nothing else.

        Further traces and versions have an equal share of the clusters each.

        Raises:
            AgentConfigError: there are more of them than clusters.
        """
        make = SetpointBoxVecEnv if self.agent.is_continuous() else GpuClusterVecEnv
        problems, clusters = (self.problem, *self.others), self.train.num_envs
        if len(problems) == 1:
            return make(self.problem, clusters, self.seed, self.reward_scale)
        if clusters < len(problems):
            raise AgentConfigError(
                f"train.num_envs is {clusters}, fewer than the {len(problems)} traces and versions; raise it"
            )
        edges = np.linspace(0, clusters, len(problems) + 1).astype(np.int64)
        return JoinedVecEnv(
            [
                make(problem, int(end - first), self.seed + int(first), self.reward_scale)
                for problem, first, end in zip(problems, edges[:-1], edges[1:], strict=True)
            ]
        )

    def score(self, actor: Actor) -> float:
        """The mean cost of a validation window in USD.

        Of several traces and versions each counts by shares of what the tuned heuristic costs there.
        """
        own = self._costs(actor)
        return float(own[0]) if len(own) == 1 else float((own / self._tuned_costs).mean() * self._tuned_costs[0])

    def _costs(self, actor: Actor) -> NDArray[np.float64]:
        """[problems] float64, mean USD of a validation window of each."""
        windows = [self.validation]
        for problem in self.others:
            start, end = (float(problem.submit_ms[at]) / 1000.0 for at in (0, -1))
            windows.append(equal_episodes(problem, start, end + 1e-3, len(self.validation)))
        played = zip((self.problem, *self.others), windows, strict=True)
        return np.array([float(score(actor, problem, episodes).mean()) for problem, episodes in played])

    @cached_property
    def _tuned_costs(self) -> NDArray[np.float64]:
        return self._costs(self.tuned.policy(self.problem.config))

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
