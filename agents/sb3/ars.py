"""Augmented random search: a linear policy that is moved towards the better of random changes.

It maximises the sum of an episode's rewards, without discount, so simulated time does not enter it.

Source: Mania et al., "Simple random search of static linear policies is competitive for reinforcement learning", 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from agents.config import Count, Positive
from agents.sb3.settings import Sb3Config


@dataclass(frozen=True, slots=True, kw_only=True)
class ARS(Sb3Config):
    """Settings of `ars`; the others are described in `agents.sb3.settings`.

    All candidates of an update play side by side, each on `n_eval_episodes` clusters, so `train.num_envs` must be a
    multiple of 2 * `n_delta` * `n_eval_episodes`; clusters that one update does not need play it too.

    Attributes:
        policy: `LinearPolicy`, `MlpPolicy`, or `module:Class`.
        policy_kwargs: of the policy, such as `with_bias`, and `net_arch` of `MlpPolicy`.
        n_delta: random changes that an update tries, each with both signs.
        n_top: of these the best that the update uses; None: all.
        delta_std: standard deviation of the changes.
        zero_policy: whether all weights begin at 0.
        alive_bonus_offset: added to the reward of each step.
        n_eval_episodes: episodes that each change is tried on.
        stats_window_size: episodes over which the learning curve averages.
    """

    algorithm: ClassVar[str] = "agents.sb3.side_by_side:SideBySideARS"
    action_spaces: ClassVar[tuple[str, ...]] = ("Discrete", "Box")

    name: str = "ars"
    policy: str = "LinearPolicy"
    policy_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    learning_rate: Positive = 0.02
    n_delta: Count = 8
    n_top: Count | None = None
    delta_std: Positive = 0.05
    zero_policy: bool = True
    alive_bonus_offset: float = 0.0
    n_eval_episodes: Count = 1
    stats_window_size: Count = 100
