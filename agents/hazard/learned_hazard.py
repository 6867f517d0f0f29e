"""A hazard that is learned from many functions: when the next request of one comes of which little is known.

Source: discrete-time survival analysis, Singer and Willett, "It's About Time", Journal of Educational Statistics 1993;
estimates that many histories share, Efron, "Large-Scale Inference", 2010 (empirical Bayes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from agents.config import AgentConfig, Count, Fraction, NotNegative, Positive

MAX_UNITS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedHazard(AgentConfig):
    """Settings of `learned-hazard`, which plays Serverless-v0.

    A network gives the chance that a request comes in a bin of the time that a function is idle, if none came before:
    the share of the function's own gaps, corrected by what many other functions did (only while no request of it runs:
    for a second or further container the own share stays). Dynamic programming turns the
    chances of all bins into the keep-alive and the pre-warm that cost least. Before it is trained the correction is
    zero, and the policy is the rule `hazard-look-ahead`.

    Networks of all sizes and decays are fitted side by side, each three times, to the idle periods of two thirds of the
    functions. What they cost on the thirds that are held out chooses one of them, and shrinks it; the policy is the
    mean of its three corrections. Where no gain is proved, the untrained policy stays. `train.total_steps` counts idle
    periods that were shown.

    Attributes:
        networks: hidden layers of each network that is tried; empty: a logistic regression.
        weight_decays: of each network that is tried.
        learning_rate: of AdamW at the beginning; it falls to 0.
        batch_size: rows, bins of idle periods, of a step of AdamW.
        most_periods: of a function that are recorded, on average, so that busy functions do not outweigh the others.
        shrinkage: factors of the correction that are tried.
        spare_worth: of what a cold start costs, for a container that was started for a request which another one took;
            0 drops it at once.
        left_out: inputs that networks do not read, of `agents.hazard.features.NAMES`.
        proof: standard errors, over functions, by which the gain when they are held out must exceed 0.
    """

    engine: ClassVar[str] = "agents.hazard"
    action_spaces: ClassVar[tuple[str, ...]] = ()
    only_env: ClassVar[str | None] = "autoscaler/Serverless-v0"
    has_onnx: ClassVar[bool] = False

    name: str = "learned-hazard"
    networks: Annotated[tuple[tuple[Annotated[int, Field(ge=1, le=MAX_UNITS)], ...], ...], Field(min_length=1)] = (
        (),
        (16,),
    )
    weight_decays: Annotated[tuple[NotNegative, ...], Field(min_length=1)] = (0.01,)
    learning_rate: Positive = 0.006
    batch_size: Count = 1024
    most_periods: Count = 300
    shrinkage: Annotated[tuple[Fraction, ...], Field(min_length=1)] = (0.5, 1.0)
    spare_worth: NotNegative = 0.0
    left_out: tuple[str, ...] = ()
    proof: NotNegative = 1.0
