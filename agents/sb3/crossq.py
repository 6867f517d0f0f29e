"""CrossQ: soft actor-critic with batch normalisation and no target network, for continuous actions.

Source: Bhatt et al., "CrossQ: Batch Normalization in Deep Reinforcement Learning for Greater Sample Efficiency and
Simplicity", 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agents.config import Count
from agents.sb3.settings import EntropyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossQ(EntropyConfig):
    """Settings of `crossq`; the others are described in `agents.sb3.settings`.

    Attributes:
        policy_delay: gradient steps of the critic for one of the actor.
    """

    algorithm: ClassVar[str] = "sb3_contrib:CrossQ"

    name: str = "crossq"
    policy_delay: Count = 3
