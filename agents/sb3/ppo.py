"""Proximal policy optimisation, without masks.

Source: Schulman et al., "Proximal Policy Optimization Algorithms", 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from agents.sb3.settings import DISCRETE, ClippedConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PPO(ClippedConfig):
    """Settings of `ppo`; those of the PPO family are described in `agents.sb3.settings`.

    Attributes:
        use_sde: state-dependent exploration, for continuous actions only.
        sde_sample_freq: steps between two draws of its noise; -1: once a rollout.
    """

    algorithm: ClassVar[str] = "stable_baselines3:PPO"
    action_spaces: ClassVar[tuple[str, ...]] = (*DISCRETE, "Box")

    name: str = "ppo"
    use_sde: bool = False
    sde_sample_freq: Annotated[int, Field(ge=-1)] = -1
