"""Serverless-v0 as it is judged: functions of `part: test` in equal windows of the workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.baselines.keep_alive.registry import KEEP_ALIVES
from agents.baselines.keep_alive.rule import Row as RuleRow
from agents.baselines.keep_alive.rule import tuned_row
from autoscaler.evaluation.environments import Row, overlaid
from autoscaler.evaluation.errors import EvaluationError
from configs.errors import did_you_mean
from configs.loader import to_dict
from envs.containers.results import Results
from envs.scores import Actor
from envs.serverless import state as sv
from envs.serverless.arguments import DEFAULT_WORKLOAD, problem_from_arguments, serverless_config
from envs.serverless.bounds import least_usd
from envs.serverless.problem import ServerlessProblem
from envs.serverless.simulator import RulePlayer, ServerlessSimulator, rule
from envs.serverless.training import ConstantAction

TUNED = "-tuned"
ARGUMENTS = ("workload", "config")


@dataclass(frozen=True, slots=True, eq=False)
class PlayedRule:
    """A rule, or the weights of a searched policy, as the simulator plays it.

    Attributes:
        row: of the rule.
        by_function: keep-alive of each function, where the rule reads it.
        weights: [WEIGHTS] float64 of a searched policy.
    """

    row: RuleRow
    by_function: Callable[[ServerlessProblem], NDArray[np.int64]] | None = None
    weights: NDArray[np.float64] | None = None


class ServerlessEvaluation:
    """See `autoscaler.evaluation.environments.EnvironmentEvaluation`.

    Args:
        env: id of the environment.
        train_kwargs: `workload` and `config` of what rules are tuned on.
        test_kwargs: the same for what policies are judged on.
        windows: equal windows of the workload.

    Raises:
        UserError: the arguments have no meaning.
    """

    rules: ClassVar[tuple[str, ...]] = (
        *(name for name in KEEP_ALIVES if name != "fixed"),  # which is fixed-10 until it is tuned
        *(f"{name}{TUNED}" for name in KEEP_ALIVES if len(KEEP_ALIVES[name].rows) > 1),
    )
    reference: ClassVar[str] = f"hazard{TUNED}"

    def __init__(self, env: str, train_kwargs: Mapping[str, Any], test_kwargs: Mapping[str, Any], windows: int) -> None:
        self._train_kwargs = train_kwargs
        self._problem = _problem(test_kwargs)
        self._rows = self._problem.windows(windows)
        self.windows = [(float(row[0]) / 1000.0, float(row[1]) / 1000.0) for row in self._rows]
        self._bounds = [least_usd(self._problem, row) for row in self._rows]

    @staticmethod
    def held_out(kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The functions of `part: test` after a training on those of `part: train`; else the same."""
        config = serverless_config(kwargs.get("config"))
        if config.part != "train":
            return dict(kwargs)
        return overlaid({**kwargs, "config": to_dict(config)}, {"config": {"part": "test"}})

    def make_rule(self, name: str) -> tuple[PlayedRule, dict[str, Any]]:
        """A keep-alive rule; those that are tuned, on the functions of the training."""
        known = KEEP_ALIVES[name.removesuffix(TUNED)]
        if not name.endswith(TUNED):
            return PlayedRule(known.rows[0], known.by_function), {}
        problem = _problem(self._train_kwargs)
        row = tuned_row(known, problem, problem.windows(max(1, problem.span_ms // problem.episode_ms)))
        return PlayedRule(row, known.by_function), {"rule": list(row)}

    def play(self, policy: Any) -> list[Row]:
        """A `PlayedRule`, or a trained policy."""
        weights = getattr(policy, "weights", None)
        if weights is not None and not isinstance(policy, PlayedRule):
            policy = PlayedRule(rule(sv.LEARNED), weights=weights)
        if isinstance(policy, PlayedRule):
            found = self._played(policy)
        else:
            found = ServerlessSimulator(self._problem, len(self._rows)).play(policy, self._rows)
        return [self._row(number, results) for number, results in enumerate(found)]

    def record(self, folder: str | Path, trained: Mapping[str, Any]) -> None:
        """The first window under the hazard rule and trained policies."""
        from autoscaler.recordings.functions import record_functions

        window, functions = self._rows[0], self._problem.invocations.num_functions
        title = f"Serverless-v0: {functions} functions, window 1 of {len(self._rows)}"
        policies: dict[str, Actor] = {"hazard": ConstantAction(), **trained}
        record_functions(folder, self._problem, policies, (int(window[0]), int(window[1])), title)

    def _played(self, policy: PlayedRule) -> list[Results]:
        player = RulePlayer(self._problem)
        if policy.by_function is not None:
            player.keep_by_function(policy.by_function(self._problem))

        def until(row: NDArray[np.int64], end_ms: int) -> Results:
            episode = np.array([self._problem.episode(int(row[0]), end_ms)], np.int64)
            player.usd([policy.row], None if policy.weights is None else policy.weights[None, :], episode)
            return player.results()

        return [until(row, int(row[1])).minus(until(row, self._counted_from(row))) for row in self._rows]

    def _counted_from(self, row: NDArray[np.int64]) -> int:
        return min(int(row[0]) + self._problem.serverless.warm_up_ms, int(row[1]))

    def _row(self, number: int, found: Results) -> Row:
        prices, window = self._problem.config.prices, self._rows[number]
        usd, finished = found.usd(prices), max(found.total("finished"), 1)
        fixed = usd - found.decidable_usd(prices) + found.costs(prices)["billed"]
        bound = float("nan") if found.total("rejected") else fixed + self._bounds[number]
        return {
            "objective_usd": usd,
            "bound_usd": bound,
            "decidable_usd": usd - bound,
            "energy_kwh_total": float(found.energy_kwh.sum()),
            "carbon_kg_total": float(found.carbon_g.sum()) / 1000.0,
            "hours": (int(window[1]) - self._counted_from(window)) / 3.6e6,
            "requests": float(found.total("requests")),
            "cold_share": found.total("cold") / finished,
            "late_share": found.total("late") / finished,
            "response_seconds_p50": found.response_ms(0.5) / 1000.0,
            "response_seconds_p95": found.response_ms(0.95) / 1000.0,
            "rejected": float(found.total("rejected")),
            "pre_warmed": float(found.total("pre_warmed")),
            **{f"cost_usd_{name}": value for name, value in found.costs(prices).items()},
        }


def _problem(kwargs: Mapping[str, Any]) -> ServerlessProblem:
    for name in kwargs:
        if name not in ARGUMENTS:
            raise EvaluationError(f"Serverless-v0 has no argument {name!r}{did_you_mean(name, ARGUMENTS)}")
    return problem_from_arguments(kwargs.get("workload", DEFAULT_WORKLOAD), kwargs.get("config"))
