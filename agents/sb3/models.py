"""Stable-Baselines3 models by name, set up for this environment."""

from __future__ import annotations

from typing import Any

from sb3_contrib import MaskablePPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from agents.config import AgentConfig, TrainConfig
from agents.errors import AgentConfigError
from agents.sb3.buffers import MaskableTimeDiscountBuffer, TimeDiscountBuffer
from agents.sb3.policy import SharedPolicy
from envs.vector import GpuClusterVecEnv


class LinearSchedule:
    """A learning rate that falls linearly to 0 (a class, so that it can be compared and copied)."""

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, progress_remaining: float) -> float:
        """The rate when `progress_remaining` falls from 1 to 0."""
        return self.start * progress_remaining


def make_model(
    agent: AgentConfig, train: TrainConfig, env: GpuClusterVecEnv, seed: int, start_setpoint: int
) -> BaseAlgorithm:
    """Build an agent.

    Args:
        agent: name and hyperparameters.
        train: sizes.
        env: the batch of clusters.
        seed: of the weights, the actions and the minibatches.
        start_setpoint: the setpoint that an untrained maskable-ppo prefers.

    Raises:
        AgentConfigError: dqn is asked to choose more than one component.
    """
    common: dict[str, Any] = {
        "env": env,
        "learning_rate": LinearSchedule(agent.learning_rate),
        "batch_size": agent.batch_size,
        "gamma": agent.discount,
        "seed": seed,
        "device": "cpu",
    }
    if agent.name == "dqn":
        return _dqn(agent, train, env, common)
    buffer = {
        "step_seconds": lambda: env.step_seconds,
        "unit_seconds": env.problem.config.decision_interval_seconds,
    }
    common |= {
        "n_steps": agent.rollout_steps,
        "n_epochs": agent.epochs,
        "gae_lambda": agent.gae_lambda,
        "clip_range": agent.clip_range,
        "ent_coef": agent.entropy_coefficient,
        "rollout_buffer_kwargs": buffer,
    }
    if agent.name == "ppo":
        kwargs = {"net_arch": [agent.hidden_units, agent.hidden_units]}
        return PPO("MlpPolicy", rollout_buffer_class=TimeDiscountBuffer, policy_kwargs=kwargs, **common)
    shared: dict[str, Any] = {
        "layout": env.problem.config.codec,
        "hidden_units": agent.hidden_units,
        "setpoint": start_setpoint,
        "start_logit": agent.start_logit,
    }
    return MaskablePPO(SharedPolicy, rollout_buffer_class=MaskableTimeDiscountBuffer, policy_kwargs=shared, **common)


def _dqn(agent: AgentConfig, train: TrainConfig, env: GpuClusterVecEnv, common: dict[str, Any]) -> BaseAlgorithm:
    sizes = env.problem.config.codec.action_sizes
    if len(sizes) > 1:
        raise AgentConfigError(
            f"agent dqn needs a single discrete action, this codec has {len(sizes)} components; set "
            "environment.codec.max_pools=1 and environment.codec.window_slots=0, or choose maskable-ppo"
        )
    return DQN(
        "MlpPolicy",
        buffer_size=agent.replay_transitions,
        learning_starts=10 * train.num_envs,
        train_freq=4,
        gradient_steps=1,
        target_update_interval=max(1, 10_000 // train.num_envs),
        exploration_fraction=agent.exploration_fraction,
        policy_kwargs={"net_arch": [agent.hidden_units, agent.hidden_units], "activation_fn": nn.ReLU},
        **common,
    )
