"""Deep Q-learning, for a single discrete action.

Source: Mnih et al., "Human-level control through deep reinforcement learning", 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agents.sb3.settings import QLearningConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DQN(QLearningConfig):
    """Settings of `dqn`; they are described in `agents.sb3.settings`."""

    algorithm: ClassVar[str] = "stable_baselines3:DQN"

    name: str = "dqn"
