"""The deterministic policy of a trained agent: a network that scores every choice, and the best choice of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.ars.policies import ARSPolicy
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.dqn.policies import DQNPolicy
from torch import Tensor, nn

from agents.errors import AgentConfigError
from agents.sb3.distribution import INVALID_LOGIT
from agents.sb3.setpoint_scores import SetpointScores
from envs.gpu_cluster.codec import CodecLayout, fingerprint
from envs.gpu_cluster.codec.setpoint_policy import OUTPUTS
from envs.gpu_cluster.default_choices import DefaultChoices
from envs.gpu_cluster.setpoint_box import LARGEST


class ScoreNetwork(nn.Module):
    """Scores of every choice, without memory: what is exported and deployed.

    Args:
        policy: a policy of Stable-Baselines3 with discrete actions.

    Raises:
        AgentConfigError: its scores are not known.
    """

    def __init__(self, policy: BasePolicy) -> None:
        super().__init__()
        self.policy = policy
        self._scores = _scores_of(policy)

    def forward(self, observation: Tensor) -> Tensor:
        """Scores [B, mask size] of observations [B, observation size]."""
        scores: Tensor = self._scores(self.policy, observation)
        return scores


class MaskedScoreNetwork(ScoreNetwork):
    """The same for an agent that sees the mask."""

    def forward(self, observation: Tensor, action_mask: Tensor) -> Tensor:  # type: ignore[override]
        """Scores [B, mask size]; invalid choices score `INVALID_LOGIT`."""
        return torch.where(action_mask, super().forward(observation), INVALID_LOGIT)


class RecurrentScoreNetwork(nn.Module):
    """Scores of every choice with the memory of an LSTM.

    Args:
        policy: a recurrent policy of sb3-contrib with discrete actions.
    """

    def __init__(self, policy: RecurrentActorCriticPolicy) -> None:
        super().__init__()
        self.policy = policy
        self.layers, self.units = policy.lstm_actor.num_layers, policy.lstm_actor.hidden_size

    def forward(self, observation: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores [B, mask size], and the next memory.

        Args:
            observation: [B, observation size].
            hidden: [layers, B, units].
            cell: [layers, B, units].
        """
        policy = self.policy
        features = BasePolicy.extract_features(policy, observation, policy.pi_features_extractor)
        output, (hidden, cell) = policy.lstm_actor(features.unsqueeze(0), (hidden, cell))
        return policy.action_net(policy.mlp_extractor.forward_actor(output.squeeze(0))), hidden, cell


class BoxScoreNetwork(nn.Module):
    """Scores of every choice by a policy whose actions are those of `envs.gpu_cluster.setpoint_box`.

    Setpoints score by their distance to its action; jobs go to their default pools, and levers do nothing, reserves in
    nodes among them.

    Args:
        policy: of Stable-Baselines3, with an actor.
        layout: the codec layout.
    """

    largest: Tensor

    def __init__(self, policy: BasePolicy, layout: CodecLayout) -> None:
        super().__init__()
        self.policy = policy
        self._setpoints = SetpointScores()
        self._default_at = DefaultChoices(layout).default_at.tolist()
        self._levers = sum(layout.lever_sizes) * layout.max_pools
        self.register_buffer("largest", torch.from_numpy(LARGEST.astype(np.float32)), persistent=False)

    def forward(self, observation: Tensor) -> Tensor:
        """Scores [B, mask size] of observations [B, observation size]."""
        actor: Any = self.policy.actor
        if hasattr(actor, "get_action_dist_params"):
            action = torch.tanh(actor.get_action_dist_params(observation)[0])
        else:
            action = actor(observation)
        outputs = (action.reshape(action.shape[0], -1, OUTPUTS) + 1.0) / 2.0 * self.largest
        parts = [self._setpoints(outputs).flatten(1)]
        for pools in self._default_at:
            marks = observation[:, pools]
            parts += [torch.full_like(marks[:, :1], 0.5), (marks > 0.0).to(marks.dtype)]
        parts.append(torch.zeros_like(observation[:, :1]).expand(-1, self._levers))
        return torch.cat(parts, dim=1)


def _actor_critic(policy: Any, observation: Tensor) -> Any:
    features = BasePolicy.extract_features(policy, observation, policy.pi_features_extractor)
    return policy.action_net(policy.mlp_extractor.forward_actor(features))


def _scores_of(policy: BasePolicy) -> Any:
    """(policy, observation) -> scores, for a class of policies."""
    if isinstance(policy, ActorCriticPolicy) or hasattr(policy, "mlp_extractor"):
        return _actor_critic
    if isinstance(policy, DQNPolicy):
        return lambda policy, observation: policy.q_net(observation)
    if isinstance(policy, QRDQNPolicy):
        return lambda policy, observation: policy.quantile_net(observation).mean(dim=1)
    if isinstance(policy, ARSPolicy):
        return lambda policy, observation: policy.action_net(
            policy.extract_features(observation, policy.features_extractor)
        )
    raise AgentConfigError(f"policy {type(policy).__name__} scores no choices, so it cannot be saved")


def score_network(policy: BasePolicy, masked: bool, layout: CodecLayout) -> nn.Module:
    """The network of a policy that is exported and deployed.

    Args:
        policy: of Stable-Baselines3; its weights are shared, not copied.
        masked: whether it sees the action mask.
        layout: the codec layout.

    Raises:
        AgentConfigError: its scores are not known.
    """
    if isinstance(policy.action_space, spaces.Box):
        return BoxScoreNetwork(policy, layout)
    if isinstance(policy, RecurrentActorCriticPolicy):
        return RecurrentScoreNetwork(policy)
    return MaskedScoreNetwork(policy) if masked else ScoreNetwork(policy)


class TrainedPolicy:
    """A trained network as a `agents.policy.Policy`.

    Its action is what the agent's own deterministic action is: the best choice under the mask if it was trained with
    masks, else the best of all, where a choice outside the mask means the default.

    Args:
        name: name in tables.
        policy: of Stable-Baselines3.
        masked: whether the agent sees the action mask.
        layout: the codec layout.
        packer: the in-pool packer that it was trained with.

    Raises:
        AgentConfigError: the scores of the policy are not known.
    """

    def __init__(self, name: str, policy: BasePolicy, masked: bool, layout: CodecLayout, packer: str | None) -> None:
        self.name = name
        self.packer = packer
        self.masked = masked
        self.layout = layout
        self.codec_fingerprint = fingerprint(layout)
        self.network = score_network(policy, masked, layout)
        self._memory: list[Tensor] = []
        self._groups = layout.action_groups
        self._widths = [components * choices for components, choices in self._groups]
        self.reset(1)

    def reset(self, num_clusters: int) -> None:
        """Begin with an empty memory, where the network has one."""
        if isinstance(self.network, RecurrentScoreNetwork):
            shape = (self.network.layers, num_clusters, self.network.units)
            self._memory = [torch.zeros(shape), torch.zeros(shape)]

    def act(self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The choice with the highest score, of every component; see `agents.policy.Policy`."""
        with torch.inference_mode():
            scores = self._scores(torch.from_numpy(observations), torch.from_numpy(action_masks))
            parts = torch.split(scores, self._widths, dim=1)
            best = [part.reshape(-1, *group).argmax(dim=2) for part, group in zip(parts, self._groups, strict=True)]
            return torch.cat(best, dim=1).numpy()

    def _scores(self, observation: Tensor, action_mask: Tensor) -> Tensor:
        scores: Tensor
        if isinstance(self.network, RecurrentScoreNetwork):
            scores, *self._memory = self.network(observation, *self._memory)
            return scores
        scores = self.network(observation, action_mask) if self.masked else self.network(observation)
        return scores
