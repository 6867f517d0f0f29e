"""Soft actor-critic, for continuous actions.

Source: Haarnoja et al., "Soft Actor-Critic Algorithms and Applications", 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agents.config import Count, Fraction
from agents.sb3.settings import EntropyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SAC(EntropyConfig):
    """Settings of `sac`; the others are described in `agents.sb3.settings`.

    Attributes:
        tau: part of the target network that an update replaces.
        target_update_interval: gradient steps between two updates of the target network.
    """

    algorithm: ClassVar[str] = "stable_baselines3:SAC"

    name: str = "sac"
    tau: Fraction = 0.005
    target_update_interval: Count = 1
