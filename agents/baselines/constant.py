"""Fixed rules: one setpoint for every pool, every job to its default pool."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec import CodecLayout, fingerprint
from envs.gpu_cluster.default_choices import DefaultChoices
from envs.gpu_cluster.placement import PriceSlopes

CLUSTER_AUTOSCALER_IDLE_SECONDS = 600.0
"""Cluster Autoscaler's default `--scale-down-unneeded-time`. Source: its FAQ."""


class ConstantSetpoint:
    """Scale by one constant setpoint and place each job in its default pool.

    The default pool is the first where the job starts at once, else the first that can grow for it; the codec marks it
    in the observation, so this policy needs nothing but what every policy sees.

    Args:
        layout: the codec layout.
        idle_timeout_seconds: idle nodes go after this time, one of the codec's `IDLE_AGE_EDGES_SECONDS`.
        headroom: reserve of idle nodes as a fraction of the demand, one of the codec's `HEADROOM_FRACTIONS`, or
            `ALWAYS_ON`.
        name: name in tables.
        packer: in-pool packer, None for the environment's own.
        consolidation: index into the codec's `CONSOLIDATION_CHOICES`, used in every pool whenever that is valid.
        power_cap: index into `envs.gpu_cluster.codec.POWER_CAP_FRACTIONS`.
        width: index into `envs.gpu_cluster.codec.WIDTH_CHOICES`, used whenever that is valid.
        suspension: index into `envs.gpu_cluster.codec.SUSPENSION_CHOICES`, used whenever that is valid.
        reserve_nodes: index into `envs.gpu_cluster.codec.RESERVE_NODES`.

    Attributes:
        placement_prices: USD per node-hour of each pool, on top of what a node costs, by which the environment places
            jobs for this policy; empty: those of the cluster.
        placement_slopes: how these change with the state, one for each pool; empty: likewise.
        setpoint: index into the layout's setpoints.
        rule: [RULE_SIZE] int64, the same as `envs.gpu_cluster.codec.default_action` takes it.

    Raises:
        ValueError: there is no such setpoint.
    """

    def __init__(
        self,
        layout: CodecLayout,
        idle_timeout_seconds: float = CLUSTER_AUTOSCALER_IDLE_SECONDS,
        headroom: float = 0.0,
        name: str = "reactive",
        packer: str | None = None,
        consolidation: int = 0,
        power_cap: int = 0,
        width: int = 0,
        suspension: int = 0,
        reserve_nodes: int = 0,
    ) -> None:
        self.name = name
        self.packer = packer
        self.placement_prices: tuple[float, ...] = ()
        self.placement_slopes: tuple[PriceSlopes, ...] = ()
        self.layout = layout
        self.masked = True
        self.codec_fingerprint = fingerprint(layout)
        self.setpoint = layout.setpoint(idle_timeout_seconds, headroom)
        of_levers = (consolidation, power_cap, width, suspension, reserve_nodes)
        self.rule = np.array([self.setpoint, *of_levers], dtype=np.int64)
        self._choices = DefaultChoices(layout, of_levers)

    def reset(self, num_clusters: int) -> None:
        """Do nothing: a constant has no state."""

    def act(self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The constant setpoint where it is valid, the default pool for present slots; see `agents.policy.Policy`."""
        wanted = np.full((len(observations), self.layout.max_pools), self.setpoint)
        return self.act_with(wanted, observations, action_masks)

    def act_with(
        self,
        wanted: NDArray[np.int64],
        observations: NDArray[np.float32],
        action_masks: NDArray[np.bool_],
        levers: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> NDArray[np.int64]:
        """The same with other setpoints and levers.

        Args:
            wanted: [B, pools] int64, the setpoint of each pool, where it is valid.
            observations: as in `act`.
            action_masks: as in `act`.
            levers: by name in `LEVERS`: [B, pools] int64, likewise; the others keep their constants.
        """
        return self._choices.action(wanted, observations, action_masks, levers)
