"""A trained policy of any environment: the deterministic action of Stable-Baselines3's own policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy


class SpacePolicy:
    """A policy of Stable-Baselines3 as a `agents.policy.EnvironmentPolicy`.

    Args:
        name: of the agent.
        policy: of Stable-Baselines3; its weights are shared, not copied.
        masked: whether it sees the action mask.
        environment: what it plays.
    """

    def __init__(self, name: str, policy: BasePolicy, masked: bool, environment: Mapping[str, Any]) -> None:
        self.name, self.masked, self.environment = name, masked, environment
        self._policy: Any = policy
        self._memory: Any = None
        self._is_first = np.ones(1, np.bool_)

    def reset(self, num_envs: int, /) -> None:
        """Begin with an empty memory, where the network has one."""
        self._memory, self._is_first = None, np.ones(num_envs, np.bool_)

    def act(self, observations: NDArray[Any], action_masks: NDArray[np.bool_] | None = None, /) -> NDArray[Any]:
        """The deterministic action of each environment; see `agents.policy.EnvironmentPolicy`."""
        masks = {"action_masks": action_masks} if self.masked else {}
        actions: NDArray[Any]
        actions, self._memory = self._policy.predict(
            observations, state=self._memory, episode_start=self._is_first, deterministic=True, **masks
        )
        self._is_first = np.zeros(len(observations), np.bool_)
        return actions
