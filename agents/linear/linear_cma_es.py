"""Covariance matrix adaptation of a linear policy, for any environment with vectors as observations.

Source: Hansen, "The CMA Evolution Strategy: A Tutorial", 2016; that linear policies suffice for much: Mania, Guy and
Recht, "Simple random search of static linear policies is competitive for reinforcement learning", NeurIPS 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from agents.config import AgentConfig, Count, Fraction, NotNegative, Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearCmaES(AgentConfig):
    """Settings of `linear-cma-es`.

    Each output of the policy moves one component of the action away from where it starts: choices of a discrete
    component are taken as ordered, and the output is rounded. It starts at the environment's own rule where that names
    one (`envs.scores.StartsAtRule`), else in the middle. It reads the observations, and moves the
    components, that the environment names, or all (`envs.scores.ReadsSome`, `MovesSome`). All candidates of a
    generation play the same episodes. Where validation does not prove a gain, the start stays.

    Attributes:
        population: candidates of a generation; None: 4 + 3 ln(weights).
        episodes: that each candidate plays in a generation.
        sigma: standard deviation of the first candidates' weights; observations of [0, 1] times a weight of 1 move a
            component by one choice.
        penalty: relative cost of a mean square of 1 of the weights.
        shrinkage: factors by which the mean of the search is tried at validations; the best is kept.
        proof: standard errors by which its gain on the validation episodes must exceed 0, where the environment scores
            them one by one (`envs.scores.ScoresEpisodes`).
    """

    engine: ClassVar[str] = "agents.linear"
    action_spaces: ClassVar[tuple[str, ...]] = ("Discrete", "MultiDiscrete", "Box")
    has_onnx: ClassVar[bool] = False

    name: str = "linear-cma-es"
    population: Annotated[int, Field(ge=4)] | None = None
    episodes: Count = 2
    sigma: Positive = 0.3
    penalty: NotNegative = 0.002
    shrinkage: tuple[Fraction, ...] = (0.5, 1.0)
    proof: NotNegative = 1.0
