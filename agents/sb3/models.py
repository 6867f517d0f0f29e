"""Trainable agents by name: each is a module of this package, listed in `agents.registry.AGENTS`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from agents.config import AgentConfig, TrainConfig
from agents.registry import AGENTS
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.vector import GpuClusterVecEnv


class Agent(Protocol):
    """What the module of an agent offers."""

    def make_model(
        self, agent: AgentConfig, train: TrainConfig, env: GpuClusterVecEnv, seed: int, start_rule: Sequence[int]
    ) -> BaseAlgorithm:
        """Build the Stable-Baselines3 model; see `make_model` below."""
        ...

    def empty_body(self, layout: CodecLayout, hidden_units: int) -> nn.Module:
        """The network that scores choices, to load weights into."""
        ...

    def actor_body(self, model: Any) -> nn.Module:
        """The part of a model that scores choices; it shares the model's weights."""
        ...


def agent_module(name: str) -> Agent:
    """The module of an agent, a key of `agents.registry.AGENTS`."""
    return cast(Agent, import_module(AGENTS[name]))


def make_model(
    agent: AgentConfig, train: TrainConfig, env: GpuClusterVecEnv, seed: int, start_rule: Sequence[int]
) -> BaseAlgorithm:
    """Build an agent.

    Args:
        agent: name and hyperparameters.
        train: sizes.
        env: the batch of clusters.
        seed: of the weights, the actions and the minibatches.
        start_rule: [RULE_SIZE] the setpoint and lever choices that an untrained maskable-ppo prefers.

    Raises:
        AgentConfigError: the agent cannot play this action space.
    """
    return agent_module(agent.name).make_model(agent, train, env, seed, start_rule)
