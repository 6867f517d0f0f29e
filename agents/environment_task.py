"""Training on any Gymnasium environment, as `envs.training` describes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.artifact import Manifest
from agents.config import AgentConfig, TrainConfig
from agents.errors import ArtifactError
from agents.spaces import space_to_dict
from agents.training import Task
from envs.scores import Actor, Metric
from envs.training import EnvironmentTraining
from envs.vec_env import TrainingVecEnv


@dataclass(frozen=True)
class EnvironmentTask(Task):
    """A policy of an environment's own observations and actions.

    Attributes:
        agent: name and hyperparameters.
        train: lengths and sizes.
        env: the environment, as the experiment names it.
        env_kwargs: its arguments.
        training: how it is trained on.
        seed: of everything.
        config_text: the resolved configuration, saved with the policy.
    """

    agent: AgentConfig
    train: TrainConfig
    env: str
    env_kwargs: dict[str, Any]
    training: EnvironmentTraining
    seed: int
    config_text: str

    @property
    def metric(self) -> Metric:
        """What the environment is scored by."""
        return self.training.metric

    def make_vec(self) -> TrainingVecEnv:
        """The environment's batch."""
        return self.training.make_vec(self.train.num_envs, self.seed)

    def score(self, actor: Actor) -> float:
        """The environment's score."""
        return self.training.score(actor)

    def baseline_score(self) -> float:
        """That of the environment's baseline."""
        return self.training.baseline_score()

    def world(self) -> dict[str, Any]:
        """The environment and its spaces."""
        probe = self.training.make_vec(1, self.seed)
        spaces = {name: space_to_dict(getattr(probe, name)) for name in ("observation_space", "action_space")}
        probe.close()
        environment = {"env": self.env, "env_kwargs": self.env_kwargs, **spaces}
        return {"codec": None, "codec_fingerprint": None, "packer": None, "environment": environment}

    def check_start(self, folder: Path, manifest: Manifest) -> None:
        """Refuse an artifact of other spaces.

        Raises:
            ArtifactError: as above.
        """
        ours, theirs = self.world()["environment"], manifest.environment
        if theirs is None:
            raise ArtifactError(f"{folder}: its policy plays GPU clusters, this experiment {self.env}")
        for name in ("observation_space", "action_space"):
            if theirs[name] != ours[name]:
                raise ArtifactError(
                    f"{folder}: its policy of {theirs['env']} has the {name} {theirs[name]}, {self.env} has "
                    f"{ours[name]}; start from a policy of the same spaces"
                )
