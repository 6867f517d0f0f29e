"""The value that a truncated episode would still have had, discounted by the time of its last step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from agents.sb3.models import Clock


class TimeBootstrap(BaseCallback):
    """Adds gamma ** (step_seconds / unit_seconds) times the value of the last observation to a truncated reward.

    On-policy algorithms of Stable-Baselines3 add gamma times that value, whatever the step lasted. They do so after
    their callbacks, where `infos` say that an episode was truncated; so this adds the right share and takes the mark
    away. It must be the last callback, because those before it want to see the reward and the mark as they are.

    Args:
        clock: how long steps take.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        truncated = [
            int(index) for index in np.flatnonzero(self.locals["dones"]) if infos[index].get("TimeLimit.truncated")
        ]
        if truncated:
            model: Any = self.model
            exponents = self._clock.step_seconds()[truncated] / self._clock.unit_seconds
            last = np.stack([infos[index]["terminal_observation"] for index in truncated])
            self.locals["rewards"][truncated] += model.gamma**exponents * self._values(last, truncated)
            for index in truncated:
                infos[index]["TimeLimit.truncated"] = False
        return True

    def _values(self, observations: NDArray[np.float32], clusters: list[int]) -> NDArray[np.float32]:
        """[K] values of observations [K, ...], with the memory that an LSTM has of these clusters."""
        policy: Any = self.model.policy
        memory: tuple[Any, ...] = ()
        if "lstm_states" in self.locals:
            states = tuple(state[:, clusters].contiguous() for state in self.locals["lstm_states"].vf)
            memory = (states, torch.zeros(len(clusters)))
        with torch.no_grad():
            tensor, _ = policy.obs_to_tensor(observations)
            values: NDArray[np.float32] = policy.predict_values(tensor, *memory).cpu().numpy().flatten()
        return values
