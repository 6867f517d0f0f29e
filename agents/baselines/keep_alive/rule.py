"""What a keep-alive rule is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.serverless.problem import ServerlessProblem
from envs.serverless.simulator import RulePlayer

MINUTE_MS = 60_000.0
Row = Sequence[float]


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A rule.

    Attributes:
        rows: the rules to choose from, see `envs.serverless.simulator.rule`; the first is its default.
        by_function: (problem) -> [F] int64, keep-alive of each function, where the rule reads it.
    """

    rows: tuple[Row, ...]
    by_function: Callable[[ServerlessProblem], NDArray[np.int64]] | None = None


def tuned_row(rule: KeepAlive, problem: ServerlessProblem, windows: NDArray[np.int64]) -> Row:
    """The row that costs least on the windows of a problem; ties go to the first.

    Args:
        rule: the rule.
        problem: functions to tune on.
        windows: [windows, 4] int64, see `ServerlessProblem.windows`.
    """
    player = RulePlayer(problem)
    if rule.by_function is not None:
        player.keep_by_function(rule.by_function(problem))
    return rule.rows[int(player.usd(rule.rows, None, windows).sum(axis=1).argmin())]
