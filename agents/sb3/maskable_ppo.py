"""sb3-contrib's MaskablePPO with our network, which shares its weights among pools and among slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sb3_contrib import MaskablePPO
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn

from agents.config import AgentConfig, TrainConfig
from agents.sb3.buffers import MaskableTimeDiscountBuffer
from agents.sb3.common import on_policy_arguments
from agents.sb3.network import SharedNetwork
from agents.sb3.policy import SharedPolicy
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.vector import GpuClusterVecEnv


def make_model(
    agent: AgentConfig, train: TrainConfig, env: GpuClusterVecEnv, seed: int, start_rule: Sequence[int]
) -> BaseAlgorithm:
    """Build the model; see `agents.sb3.models.Agent`."""
    shared: dict[str, Any] = {
        "layout": env.problem.config.codec,
        "hidden_units": agent.hidden_units,
        "rule": tuple(start_rule),
        "start_logit": agent.start_logit,
    }
    return MaskablePPO(
        SharedPolicy,
        rollout_buffer_class=MaskableTimeDiscountBuffer,
        policy_kwargs=shared,
        **on_policy_arguments(agent, env, seed),
    )


class SharedBody(nn.Module):
    """The actor of `SharedNetwork`."""

    def __init__(self, network: SharedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, observation: Tensor) -> Tensor:
        """Scores [B, mask size]."""
        return self.network.forward_actor(observation)


def empty_body(layout: CodecLayout, hidden_units: int) -> nn.Module:
    """The actor, to load weights into."""
    return SharedBody(SharedNetwork(layout, hidden_units))


def actor_body(model: Any) -> nn.Module:
    """The actor of a model."""
    return SharedBody(model.policy.mlp_extractor)
