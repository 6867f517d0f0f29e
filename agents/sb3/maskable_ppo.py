"""Proximal policy optimisation that sees the action mask, with a network that shares its weights among pools.

Source: Schulman et al., "Proximal Policy Optimization Algorithms", 2017; Huang and Ontañón, "A Closer Look at Invalid
Action Masking in Policy Gradient Algorithms", 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from agents.config import NotNegative
from agents.sb3.settings import DISCRETE, ClippedConfig, Sb3Config, Units

SHARED = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskablePPO(ClippedConfig):
    """Settings of `maskable-ppo`; those of the PPO family are described in `agents.sb3.settings`.

    Attributes:
        policy: `shared`: the network of `agents.sb3.network`; or `MlpPolicy`, or `module:Class`.
        policy_kwargs: of the policy, where it is not `shared`.
        hidden_units: width of the hidden layers of `shared`.
        start_logit: how strongly an untrained `shared` prefers the tuned heuristic's action; 0: not at all.
    """

    algorithm: ClassVar[str] = "sb3_contrib:MaskablePPO"
    action_spaces: ClassVar[tuple[str, ...]] = DISCRETE
    masked: ClassVar[bool] = True
    own: ClassVar[tuple[str, ...]] = (*Sb3Config.own, "hidden_units", "start_logit")

    name: str = "maskable-ppo"
    policy: str = SHARED
    policy_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    hidden_units: Units = 32
    start_logit: NotNegative = 2.0
