"""The deterministic policy of a trained agent: a network that scores every choice, and the best valid one of each."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.sb3.distribution import INVALID_LOGIT
from envs.gpu_cluster.codec import CodecLayout, fingerprint


class ScoreNetwork(nn.Module):
    """Observation and mask to scores: what is saved, exported and deployed.

    Args:
        body: observation [B, observation size] to scores [B, mask size].
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, observation: Tensor, action_mask: Tensor) -> Tensor:
        """Scores [B, mask size]; invalid choices score `INVALID_LOGIT`."""
        return torch.where(action_mask, self.body(observation), INVALID_LOGIT)


class TrainedPolicy:
    """A score network as a `agents.policy.Policy`.

    Args:
        name: name in tables.
        body: the network, in evaluation mode.
        layout: the codec layout.
        packer: the in-pool packer that it was trained with.
    """

    def __init__(self, name: str, body: nn.Module, layout: CodecLayout, packer: str | None) -> None:
        self.name = name
        self.packer = packer
        self.layout = layout
        self.codec_fingerprint = fingerprint(layout)
        self.network = ScoreNetwork(body)
        self._groups = layout.action_groups
        self._widths = [components * choices for components, choices in self._groups]

    def reset(self, num_clusters: int) -> None:
        """Do nothing: the network has no memory."""

    def act(self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The valid choice with the highest score, of every component; see `agents.policy.Policy`."""
        with torch.inference_mode():
            scores = self.network(torch.from_numpy(observations), torch.from_numpy(action_masks))
            parts = torch.split(scores, self._widths, dim=1)
            best = [part.reshape(-1, *group).argmax(dim=2) for part, group in zip(parts, self._groups, strict=True)]
            return torch.cat(best, dim=1).numpy()
