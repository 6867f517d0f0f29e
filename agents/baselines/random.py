"""A policy that samples its choices: the weakest that any other has to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.baselines.baseline import Baseline
from envs.gpu_cluster.codec import CodecLayout, fingerprint


class RandomPolicy:
    """Every component of the action uniformly among its valid choices.

    Args:
        layout: the codec layout.
        generator: source of randomness.
    """

    def __init__(self, layout: CodecLayout, generator: np.random.Generator) -> None:
        self.name = "random"
        self.packer: str | None = None
        self.layout = layout
        self.masked = True
        self.codec_fingerprint = fingerprint(layout)
        self._ends = np.cumsum(layout.action_sizes)[:-1]
        self._generator = generator

    def reset(self, num_clusters: int) -> None:
        """Do nothing: the generator goes on, so a seed fixes a whole evaluation."""

    def act(self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Draw an action per cluster; see `agents.policy.Policy`."""
        drawn = self._generator.random(action_masks.shape) * action_masks
        return np.stack([part.argmax(axis=1) for part in np.split(drawn, self._ends, axis=1)], axis=1)


BASELINE = Baseline(RandomPolicy, is_stochastic=True)
