"""A policy that was found by search: setpoints from named features, the rest as the best constants have it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.baselines.constant import ConstantSetpoint
from envs.gpu_cluster.codec import (
    PRICES,
    CodecLayout,
    fingerprint,
    learned_setpoint,
    make_policies,
    scratch_for,
    start_of,
)


class LearnedSetpoints:
    """Setpoints that are linear, or a small network, in features of the observation; see `agents.policy.Policy`.

    `envs.gpu_cluster.codec.setpoint_policy` says what it computes; NumPy alone runs it, here and on a cluster, and the
    simulator's kernels run the same source.

    Args:
        name: name in tables.
        start: the constants that it begins from; placement and levers stay theirs.
        features: names of `envs.gpu_cluster.codec.feature_choices`.
        hidden: units of each hidden layer; empty: linear.
        weights: [number of weights] float64.
        packer: in-pool packer that it was trained with, None for the environment's own.
        price: what it makes of the price of waiting, of `PRICES`.

    Attributes:
        start: as given.
        features: as given.
        price: as given.
        policies: it alone, as `Simulator.replay_policies` takes it.
        rule: [RULE_SIZE] int64, the constant choices of the levers.

    Raises:
        ValueError: a feature is unknown, or the weights do not fit.
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
    ) -> None:
        self.name, self.packer, self.start, self.features, self.price = name, packer, start, tuple(features), price
        self.layout: CodecLayout = start.layout
        self.masked = True
        self.codec_fingerprint = fingerprint(start.layout)
        self.rule = start.rule
        constants = start_of(*start.layout.setpoints[start.setpoint])
        self.policies = make_policies(start.layout, features, hidden, constants, weights[None], price)

    def reset(self, num_clusters: int) -> None:
        """Do nothing: it has no memory."""

    def act(self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Choose an action per cluster."""
        values, columns = scratch_for(self.policies, len(observations)), observations.T
        pools = range(self.layout.max_pools)
        chosen = [learned_setpoint(self.policies, 0, columns, pool, values) for pool in pools]
        return self.start.act_with(np.stack(chosen, axis=1).astype(np.int64), observations, action_masks)
