"""What the agents of Stable-Baselines3 share: learning rate, arguments, and the plain network."""

from __future__ import annotations

from typing import Any

from torch import nn

from agents.config import AgentConfig
from envs.gpu_cluster.codec import CodecLayout, observation_size
from envs.gpu_cluster.vector import GpuClusterVecEnv


class LinearSchedule:
    """A learning rate that falls linearly to 0 (a class, so that it can be compared and copied)."""

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, progress_remaining: float) -> float:
        """The rate when `progress_remaining` falls from 1 to 0."""
        return self.start * progress_remaining


def arguments(agent: AgentConfig, env: GpuClusterVecEnv, seed: int) -> dict[str, Any]:
    """Arguments of every algorithm."""
    return {
        "env": env,
        "learning_rate": LinearSchedule(agent.learning_rate),
        "batch_size": agent.batch_size,
        "gamma": agent.discount,
        "seed": seed,
        "device": "cpu",
    }


def on_policy_arguments(agent: AgentConfig, env: GpuClusterVecEnv, seed: int) -> dict[str, Any]:
    """Arguments of the PPO family, with a buffer that discounts by simulated time."""
    return {
        **arguments(agent, env, seed),
        "n_steps": agent.rollout_steps,
        "n_epochs": agent.epochs,
        "gae_lambda": agent.gae_lambda,
        "clip_range": agent.clip_range,
        "ent_coef": agent.entropy_coefficient,
        "rollout_buffer_kwargs": {
            "step_seconds": lambda: env.step_seconds,
            "unit_seconds": env.problem.config.decision_interval_seconds,
        },
    }


def plain_body(layout: CodecLayout, hidden_units: int, activation: type[nn.Module]) -> nn.Sequential:
    """Two hidden layers: the actor of Stable-Baselines3's PPO (tanh) or the Q network of its DQN (ReLU)."""
    return nn.Sequential(
        nn.Linear(observation_size(layout), hidden_units),
        activation(),
        nn.Linear(hidden_units, hidden_units),
        activation(),
        nn.Linear(hidden_units, layout.mask_size),
    )
