"""A policy that was found by search: setpoints and levers from named features, the rest as the constants have it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.baselines.constant import ConstantSetpoint
from envs.gpu_cluster.codec import (
    PRICES,
    CodecLayout,
    fingerprint,
    learned_choices,
    make_policies,
    scratch_for,
    start_of,
)


class LearnedSetpoints:
    """Setpoints and levers that are linear, or a small network, in features of the observation.

    See `agents.policy.Policy`.

    `envs.gpu_cluster.codec.setpoint_policy` says what it computes; NumPy alone runs it, here and on a cluster, and the
    simulator's kernels run the same source.

    Args:
        name: name in tables.
        start: the constants that it begins from; placement stays theirs, and so do the levers that are not in `levers`.
        features: names of `envs.gpu_cluster.codec.feature_choices`.
        hidden: units of each hidden layer; empty: linear.
        weights: [number of weights] float64.
        packer: in-pool packer that it was trained with, None for the environment's own.
        price: what it makes of the price of waiting, of `PRICES`.
        levers: names of the codec's `LEVERS` that it chooses beside setpoints; each must be on.
        intensity: [1 + I] float64, weights of the learned intensity; None: it is not among the features.

    Attributes:
        start: as given.
        features: as given.
        price: as given.
        levers: as given.
        policies: it alone, as `Simulator.replay_policies` takes it.
        rule: [RULE_SIZE] int64, the constant choices of the other levers.

    Raises:
        ValueError: a feature is unknown, a lever is not on, or the weights do not fit.
    """

    def __init__(
        self,
        name: str,
        start: ConstantSetpoint,
        features: Sequence[str],
        hidden: Sequence[int],
        weights: NDArray[np.float64],
        packer: str | None = None,
        price: str = PRICES[0],
        levers: Sequence[str] = (),
        intensity: NDArray[np.float64] | None = None,
    ) -> None:
        self.name, self.packer, self.start, self.features, self.price = name, packer, start, tuple(features), price
        self.levers = tuple(levers)
        self.layout: CodecLayout = start.layout
        self.masked = True
        self.codec_fingerprint = fingerprint(start.layout)
        self.rule = start.rule
        constants = start_of(start.layout, start.rule, levers)
        self.policies = make_policies(
            start.layout, features, hidden, constants, weights[None], price, levers, intensity
        )

    def reset(self, num_clusters: int) -> None:
        """Do nothing: it has no memory."""

    def act(self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Choose an action per cluster."""
        values, columns = scratch_for(self.policies, len(observations)), observations.T
        chosen = np.zeros((1 + len(self.levers), len(observations), self.layout.max_pools), np.int64)
        for pool in range(self.layout.max_pools):
            learned_choices(self.policies, 0, columns, pool, values)
            chosen[:, :, pool] = values[2, : len(chosen)]
        levers = dict(zip(self.levers, chosen[1:], strict=True))
        return self.start.act_with(chosen[0], observations, action_masks, levers)
