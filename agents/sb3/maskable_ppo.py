"""Proximal policy optimisation that sees the action mask, with a network that shares its weights among pools.

Source: Schulman et al., "Proximal Policy Optimization Algorithms", 2017; Huang and Ontañón, "A Closer Look at Invalid
Action Masking in Policy Gradient Algorithms", 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from agents.config import NotNegative
from agents.sb3.settings import DISCRETE, ClippedConfig, Sb3Config, Units

SHARED, SEARCHED = "shared", "searched"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskablePPO(ClippedConfig):
    """Settings of `maskable-ppo`; those of the PPO family are described in `agents.sb3.settings`.

    Attributes:
        policy: `shared`: the network of `agents.sb3.network`; or `MlpPolicy`, or `module:Class`.
        policy_kwargs: of the policy, where it is not `shared`.
        hidden_units: width of the hidden layers of `shared`.
        start: what an untrained `shared` prefers: `tuned`: the tuned heuristic's action; `searched`: what the linear
            `cma-es` policy of `train.init_from` does, which stays part of the network: training only adds to it.
        start_logit: how strongly; 0: not at all. A setpoint one choice from that of `searched` scores so much less.
        leash: weight of the Kullback-Leibler divergence from the policy that training started from, beside the entropy
            bonus `ent_coef`, which must then be above 0; 0: training may go anywhere.
    """

    algorithm: ClassVar[str] = "sb3_contrib:MaskablePPO"
    action_spaces: ClassVar[tuple[str, ...]] = DISCRETE
    masked: ClassVar[bool] = True
    own: ClassVar[tuple[str, ...]] = (*Sb3Config.own, "hidden_units", "start", "start_logit", "leash")

    name: str = "maskable-ppo"
    policy: str = SHARED
    policy_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    hidden_units: Units = 32
    start: Literal["tuned", "searched"] = "tuned"
    start_logit: NotNegative = 2.0
    leash: NotNegative = 0.0
