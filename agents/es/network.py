"""A searched policy as a network for ONNX Runtime, which chooses by the same bits as NumPy and the kernels.

Everything is computed in float64 and summed in the order of `envs.gpu_cluster.codec.setpoint_policy.run_layers`: a
matrix product would sum in another one.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from agents.onnx_files import write_network
from agents.setpoints import LearnedSetpoints
from envs.gpu_cluster.codec import LEVERS, RULE_SETPOINT, observation_size
from envs.gpu_cluster.codec.setpoint_policy import (
    FLOAT32_STEP,
    INTENSITY_SCALE_GPUS,
    LEVER_CHOICES,
    OUTPUTS,
    RESERVES,
    TIMEOUTS,
    price_of,
)
from envs.gpu_cluster.default_choices import DefaultChoices


class SearchedNetwork(nn.Module):
    """Logits of every choice: 1 for the one that the policy wants, 0 for the others.

    So the largest valid one is its choice, and where that is not valid the first that is, as
    `envs.gpu_cluster.default_choices` has it.

    Args:
        policy: found by search.
    """

    def __init__(self, policy: LearnedSetpoints) -> None:
        super().__init__()
        self._policies, layout = policy.policies, policy.layout
        self._pools = layout.max_pools
        self._default_at = DefaultChoices(layout).default_at.tolist()
        self._searched = {LEVERS[at].name: entry for entry, at in enumerate(self._policies.levers.tolist())}
        self._levers = [
            (at, lever.name, int(policy.rule[RULE_SETPOINT + 1 + at]))
            for at, lever in enumerate(LEVERS)
            if getattr(layout, lever.switch)
        ]
        self._layers = _layers(self._policies.sizes.tolist(), self._policies.weights[0])

    def forward(self, observation: Tensor, action_mask: Tensor) -> Tensor:
        """Logits [B, mask size] float32 of observations [B, observation size] and their masks [B, mask size]."""
        outputs = [self._outputs(observation, pool) for pool in range(self._pools)]
        parts = [self._setpoint(values) for values in outputs]
        for pools in self._default_at:
            marks = observation[:, pools]
            parts += [torch.full_like(marks[:, :1], 0.5), (marks > 0.0).to(marks.dtype)]
        for at, name, constant in self._levers:
            parts += [self._lever(values, at, name, constant) for values in outputs]
        # The mask is an input of every network that was trained with one; an invalid choice has no logit of its own.
        return torch.where(
            action_mask, torch.cat(parts, dim=1), torch.full_like(action_mask, -1.0, dtype=torch.float32)
        )

    def _outputs(self, observation: Tensor, pool: int) -> Tensor:
        """[B, outputs] float64: positions of a pool's choices in their orders."""
        of = self._policies
        at = of.first_pool + pool * of.per_pool
        parts = [observation[:, of.cluster_at.tolist()].double()]
        if len(of.intensity) > 0:
            parts.append(self._intensity(observation))
        values = torch.cat([*parts, observation[:, (at + of.pool_at).tolist()].double()], dim=1)
        if of.price_at >= 0:
            price = price_of(observation[:, at + of.price_at : at + of.price_at + 1].double())
            values = torch.cat([values, price, values * price] if of.is_crossed else [values, price], dim=1)
        for index, (biases, weights) in enumerate(self._layers):
            total = biases.expand(values.shape[0], -1)
            for entry in range(weights.shape[0]):
                total = total + weights[entry] * values[:, entry : entry + 1]
            values = total if index + 1 == len(self._layers) else torch.relu(total)
        return values + torch.from_numpy(of.start)

    def _intensity(self, observation: Tensor) -> Tensor:
        """[B, 1] float64, see `envs.gpu_cluster.codec.setpoint_policy.read_intensity`."""
        of = self._policies
        total = torch.full_like(observation[:, :1], of.intensity[0], dtype=torch.float64)
        for entry, scale, weight in zip(of.intensity_at, of.intensity_scale, of.intensity[1:], strict=True):
            seen = observation[:, entry : entry + 1].double()
            total = total + weight * (scale * seen / (1.0 - seen).clamp(min=FLOAT32_STEP))
        return total / (total + INTENSITY_SCALE_GPUS)

    def _setpoint(self, values: Tensor) -> Tensor:
        edge = torch.floor(values[:, :1] + 0.5).clamp(0.0, TIMEOUTS - 1.0)
        row = torch.floor(values[:, 1:2] + 0.5).clamp(0.0, float(RESERVES))
        return _marked((row * TIMEOUTS + edge).clamp(max=float(RESERVES * TIMEOUTS)), RESERVES * TIMEOUTS + 1)

    def _lever(self, values: Tensor, at: int, name: str, constant: int) -> Tensor:
        choices = int(LEVER_CHOICES[at])
        if name not in self._searched:
            return _marked(torch.full_like(values[:, :1], float(constant)), choices)
        entry = OUTPUTS + self._searched[name]
        position = torch.floor(values[:, entry : entry + 1] + 0.5).clamp(0.0, choices - 1.0)
        # Where each choice stands in the order of the lever.
        return (position == torch.tensor(np.argsort(LEVERS[at].order), dtype=torch.float64)).float()


def _marked(choice: Tensor, choices: int) -> Tensor:
    """[B, choices] float32, 1 at the choice [B, 1]."""
    return (choice == torch.arange(choices, dtype=torch.float64)).float()


def _layers(sizes: list[int], weights: np.ndarray) -> list[tuple[Tensor, Tensor]]:
    """(biases [outputs], weights [inputs, outputs]) of each layer, float64."""
    layers, at = [], 0
    for inputs, outputs in pairwise(sizes):
        end = at + (1 + inputs) * outputs
        layer = torch.from_numpy(weights[at:end].reshape(1 + inputs, outputs).copy())
        layers.append((layer[0], layer[1:]))
        at = end
    return layers


def export_searched(policy: LearnedSetpoints, path: Path) -> None:
    """Write a searched policy as ONNX, for any batch size.

    Inputs: `observation` and `action_mask`. Output: `logits`. The metadata hold the fingerprint of the codec.

    Raises:
        OSError: the file cannot be written.
    """
    layout = policy.layout
    inputs = {
        "observation": torch.zeros(2, observation_size(layout)),
        "action_mask": torch.ones(2, layout.mask_size, dtype=torch.bool),
    }
    write_network(SearchedNetwork(policy), inputs, ["logits"], {}, layout, path)
