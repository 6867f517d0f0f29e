"""Settings of agents and of their training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agents.errors import AgentConfigError
from agents.registry import AGENTS
from configs.errors import did_you_mean


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """An agent and its hyperparameters; the defaults train on two cores in about a minute.

    Attributes:
        name: one of `agents.registry.AGENTS`.
        hidden_units: width of the hidden layers.
        learning_rate: of Adam; falls linearly to 0.
        rollout_steps: steps of each environment between two updates (PPO).
        batch_size: transitions per gradient step.
        epochs: passes over a rollout (PPO).
        discount: of the reward one `decision_interval_seconds` later; longer steps discount more, by simulated time.
        gae_lambda: of generalised advantage estimation (PPO).
        clip_range: of the probability ratio (PPO).
        entropy_coefficient: weight of the entropy bonus (PPO).
        start_logit: how strongly an untrained maskable-ppo prefers the tuned heuristic's action; 0: not at all.
        replay_transitions: size of the replay buffer (DQN).
        exploration_fraction: part of the training in which epsilon falls to 0.05 (DQN).
    """

    name: str = "maskable-ppo"
    hidden_units: int = 32
    learning_rate: float = 1e-3
    rollout_steps: int = 64
    batch_size: int = 1024
    epochs: int = 2
    discount: float = 0.998
    gae_lambda: float = 0.98
    clip_range: float = 0.2
    entropy_coefficient: float = 0.001
    start_logit: float = 2.0
    replay_transitions: int = 200_000
    exploration_fraction: float = 0.3

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            AgentConfigError: a value is out of its range, or there is no such agent.
        """
        if self.name not in AGENTS:
            raise AgentConfigError(f"unknown agent {self.name!r}{did_you_mean(self.name, AGENTS)}")
        for name in ("hidden_units", "rollout_steps", "batch_size", "epochs", "replay_transitions"):
            if getattr(self, name) < 1:
                raise AgentConfigError(f"agent.{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("learning_rate", "clip_range"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise AgentConfigError(f"agent.{name} is {getattr(self, name)}; it must be finite and > 0")
        for name in ("discount", "gae_lambda", "exploration_fraction"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise AgentConfigError(f"agent.{name} is {getattr(self, name)}; it must be in (0, 1]")
        for name in ("entropy_coefficient", "start_logit"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise AgentConfigError(f"agent.{name} is {getattr(self, name)}; it must be finite and >= 0")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How long and on what to train.

    Attributes:
        total_steps: environment steps, over all environments.
        num_envs: clusters in the batch.
        threads: threads of torch; more than one changes the last bits of the result, so it is part of the config.
        validations: how often the deterministic policy is scored on the training window; the best one is kept.
        validation_windows: windows that the training window is cut into for tuning and validation.
        checkpoint_steps: environment steps between two checkpoints.
    """

    total_steps: int = 3_000_000
    num_envs: int = 256
    threads: int = 1
    validations: int = 10
    validation_windows: int = 6
    checkpoint_steps: int = 500_000

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            AgentConfigError: a number is below 1.
        """
        for name in ("total_steps", "num_envs", "threads", "validations", "validation_windows", "checkpoint_steps"):
            if getattr(self, name) < 1:
                raise AgentConfigError(f"train.{name} is {getattr(self, name)}; it must be at least 1")
