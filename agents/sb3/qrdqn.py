"""Deep Q-learning of quantiles of the return, for a single discrete action.

Source: Dabney et al., "Distributional Reinforcement Learning with Quantile Regression", 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from agents.config import Positive
from agents.sb3.settings import QLearningConfig


def _few_quantiles() -> dict[str, Any]:
    return {"net_arch": [32, 32], "n_quantiles": 50}


@dataclass(frozen=True, slots=True, kw_only=True)
class QRDQN(QLearningConfig):
    """Settings of `qrdqn`; they are described in `agents.sb3.settings`.

    Attributes:
        policy_kwargs: also `n_quantiles`.
    """

    algorithm: ClassVar[str] = "sb3_contrib:QRDQN"

    name: str = "qrdqn"
    policy_kwargs: Mapping[str, Any] = field(default_factory=_few_quantiles, hash=False)
    max_grad_norm: Positive | None = None
