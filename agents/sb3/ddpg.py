"""Deep deterministic policy gradient, for continuous actions.

Source: Lillicrap et al., "Continuous control with deep reinforcement learning", 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from agents.config import Fraction
from agents.sb3.settings import ActionNoiseConfig, ContinuousConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DDPG(ContinuousConfig):
    """Settings of `ddpg`; the others are described in `agents.sb3.settings`.

    Attributes:
        tau: part of the target networks that an update replaces.
    """

    algorithm: ClassVar[str] = "stable_baselines3:DDPG"
    policy_defaults: ClassVar[Mapping[str, Any]] = {"n_critics": 1}

    name: str = "ddpg"
    action_noise: ActionNoiseConfig | None = field(default_factory=ActionNoiseConfig)
    tau: Fraction = 0.005
