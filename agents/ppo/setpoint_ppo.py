"""Proximal policy optimisation of a small policy of setpoints, with roll-outs inside compiled kernels.

Source: Schulman et al., "Proximal Policy Optimization Algorithms", 2017; Mao et al., "Variance Reduction for
Reinforcement Learning in Input-Driven Environments", 2019 (what arrives is the same for all clusters of a window).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from agents.config import DEFAULT_DISCOUNT, Count, Fraction, NotNegative, Positive, Share
from agents.es.cma_es import SetpointConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointPPO(SetpointConfig):
    """Settings of `setpoint-ppo`, which plays GPU clusters; those of the policy and of windows as `cma-es` has them.

    Each iteration plays some windows in several clusters each, whose outputs are disturbed by noise of their own. What
    a disturbance brought is what its cluster cost less from then on than the others of the same window, which met the
    same jobs. `train.total_steps` counts decisions.

    Attributes:
        replicas: clusters that play the same window.
        noise_seconds: for how long a disturbance of a pool's outputs stays at least; each is one sample.
        sigma: standard deviation of the disturbances at first, in choices; it is learned.
        least_sigma: it stays above that, so that the neighbours of a choice are tried.
        learning_rate: of the policy, whose inputs are whitened.
        learning_rate_schedule: `linear`: it falls to 0 over the training; `constant`.
        critic_learning_rate: of the critic.
        critic_units: of each of its two hidden layers.
        n_epochs: how often each sample is learned from.
        batch_size: of a step of the optimizers.
        gamma: discount of a cost one minute later.
        gae_lambda: weight of what comes a minute later in an advantage, beside that.
        clip_range: how far the probability of a choice may move, as a share.
        ent_coef: weight of the entropy of the disturbances.
        leash: weight of the Kullback-Leibler divergence from the policy that training started from.
        max_grad_norm: gradients are made no longer than that.
        averaging: share of the past in the average of the policies of all iterations, which is what validation tries.
        device: of torch: `auto`: a GPU where there is one.
    """

    engine: ClassVar[str] = "agents.ppo"

    name: str = "setpoint-ppo"
    windows: Count = 32
    window_days: Positive = 1.0
    replicas: Annotated[int, Field(ge=1)] = 8
    noise_seconds: Positive = 600.0
    sigma: Positive = 1.0
    least_sigma: Positive = 0.5
    learning_rate: Positive = 0.02
    learning_rate_schedule: Literal["linear", "constant"] = "linear"
    critic_learning_rate: Positive = 0.002
    critic_units: Annotated[int, Field(ge=1, le=1024)] = 32
    n_epochs: Count = 4
    batch_size: Count = 8192
    gamma: Annotated[float, Field(gt=0.0, lt=1.0)] = DEFAULT_DISCOUNT
    gae_lambda: Share = 0.995
    clip_range: Fraction = 0.2
    ent_coef: NotNegative = 0.001
    leash: NotNegative = 0.0
    max_grad_norm: Positive = 1.0
    averaging: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    device: Literal["auto", "cpu", "cuda"] = "auto"
