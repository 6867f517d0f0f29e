"""The front of fixed rules: what energy, carbon and money each wait costs, as the price of waiting rises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.evaluation.comparison import Comparison, Result
from autoscaler.evaluation.metrics import energy, spent, waits_seconds
from autoscaler.evaluation.rollouts import Rollout, replay_rules
from autoscaler.evaluation.windows import jobs_of
from envs.gpu_cluster.accounting import MILLI_MS_PER_GPU_HOUR
from envs.gpu_cluster.codec import CONSOLIDATION_CHOICES, RULE_CONSOLIDATION, RULE_SETPOINT, RULE_SIZE, CodecLayout
from envs.gpu_cluster.simulator.problem import Problem

MOST_JOBS = 30_000_000
"""Replayed jobs of all rules together: more than that would take minutes."""

WEIGHTS = np.logspace(-3.0, 3.0, 601)
"""Prices of a waiting GPU-hour, USD, for which the cheapest rule is looked up."""


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """The rules that are the cheapest for some price of waiting, K of them, with rising price.

    Attributes:
        weights_usd: [K] float64, the least price of a waiting GPU-hour for which the rule is the cheapest.
        kwh: [K] float64, energy of a window.
        kg: [K] float64, its carbon.
        usd: [K] float64, its cost without waiting.
        p95_seconds: [K] float64, 95th percentile of the waits, mean over windows.
    """

    weights_usd: NDArray[np.float64]
    kwh: NDArray[np.float64]
    kg: NDArray[np.float64]
    usd: NDArray[np.float64]
    p95_seconds: NDArray[np.float64]


def rule_front(comparison: Comparison) -> Front | None:
    """The front of all constant setpoints (and consolidation choices) of the scenario; None: that would take too long.

    Args:
        comparison: gives scenario and windows.
    """
    scenario, windows = comparison.scenario, comparison.windows
    rules = _rules(scenario.config.codec)
    if len(rules) * jobs_of(scenario.trace, windows) > MOST_JOBS:
        return None
    problem = scenario.problem()
    points = np.array([_point(rollouts, problem) for rollouts in replay_rules(rules, scenario, windows)])
    usd, delay = points[:, 2], points[:, 4]
    cheapest = np.array([int((usd + weight * delay).argmin()) for weight in WEIGHTS])
    first = np.flatnonzero(np.append(True, cheapest[1:] != cheapest[:-1]))
    chosen = points[cheapest[first]]
    return Front(WEIGHTS[first], chosen[:, 0], chosen[:, 1], usd[cheapest[first]], chosen[:, 3])


def money_usd(result: Result) -> float:
    """The mean cost of a window without waiting."""
    return result.estimates["objective_usd"].mean - result.estimates["cost_usd.delay"].mean


def _rules(layout: CodecLayout) -> NDArray[np.int64]:
    moves = range(len(CONSOLIDATION_CHOICES) if layout.consolidation else 1)
    choices = [(setpoint, move) for move in moves for setpoint in range(len(layout.setpoints))]
    rules = np.zeros((len(choices), RULE_SIZE), np.int64)
    rules[:, [RULE_SETPOINT, RULE_CONSOLIDATION]] = choices
    return rules


def _point(rollouts: list[Rollout], problem: Problem) -> list[float]:
    """Energy, carbon, money without waiting, p95 of the waits and delayed GPU-hours, means over windows."""
    rows = []
    for rollout in rollouts:
        own = spent(rollout, problem)
        kg = (own.carbon_g.total + own.embodied_g) / 1000.0
        waits = waits_seconds(rollout)
        p95 = float(np.percentile(waits, 95)) if waits.size else 0.0
        delay = (rollout.waited_milli_ms + rollout.totals.overhead_milli_ms) / MILLI_MS_PER_GPU_HOUR
        rows.append([energy(rollout, problem).total, kg, own.total_usd - own.delay_usd, p95, delay])
    means: list[float] = np.mean(rows, axis=0).tolist()
    return means
