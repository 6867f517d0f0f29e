"""An agent: Stable-Baselines3's advantage actor-critic with short rollouts."""

from dataclasses import dataclass

from agents.config import Count
from agents.sb3.a2c import A2C


@dataclass(frozen=True, slots=True, kw_only=True)
class BriskA2C(A2C):
    """Settings of `brisk-a2c`; those of `a2c`, and rollouts of four steps."""

    name: str = "brisk-a2c"
    n_steps: Count = 4
