"""Trust region policy optimisation, without masks.

Source: Schulman et al., "Trust Region Policy Optimization", 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from agents.config import Count, Fraction, NotNegative, Positive
from agents.sb3.settings import DISCRETE, OnPolicyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TRPO(OnPolicyConfig):
    """Settings of `trpo`; those of on-policy agents are described in `agents.sb3.settings`.

    Attributes:
        learning_rate: of the value's optimizer; the policy moves as far as `target_kl` allows.
        batch_size: transitions per gradient step of the value.
        cg_max_steps: steps of the conjugate gradient method.
        cg_damping: damping of its Hessian.
        line_search_shrinking_factor: by which the step is shortened until it is within `target_kl`.
        line_search_max_iter: how often it is shortened at most.
        n_critic_updates: passes over a rollout for the value.
        target_kl: largest divergence of an update.
        sub_sampling_factor: every how many transitions one is used for the policy.
        use_sde: state-dependent exploration, for continuous actions only.
        sde_sample_freq: steps between two draws of its noise; -1: once a rollout.
    """

    algorithm: ClassVar[str] = "sb3_contrib:TRPO"
    action_spaces: ClassVar[tuple[str, ...]] = (*DISCRETE, "Box")

    name: str = "trpo"
    batch_size: Count = 1024
    cg_max_steps: Count = 15
    cg_damping: NotNegative = 0.1
    line_search_shrinking_factor: Fraction = 0.8
    line_search_max_iter: Count = 10
    n_critic_updates: Count = 10
    target_kl: Positive = 0.01
    sub_sampling_factor: Count = 1
    use_sde: bool = False
    sde_sample_freq: Annotated[int, Field(ge=-1)] = -1
