"""Truncated quantile critics: soft actor-critic with quantiles of the return, for continuous actions.

Source: Kuznetsov et al., "Controlling Overestimation Bias with Truncated Mixture of Continuous Distributional Quantile
Critics", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from agents.config import Count, Fraction
from agents.sb3.settings import EntropyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TQC(EntropyConfig):
    """Settings of `tqc`; the others are described in `agents.sb3.settings`.

    Attributes:
        tau: part of the target network that an update replaces.
        target_update_interval: gradient steps between two updates of the target network.
        top_quantiles_to_drop_per_net: quantiles of each critic, the largest ones, that a target leaves out.
    """

    algorithm: ClassVar[str] = "sb3_contrib:TQC"

    name: str = "tqc"
    tau: Fraction = 0.005
    target_update_interval: Count = 1
    top_quantiles_to_drop_per_net: Annotated[int, Field(ge=0)] = 2
