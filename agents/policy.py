"""What every decision maker is, trained or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec import CodecLayout


class Policy(Protocol):
    """Maps observations to actions, for a batch of clusters at once.

    A policy sees only what `envs.gpu_cluster.codec.encode` wrote, so the same object drives the simulator and a live
    cluster.

    Attributes:
        name: short name for tables and logs.
        layout: codec layout that it reads and writes.
        codec_fingerprint: `envs.gpu_cluster.codec.fingerprint` of that layout.
        masked: whether it chooses under the mask; else a choice outside it means the default.
        packer: name of the in-pool packer that it was tuned or trained with, None for the environment's own.
    """

    name: str
    layout: CodecLayout
    codec_fingerprint: str
    masked: bool
    packer: str | None

    def reset(self, num_clusters: int) -> None:
        """Forget any state and prepare for a batch of `num_clusters`."""
        ...

    def act(self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Choose an action per cluster.

        Args:
            observations: [B, observation size] float32.
            action_masks: [B, mask size] bool.

        Returns:
            [B, action components] int64; valid under the masks where `masked`, else a choice outside the mask means the
            default, see `envs.gpu_cluster.codec.decode`.
        """
        ...


class EnvironmentPolicy(Protocol):
    """A trained policy of another environment than GPU clusters.

    Attributes:
        name: of the agent that trained it.
        masked: whether it chooses under a mask.
        environment: what it plays: `env`, `env_kwargs`, `observation_space` and `action_space`, as plain values.
    """

    name: str
    masked: bool
    environment: Mapping[str, Any]

    def reset(self, num_envs: int, /) -> None:
        """Forget any state and prepare for a batch."""
        ...

    def act(self, observations: NDArray[Any], action_masks: NDArray[np.bool_] | None = None, /) -> NDArray[Any]:
        """Choose an action for each environment.

        Args:
            observations: [B, ...] of the environment's observation space.
            action_masks: [B, mask size] bool, for a policy that is `masked`.

        Returns:
            [B, ...] actions of its action space, deterministic.
        """
        ...
