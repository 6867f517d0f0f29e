"""The policy that a training starts from inside the network, where `cma-es` found it: the rest only adds to its scores.

Source: Silver et al., "Residual Policy Learning", 2018.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from agents.sb3.setpoint_scores import SetpointScores
from agents.setpoints import LearnedSetpoints
from envs.gpu_cluster.codec.features import PoolFeature
from envs.gpu_cluster.codec.setpoint_policy import OUTPUTS, price_of

PRICE_AT = int(PoolFeature.IDLE_COST_AGAINST_WAIT_COST)


class SearchedStart(nn.Module):
    """Scores of setpoints by a linear policy: their distance to its time-out and reserve, see `SetpointScores`.

    Its weights are no parameters: nothing trains them. Until `follow` is called, or weights are loaded, they are 0.

    Args:
        of_cluster: features of the cluster.
        per_pool: features of a pool.
    """

    bias: Tensor
    plain: Tensor
    of_price: Tensor
    crossed: Tensor
    sharpness: Tensor

    def __init__(self, of_cluster: int, per_pool: int) -> None:
        super().__init__()
        self._of_cluster = of_cluster
        inputs = of_cluster + per_pool
        self.register_buffer("bias", torch.zeros(OUTPUTS))
        self.register_buffer("plain", torch.zeros(inputs, OUTPUTS))
        self.register_buffer("of_price", torch.zeros(OUTPUTS))
        self.register_buffer("crossed", torch.zeros(inputs, OUTPUTS))
        self.register_buffer("sharpness", torch.zeros(1))
        self._scores = SetpointScores()

    def follow(self, policy: LearnedSetpoints, sharpness: float) -> None:
        """Take the weights of a policy.

        Args:
            policy: linear, of the same codec layout.
            sharpness: by how much a setpoint one choice away scores less.

        Raises:
            ValueError: it has hidden layers.
        """
        found = policy.policies
        if len(found.sizes) != 2:
            raise ValueError("it has hidden layers, and only a linear policy can be added to")
        columns = [*found.cluster_at.tolist(), *(self._of_cluster + found.pool_at).tolist()]
        weights = torch.from_numpy(found.weights[0].reshape(-1, OUTPUTS).astype(np.float32))
        biases, rows = torch.from_numpy(found.start.astype(np.float32)) + weights[0], weights[1:]
        with torch.no_grad():
            for buffer in (self.plain, self.of_price, self.crossed):
                buffer.zero_()
            self.bias.copy_(biases)
            self.plain[columns] = rows[: len(columns)]
            if found.price_at >= 0:
                self.of_price.copy_(rows[len(columns)])
            if found.is_crossed:
                self.crossed[columns] = rows[len(columns) + 1 :]
            self.sharpness.fill_(sharpness)

    def forward(self, features: Tensor) -> Tensor:
        """Scores [B, pools, setpoints] of the features of the cluster and of each pool, [B, pools, inputs]."""
        price = price_of(features[:, :, self._of_cluster + PRICE_AT].unsqueeze(2))
        outputs = self.bias + features @ self.plain + price * (self.of_price + features @ self.crossed)
        scores: Tensor = self.sharpness * self._scores(outputs)
        return scores
