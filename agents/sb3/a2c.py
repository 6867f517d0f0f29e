"""Advantage actor-critic, without masks.

Source: Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from agents.config import Count, NotNegative, Positive, Share
from agents.sb3.settings import DISCRETE, OnPolicyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class A2C(OnPolicyConfig):
    """Settings of `a2c`; those of on-policy agents are described in `agents.sb3.settings`.

    Attributes:
        ent_coef: weight of the entropy bonus.
        vf_coef: weight of the value's loss.
        max_grad_norm: largest norm of a gradient.
        rms_prop_eps: of RMSprop.
        use_rms_prop: RMSprop; False: Adam.
        use_sde: state-dependent exploration, for continuous actions only.
        sde_sample_freq: steps between two draws of its noise; -1: once a rollout.
    """

    algorithm: ClassVar[str] = "stable_baselines3:A2C"
    action_spaces: ClassVar[tuple[str, ...]] = (*DISCRETE, "Box")

    name: str = "a2c"
    n_steps: Count = 16
    gae_lambda: Share = 1.0
    normalize_advantage: bool = False
    ent_coef: NotNegative = 0.001
    vf_coef: NotNegative = 0.5
    max_grad_norm: Positive = 0.5
    rms_prop_eps: Positive = 1e-5
    use_rms_prop: bool = True
    use_sde: bool = False
    sde_sample_freq: Annotated[int, Field(ge=-1)] = -1
