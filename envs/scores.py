"""What a validation score is, who is scored, and on which episodes: what environments and their training share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

VALIDATION_SEEDS, BASELINE_SEED = 1_000_000_007, 1_000_000_009
"""Far from the seeds that users give, so that validation has other episodes than training, and the same for all."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a validation score is.

    Attributes:
        name: of its entry in the learning curve, `validation/NAME`.
        description: what one score is, with its unit, for messages.
        higher_is_better: else lower is.
        baseline: what trained policies are compared with, for messages.
        baseline_key: the same in the learning curve, `validation/KEY_NAME`.
    """

    name: str
    description: str
    higher_is_better: bool
    baseline: str
    baseline_key: str

    @property
    def worst(self) -> float:
        """A score that any other is better than."""
        return -np.inf if self.higher_is_better else np.inf

    def is_better(self, score: float, other: float) -> bool:
        """Whether a score is better than another one."""
        return score > other if self.higher_is_better else score < other


MEAN_RETURN = Metric("return", "return per episode on average", True, "random actions", "random")


class Actor(Protocol):
    """What chooses actions for a batch of environments."""

    def reset(self, num_envs: int, /) -> None:
        """Forget any state and prepare for a batch."""
        ...

    def act(self, observations: NDArray[Any], action_masks: Any, /) -> NDArray[Any]:
        """[num_envs, ...] an action each; the masks are None where the environment has none."""
        ...


@runtime_checkable
class StartsAtRule(Protocol):
    """What a training has whose environment knows a good constant action, from which a search begins."""

    def start_action(self) -> NDArray[np.float64]:
        """[components] float64, the action."""
        ...


@runtime_checkable
class ReadsSome(Protocol):
    """What a training has whose environment knows which entries of an observation are enough for a small policy."""

    def searched_inputs(self) -> NDArray[np.int64]:
        """[K] int64, these entries."""
        ...


@runtime_checkable
class MovesSome(Protocol):
    """What a training has whose environment knows which components of an action are worth a search."""

    def searched_components(self) -> Mapping[int, Sequence[int]]:
        """Each of these components -> its choices worth a search, in the order in which outputs go through them.

        The start is one of them. The other components stay as the search begins.
        """
        ...


@runtime_checkable
class ScoresEpisodes(Protocol):
    """What a training has whose score is the mean of episodes that are the same for every policy."""

    def episode_scores(self, actor: Actor) -> NDArray[np.float64]:
        """[episodes] float64, in the unit of the score."""
        ...
