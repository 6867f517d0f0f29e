"""Stable-Baselines3's DQN, for codecs whose action is one discrete choice: one pool and no queue window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from agents.config import AgentConfig, TrainConfig
from agents.errors import AgentConfigError
from agents.sb3.common import arguments, plain_body
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.vector import GpuClusterVecEnv


def make_model(
    agent: AgentConfig, train: TrainConfig, env: GpuClusterVecEnv, seed: int, start_rule: Sequence[int]
) -> BaseAlgorithm:
    """Build the model; see `agents.sb3.models.Agent`.

    Raises:
        AgentConfigError: the action has more than one component.
    """
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
        **arguments(agent, env, seed),
    )


def empty_body(layout: CodecLayout, hidden_units: int) -> nn.Module:
    """The Q network, to load weights into."""
    return plain_body(layout, hidden_units, nn.ReLU)


def actor_body(model: Any) -> nn.Module:
    """The Q network of a model."""
    network: nn.Module = model.policy.q_net.q_net
    return network
