"""What training asks of a batch of environments, beyond Stable-Baselines3's `VecEnv`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv


@runtime_checkable
class BeginsAnew(Protocol):
    """A batch whose `state_dict` does not hold the episodes that are running.

    Before it is saved all of them begin anew, so that a resumed training and one that never stopped go on with the same
    episodes.
    """

    def begin_anew(self, steps: int) -> None:
        """Begin new episodes everywhere, drawn from the seed and the number of steps alone.

        Args:
            steps: environment steps of the training so far.
        """
        ...


class TrainingVecEnv(VecEnv):
    """A batch of environments whose training can be saved and resumed; see also `BeginsAnew`."""

    @property
    @abstractmethod
    def step_seconds(self) -> NDArray[Any]:
        """[num_envs] time that the last step of each environment took, as the task counts it; discounting needs it."""

    @abstractmethod
    def observations(self) -> NDArray[Any]:
        """[num_envs, ...] what every environment shows now; a copy."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What the future of this object depends on: `arrays` by name, and `generator`, plain values."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: it belongs to another configuration.
        """
