"""Scores of setpoints by their distance to a time-out and a reserve that a network puts out, in torch and in ONNX."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from envs.gpu_cluster.codec.setpoint_policy import RESERVES, TIMEOUTS


class SetpointScores(nn.Module):
    """The squared distance of every setpoint to outputs, in choices, below 0.

    So the best one is `envs.gpu_cluster.codec.setpoint_policy.nearest_setpoint`, and its neighbours come next.
    """

    timeouts: Tensor
    reserves: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("timeouts", torch.arange(float(TIMEOUTS)), persistent=False)
        self.register_buffer("reserves", torch.arange(float(RESERVES)), persistent=False)

    def forward(self, outputs: Tensor) -> Tensor:
        """Scores [B, pools, setpoints] of outputs [B, pools, 2]: time-out and reserve, as indices."""
        timeout, reserve = outputs[:, :, :1].clamp(0.0, TIMEOUTS - 1.0), outputs[:, :, 1:].clamp(0.0, float(RESERVES))
        to_timeout, to_reserve = (timeout - self.timeouts).square(), (reserve - self.reserves).square()
        grid = (to_reserve.unsqueeze(3) + to_timeout.unsqueeze(2)).flatten(2)
        # Always on has no time-out of its own: as far as the nearest one, so that the reserve alone decides.
        always_on = (reserve - RESERVES).square() + to_timeout.min(dim=2, keepdim=True).values
        return -torch.cat([grid, always_on], dim=2)
