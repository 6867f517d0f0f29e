"""What a rule for sites is: constants to choose from, and a policy for each choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from envs.edge.codec import ACTION_SIZES
from envs.scores import Actor


class Scored(Protocol):
    """What rules are tuned on: `envs.edge.training.EdgeTraining`."""

    def score(self, actor: Actor) -> float:
        """What a policy costs, the less the better."""
        ...


@dataclass(frozen=True, slots=True)
class SiteBaseline:
    """A rule with constants.

    Attributes:
        make: constants -> policy of one site.
        grid: constant -> values that tuning tries; the first one is the default.
    """

    make: Callable[..., Actor]
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def default(self) -> Actor:
        """The rule with its default constants."""
        return self.make(**{name: values[0] for name, values in self.grid.items()})

    def tuned(self, task: Scored) -> tuple[dict[str, Any], Actor]:
        """The constants that cost least on a task, and the rule with them; every combination is tried."""
        tried = [dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())]
        costs = [task.score(self.make(**constants)) for constants in tried] if len(tried) > 1 else [0.0]
        best = tried[int(np.argmin(costs))]
        return best, self.make(**best)


class ConstantSites:
    """The same action at every site, always.

    Args:
        action: a choice of each component.
    """

    def __init__(self, *action: int) -> None:
        self._action = np.array(action, np.int64)
        assert len(action) == len(ACTION_SIZES)

    def reset(self, num_envs: int, /) -> None:
        """Remember nothing."""

    def act(self, observations: NDArray[Any], action_masks: Any = None, /) -> NDArray[np.int64]:
        """[rows, 6]."""
        return np.tile(self._action, (len(observations), 1))
