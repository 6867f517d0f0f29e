"""The lower bound of what containers cost: by hand on small workloads, and never above what a rule costs."""

from __future__ import annotations

import numpy as np
import pytest

from envs.containers import state as st
from envs.serverless.bounds import idle_gaps, least_usd
from envs.serverless.simulator import RulePlayer, rule
from envs.serverless.state import FIXED, HAZARD
from tests.envs.serverless.test_rules import calls, problem_of


def requests(times, run_ms):
    rows = np.zeros((len(times), st.REQUEST_COLUMNS), np.int64)
    rows[:, st.SENT_MS], rows[:, st.RUN_MS] = times, run_ms
    return rows


@pytest.mark.parametrize(
    ("times", "run_ms", "concurrency", "counted_from", "gaps"),
    [
        ([100, 300], 50, 1, 0, [100, 150]),
        ([100, 150], 50, 1, 0, [100, 0]),
        ([100, 120, 500], 50, 1, 0, [100, 120, 330]),
        ([100, 120, 500], 50, 2, 0, [100, 330]),
        ([100, 300], 50, 1, 200, [100]),
    ],
    ids=["one after the other", "at the very end", "two at once", "two in one container", "what came before"],
)
def test_gaps_of_each_container_that_is_needed(times, run_ms, concurrency, counted_from, gaps):
    assert idle_gaps(requests(times, run_ms), concurrency, counted_from).tolist() == gaps


def test_no_rule_costs_less_than_the_bound():
    generator = np.random.default_rng(3)
    times = np.sort(generator.integers(0, 4 * 3_600_000, 200))
    problem = problem_of(calls(times, generator.integers(0, 3, 200)), warm_up_seconds=600.0)
    windows = problem.windows(2)
    least = np.array([least_usd(problem, window) for window in windows])
    assert (least > 0.0).all()
    rows = [rule(FIXED, 0.0), rule(FIXED, 600_000.0), rule(FIXED, float(st.FOREVER)), rule(HAZARD, 1.0, 1.0)]
    assert (RulePlayer(problem).usd(rows, None, windows) >= least).all()
