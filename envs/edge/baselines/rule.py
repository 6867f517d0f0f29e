"""What a rule for sites is: constants to choose from, and a policy for each choice."""

from __future__ import annotations

import math
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

    def score(self, actor: Actor, at_most: float = math.inf) -> float:
        """What a policy costs, the less the better; some number above `at_most` where it costs more than that."""
        ...


@dataclass(frozen=True, slots=True)
class SiteBaseline:
    """A rule with constants.

    Attributes:
        make: constants -> policy of one site.
        grid: constant -> values that tuning tries; the first one is the default.
        blocks: constants that are tuned together, one block after the other until none changes; empty: all of them.
    """

    make: Callable[..., Actor]
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    blocks: Sequence[Sequence[str]] = ()

    def default(self) -> Actor:
        """The rule with its default constants."""
        return self.make(**{name: values[0] for name, values in self.grid.items()})

    def tuned(self, task: Scored) -> tuple[dict[str, Any], Actor]:
        """The constants that cost least on a task, and the rule with them; every combination of a block is tried."""
        costs = dict[tuple[Any, ...], float]()

        def cost(constants: Mapping[str, Any]) -> float:
            key = tuple(constants.values())
            if key not in costs:
                costs[key] = task.score(self.make(**constants), min(costs.values(), default=math.inf))
            return costs[key]

        best = {name: values[0] for name, values in self.grid.items()}
        before: dict[str, Any] = {}
        while best != before:
            before = best
            for block in self.blocks or [tuple(self.grid)]:
                tried = [
                    dict(zip(block, values, strict=True)) for values in product(*(self.grid[name] for name in block))
                ]
                best = min(({**best, **constants} for constants in tried), key=cost)
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
