"""Twin delayed deep deterministic policy gradient, for continuous actions.

Source: Fujimoto et al., "Addressing Function Approximation Error in Actor-Critic Methods", 2018.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from agents.config import Count, Fraction, NotNegative
from agents.sb3.settings import ActionNoiseConfig, ContinuousConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TD3(ContinuousConfig):
    """Settings of `td3`; the others are described in `agents.sb3.settings`.

    Attributes:
        tau: part of the target networks that an update replaces.
        policy_delay: gradient steps of the critic for one of the actor.
        target_policy_noise: standard deviation of the noise on the target's actions.
        target_noise_clip: largest value of that noise.
        stats_window_size: episodes over which the learning curve averages.
    """

    algorithm: ClassVar[str] = "stable_baselines3:TD3"

    name: str = "td3"
    action_noise: ActionNoiseConfig | None = field(default_factory=ActionNoiseConfig)
    tau: Fraction = 0.005
    policy_delay: Count = 2
    target_policy_noise: NotNegative = 0.2
    target_noise_clip: NotNegative = 0.5
    stats_window_size: Count = 100
