"""How Serverless-v0 is trained on: USD of validation episodes beside the hazard rule, and policies to search for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.scores import Actor, Metric
from envs.serverless import state as sv
from envs.serverless.arguments import DEFAULT_WORKLOAD, problem_from_arguments, serverless_config
from envs.serverless.codec import DEFAULT_KEEP, HALF_OCTAVES, SUMMARY
from envs.serverless.kernels import WEIGHTS
from envs.serverless.problem import ServerlessProblem, serverless_problem
from envs.serverless.simulator import RulePlayer, rule
from envs.serverless.workload import select_part
from envs.training import GymnasiumTraining

VALIDATION_SHARE = 1.0 / 3.0
"""Share of the functions that only choose among the policies that a search found."""

USD = Metric(
    name="usd",
    description="USD per validation episode without the energy of requests that run",
    higher_is_better=False,
    baseline="hazard",
    baseline_key="hazard",
)


class ConstantAction:
    """An actor that always does the same; `DEFAULT_KEEP` is the hazard rule."""

    def __init__(self, keep: int = DEFAULT_KEEP) -> None:
        self._action = np.array([keep, 0, 0, 0], np.int64)

    def reset(self, num_envs: int, /) -> None:
        """Nothing is remembered."""

    def act(self, observations: NDArray[Any], action_masks: Any, /) -> NDArray[Any]:
        """[num_envs, 4] int64."""
        return np.tile(self._action, (len(observations), 1))


def linear_actions(weights: NDArray[np.float64], observations: NDArray[np.float32]) -> NDArray[np.int64]:
    """The actions of the policy that `envs.serverless.kernels` plays for `LEARNED`.

    Args:
        weights: [WEIGHTS] float64.
        observations: [N, features] float32, of which it reads the summary.
    """
    size = len(SUMMARY)
    values = (
        observations[:, :size].astype(np.float64) @ weights.reshape(2, size + 1)[:, :size].T
        + weights[[size, 2 * size + 1]]
    )
    steps = np.floor(np.clip(2.0 * values[:, 0], -HALF_OCTAVES, HALF_OCTAVES) + 0.5).astype(np.int64)
    zeros = np.zeros_like(steps)
    return np.stack([DEFAULT_KEEP + steps, (values[:, 1] < 0.0).astype(np.int64), zeros, zeros], axis=1)


class ServerlessSearch:
    """What `agents.es` searches: weights of a linear policy, by the USD of whole windows.

    Functions for validation are none of those that are searched on, for a policy is to serve functions it has not seen.

    Args:
        searched: functions to search on.
        validated: functions to choose by.

    Attributes:
        num_weights: of a policy.
        decisions: made so far.
    """

    num_weights = WEIGHTS

    def __init__(self, searched: ServerlessProblem, validated: ServerlessProblem) -> None:
        self._players = RulePlayer(searched), RulePlayer(validated)
        counts = [
            max(least, problem.span_ms // problem.episode_ms) for least, problem in ((1, searched), (2, validated))
        ]
        self._windows = tuple(
            problem.windows(count) for problem, count in zip((searched, validated), counts, strict=True)
        )

    @property
    def decisions(self) -> int:
        """Decisions made so far."""
        return sum(player.decisions for player in self._players)

    @property
    def num_windows(self) -> int:
        """Windows that may be searched on."""
        return len(self._windows[0])

    def search_costs(self, weights: NDArray[np.float64], windows: NDArray[np.int64]) -> NDArray[np.float64]:
        """[candidates, windows] float64, USD on the functions to search on, in windows by number."""
        return self._usd(0, weights, self._windows[0][windows])

    def validation_costs(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """[candidates, windows] float64, USD on the functions for validation."""
        return self._usd(1, weights, self._windows[1])

    def _usd(self, which: int, weights: NDArray[np.float64], windows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._players[which].usd([rule(sv.LEARNED)] * len(weights), weights, windows)


class ServerlessTraining(GymnasiumTraining):
    """Training on Serverless-v0; see `envs.training.GymnasiumTraining` for the arguments."""

    metric = USD
    searched_actions = staticmethod(linear_actions)

    def score(self, actor: Actor) -> float:
        """The mean USD of the validation episodes."""
        return -float(self.returns(actor).mean())

    def baseline_score(self) -> float:
        """That of the hazard rule."""
        return self.score(ConstantAction())

    def start_action(self) -> NDArray[np.float64]:
        """The hazard rule, for agents that begin at an action, see `envs.scores.StartsAtRule`."""
        return np.array([DEFAULT_KEEP, 0.0, 0.0, 0.0])

    def searched_inputs(self) -> NDArray[np.int64]:
        """The summary, for agents with small policies, see `envs.scores.ReadsSome`."""
        return np.arange(len(SUMMARY))

    def search(self) -> ServerlessSearch:
        """The problem of searching a policy."""
        return ServerlessSearch(*self.parts())

    def parts(self) -> tuple[ServerlessProblem, ServerlessProblem]:
        """The environment's functions in two parts: those to learn from, and those that only choose."""
        return split_functions(self.kwargs)


def split_functions(kwargs: Mapping[str, Any]) -> tuple[ServerlessProblem, ServerlessProblem]:
    """Two parts of the functions of an environment with these arguments, the second of `VALIDATION_SHARE`.

    Raises:
        UserError: the arguments have no meaning.
    """
    config = serverless_config(kwargs.get("config"))
    whole = problem_from_arguments(kwargs.get("workload", DEFAULT_WORKLOAD), config)
    split = replace(config, train_share=1.0 - VALIDATION_SHARE, most_per_hour=None)
    first, second = (
        serverless_problem(select_part(whole.invocations, replace(split, part=part)), replace(split, part="all"))
        for part in ("train", "test")
    )
    return first, second
