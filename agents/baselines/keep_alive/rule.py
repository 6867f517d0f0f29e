"""What a keep-alive rule is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.serverless import state as sv
from envs.serverless.codec import AS_IT_IS, BREAK_EVEN
from envs.serverless.problem import ServerlessProblem
from envs.serverless.simulator import RulePlayer

MINUTE_MS = 60_000.0
SLEEPS_MS = (AS_IT_IS, BREAK_EVEN)
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
    """The row that costs least on the windows of a problem, then the idle time-out of nodes; ties go to the first.

    Time-outs in minutes are not tried: a workload whose pool is never empty for 15 minutes says nothing of what they
    cost where it is. What a boot costs is known before, so the break-even is tried beside what the pool has.

    Args:
        rule: the rule.
        problem: functions to tune on.
        windows: [windows, 4] int64, see `ServerlessProblem.windows`.
    """
    player = RulePlayer(problem)
    if rule.by_function is not None:
        player.keep_by_function(rule.by_function(problem))
    row = rule.rows[int(player.usd(rule.rows, None, windows).sum(axis=1).argmin())]
    rows = [[*row[: sv.SLEEP], float(sleep_ms), *row[sv.SLEEP + 1 :]] for sleep_ms in SLEEPS_MS]
    return rows[int(player.usd(rows, None, windows).sum(axis=1).argmin())]
