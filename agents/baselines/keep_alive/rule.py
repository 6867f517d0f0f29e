"""What a keep-alive rule is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.containers.state import FOREVER
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


SLEEPS_MS = (900_000, 300_000, 3_600_000, FOREVER)
"""Idle time-outs of the pool's nodes that are tried beside its own."""


def tuned(rule: KeepAlive, problem: ServerlessProblem, windows: NDArray[np.int64]) -> tuple[Row, int | None]:
    """The row that costs least on the windows of a problem, then with it the idle time-out of the nodes.

    Args:
        rule: the rule.
        problem: functions to tune on.
        windows: [windows, 4] int64, see `ServerlessProblem.windows`.

    Returns:
        The row, and the idle time-out, ms; None: each node its own. Ties go to the first.
    """
    player = RulePlayer(problem)
    if rule.by_function is not None:
        player.keep_by_function(rule.by_function(problem))
    costs = player.usd(rule.rows, None, windows).sum(axis=1)
    row = rule.rows[int(costs.argmin())]
    choices: dict[int | None, float] = {None: float(costs.min())}
    choices |= {sleep: float(player.usd([row], None, windows, sleep).sum()) for sleep in SLEEPS_MS}
    return row, min(choices, key=lambda sleep: choices[sleep])
