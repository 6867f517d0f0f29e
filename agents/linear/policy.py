"""A linear policy of any environment: each output moves a component of the action from where it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


class ActionMap:
    """From outputs to actions of a space.

    Args:
        space: Discrete, MultiDiscrete, or Box of one dimension with finite limits.
        start: the action at outputs of 0; None: the middle.
        orders: [components, most] int64, choices of each discrete component in the order that outputs go through, then
            -1; the start is one of them. None: all of them, rising.

    Attributes:
        start: [components] float64.
        orders: [components, most] int64; of no column for a Box.
    """

    def __init__(
        self,
        space: spaces.Space[Any],
        start: NDArray[np.float64] | None = None,
        orders: NDArray[np.int64] | None = None,
    ) -> None:
        self.is_discrete = not isinstance(space, spaces.Box)
        self._is_single = isinstance(space, spaces.Discrete)
        if isinstance(space, spaces.Box):
            self._low, self._high = (np.asarray(limit, np.float64).ravel() for limit in (space.low, space.high))
            self._dtype: Any = space.dtype
            self.orders = np.zeros((len(self._high), 0), np.int64)
        else:
            sizes = [int(space.n)] if isinstance(space, spaces.Discrete) else np.asarray(space.nvec).ravel().tolist()  # type: ignore[attr-defined]
            self.orders = orders_of([range(size) for size in sizes]) if orders is None else orders
            self._high = (self.orders >= 0).sum(axis=1) - 1.0
            self._low, self._dtype = np.zeros(len(self._high)), np.int64
        middle = (self._low + self._high) / 2.0
        default: NDArray[Any] = self._choices(np.floor(middle)) if self.is_discrete else middle
        self.start = np.asarray(default if start is None else start, np.float64)
        self._from = self.start
        if self.is_discrete:
            self._from = (self.orders == self.start[:, None]).argmax(axis=1).astype(np.float64)

    @property
    def size(self) -> int:
        """Outputs."""
        return len(self._high)

    def __call__(self, outputs: NDArray[np.float64]) -> NDArray[Any]:
        """[..., outputs] as actions."""
        moved = np.clip(self._from + outputs, self._low, self._high)
        actions = self._choices(np.rint(moved)) if self.is_discrete else moved.astype(self._dtype)
        return actions[..., 0] if self._is_single else actions

    def _choices(self, places: NDArray[np.float64]) -> NDArray[np.int64]:
        """[..., outputs] what is at places of the orders."""
        found: NDArray[np.int64] = self.orders[np.arange(self.size), places.astype(np.int64)]
        return found


def orders_of(choices: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """[components, most] int64 of choices in order, for an `ActionMap`."""
    found = np.full((len(choices), max(map(len, choices))), -1, np.int64)
    for row, given in zip(found, choices, strict=True):
        row[: len(given)] = given
    return found


class LinearPolicy:
    """Weights of a linear policy as a `agents.policy.EnvironmentPolicy`.

    Args:
        name: of the agent.
        weights: [outputs, 1 + inputs] float64, the constant first.
        actions: what the outputs mean.
        environment: what it plays.
    """

    masked = False

    def __init__(
        self, name: str, weights: NDArray[np.float64], actions: ActionMap, environment: Mapping[str, Any]
    ) -> None:
        self.name, self.environment = name, environment
        self.weights, self._actions = weights, actions

    def reset(self, num_envs: int, /) -> None:
        """Remember nothing."""

    def act(self, observations: NDArray[Any], action_masks: NDArray[np.bool_] | None = None, /) -> NDArray[Any]:
        """The action of each environment, deterministic; see `agents.policy.EnvironmentPolicy`."""
        inputs = np.asarray(observations, np.float64).reshape(len(observations), -1)
        return self._actions(self.weights[:, 0] + inputs @ self.weights[:, 1:].T)


def outputs_of(weights: NDArray[np.float64], observations: NDArray[Any]) -> NDArray[np.float64]:
    """[K, rows, outputs] of K candidates, each on rows of its own.

    Args:
        weights: [K, outputs, 1 + inputs].
        observations: [K, rows, inputs].
    """
    found: NDArray[np.float64] = weights[:, None, :, 0] + observations @ weights[:, :, 1:].transpose(0, 2, 1)
    return found
