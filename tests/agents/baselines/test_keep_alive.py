"""Keep-alive rules by name: each plays, and tuning finds a row that costs no more."""

from __future__ import annotations

import numpy as np
import pytest

import traces
from agents.baselines.keep_alive.registry import KEEP_ALIVES
from agents.baselines.keep_alive.rule import tuned_row
from agents.errors import UnknownPolicyError
from envs.serverless.config import ServerlessConfig
from envs.serverless.problem import ServerlessProblem, serverless_problem
from envs.serverless.simulator import RulePlayer


@pytest.fixture(scope="module")
def problem() -> ServerlessProblem:
    invocations = traces.load_invocations("synthetic-functions:mixed?functions=8&hours=4&seed=2")
    return serverless_problem(invocations, ServerlessConfig(warm_up_seconds=600.0))


def usd(problem: ServerlessProblem, name: str, row) -> float:
    player = RulePlayer(problem)
    if KEEP_ALIVES[name].by_function is not None:
        player.keep_by_function(KEEP_ALIVES[name].by_function(problem))
    return float(player.usd([row], None, problem.windows(1))[0, 0])


@pytest.mark.parametrize("name", list(KEEP_ALIVES))
def test_a_rule_plays_and_tuning_never_makes_it_worse(problem, name):
    rule = KEEP_ALIVES[name]
    default = usd(problem, name, rule.rows[0])
    assert default > 0.0
    assert usd(problem, name, tuned_row(rule, problem, problem.windows(1))) <= default


def test_always_warm_has_the_fewest_cold_starts_and_drops_nothing(problem):
    cold = {}
    for name in ("always-warm", "fixed-1"):
        player = RulePlayer(problem)
        player.usd([KEEP_ALIVES[name].rows[0]], None, problem.windows(1))
        cold[name] = player.results().total("cold")
        assert (player.results().total("expired") == 0) == (name == "always-warm")
    assert cold["always-warm"] < cold["fixed-1"]


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(UnknownPolicyError, match="did you mean 'hazard'"):
        KEEP_ALIVES["hazzard"]


def test_keeping_for_as_long_as_a_cold_start_is_worth_differs_by_function(problem):
    keep_ms = KEEP_ALIVES["per-function"].by_function(problem)
    assert len(np.unique(keep_ms)) > 1
