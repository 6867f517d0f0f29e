"""Stable-Baselines3's PPO with a plain network and no masks: an action outside the mask means the default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from agents.config import AgentConfig, TrainConfig
from agents.sb3.buffers import TimeDiscountBuffer
from agents.sb3.common import on_policy_arguments, plain_body
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.vector import GpuClusterVecEnv


def make_model(
    agent: AgentConfig, train: TrainConfig, env: GpuClusterVecEnv, seed: int, start_rule: Sequence[int]
) -> BaseAlgorithm:
    """Build the model; see `agents.sb3.models.Agent`."""
    return PPO(
        "MlpPolicy",
        rollout_buffer_class=TimeDiscountBuffer,
        policy_kwargs={"net_arch": [agent.hidden_units, agent.hidden_units]},
        **on_policy_arguments(agent, env, seed),
    )


def empty_body(layout: CodecLayout, hidden_units: int) -> nn.Module:
    """The actor, to load weights into."""
    return plain_body(layout, hidden_units, nn.Tanh)


def actor_body(model: Any) -> nn.Module:
    """The actor of a model."""
    return nn.Sequential(*model.policy.mlp_extractor.policy_net, model.policy.action_net)
