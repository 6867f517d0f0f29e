"""The policy that a training starts from inside the network, where `cma-es` found it: the rest only adds to its scores.

Source: Silver et al., "Residual Policy Learning", 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from agents.sb3.setpoint_scores import SetpointScores
from agents.setpoints import LearnedSetpoints
from envs.gpu_cluster.codec import LEVERS, start_of
from envs.gpu_cluster.codec.features import PoolFeature
from envs.gpu_cluster.codec.setpoint_policy import INTENSITY, OUTPUTS, price_of

PRICE_AT = int(PoolFeature.IDLE_COST_AGAINST_WAIT_COST)


class SearchedStart(nn.Module):
    """Scores of setpoints and levers by a linear policy: their distance to its outputs, see `SetpointScores`.

    Its weights are no parameters: nothing trains them. Until `follow` is called, or weights are loaded, they are 0.

    Args:
        of_cluster: features of the cluster.
        per_pool: features of a pool.
        levers: those that are on, as indices into the codec's `LEVERS`.
    """

    bias: Tensor
    plain: Tensor
    of_price: Tensor
    crossed: Tensor
    sharpness: Tensor

    def __init__(self, of_cluster: int, per_pool: int, levers: Sequence[int] = ()) -> None:
        super().__init__()
        self._of_cluster, self._levers = of_cluster, tuple(levers)
        inputs, outputs = of_cluster + per_pool, OUTPUTS + len(levers)
        self.register_buffer("bias", torch.zeros(outputs))
        self.register_buffer("plain", torch.zeros(inputs, outputs))
        self.register_buffer("of_price", torch.zeros(outputs))
        self.register_buffer("crossed", torch.zeros(inputs, outputs))
        for lever in self._levers:  # where in its order each choice stands
            places = np.argsort(LEVERS[lever].order).astype(np.float32)
            self.register_buffer(f"places{lever}", torch.from_numpy(places), persistent=False)
        self.register_buffer("sharpness", torch.zeros(1))
        self._scores = SetpointScores()

    def follow(self, policy: LearnedSetpoints, sharpness: float) -> None:
        """Take the weights of a policy.

        Args:
            policy: linear, of the same codec layout.
            sharpness: by how much a choice next to another one scores less.

        Raises:
            ValueError: it has hidden layers, or a learned intensity.
        """
        found = policy.policies
        if len(found.sizes) != 2:
            raise ValueError("it has hidden layers, and only a linear policy can be added to")
        if INTENSITY in policy.features:
            raise ValueError(f"it reads {INTENSITY}, and only a policy of features can be added to")
        columns = [*found.cluster_at.tolist(), *(self._of_cluster + found.pool_at).tolist()]
        names = [LEVERS[lever].name for lever in self._levers]
        weights = np.zeros((len(found.weights[0]) // len(found.start), OUTPUTS + len(names)), np.float32)
        outputs = [0, 1, *(OUTPUTS + names.index(name) for name in policy.levers)]
        weights[:, outputs] = found.weights[0].reshape(len(weights), -1)
        weights[0] += start_of(policy.layout, policy.rule, names).astype(np.float32)
        biases, rows = torch.from_numpy(weights[0]), torch.from_numpy(weights[1:])
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

    def forward(self, features: Tensor) -> list[Tensor]:
        """Scores [B, pools, choices] of setpoints and of each lever.

        Args:
            features: [B, pools, inputs], of the cluster and of each pool.
        """
        price = price_of(features[:, :, self._of_cluster + PRICE_AT].unsqueeze(2))
        outputs = self.bias + features @ self.plain + price * (self.of_price + features @ self.crossed)
        scores = [self._scores(outputs[:, :, :OUTPUTS])]
        for at, lever in enumerate(self._levers):
            places = getattr(self, f"places{lever}")
            output = outputs[:, :, OUTPUTS + at : OUTPUTS + at + 1].clamp(0.0, len(places) - 1.0)
            scores.append(-(output - places).square())
        return [self.sharpness * each for each in scores]
