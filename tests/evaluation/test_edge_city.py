"""Episodes of a city on which policies are judged."""

import math
from typing import Any

import pytest

from autoscaler.evaluation.edge_city import EdgeCityEvaluation, spread_starts
from envs.edge.arguments import city_of
from tests.envs.edge.scenes import scenario

EDGE_CITY = "autoscaler/EdgeCity-v0"
DAYS = {"users": "trips:*?users=40&days=3", "day_hours": (8.0, 10.0), "episode_seconds": 1800.0}


def evaluation(**changes: Any) -> EdgeCityEvaluation:
    train = scenario(**DAYS, days=(0, 2))
    return EdgeCityEvaluation(
        EDGE_CITY, {"scenario": train}, {"scenario": scenario(**{**DAYS, "days": (2, 3), **changes})}, 2
    )


def test_episodes_are_spread_over_the_days_of_a_scenario() -> None:
    starts = spread_starts(city_of(scenario(**DAYS, days=(0, 2))), 4)
    hours = [start / 3_600_000 for start in starts]
    assert hours == pytest.approx([8.1833, 8.9333, 32.55, 33.3], abs=0.02)  # to the minute


def test_a_row_tells_what_an_episode_cost_above_its_bound() -> None:
    judged = evaluation()
    policy, constants = judged.make_rule("nearest")
    rows = judged.play(policy)
    assert constants == {}
    assert [row["hours"] for row in rows] == [0.5, 0.5]
    assert judged.windows[0] == (56 * 3600.0 + 1320.0, 56 * 3600.0 + 3120.0)
    for row in rows:
        assert row["decidable_usd"] == pytest.approx(row["objective_usd"] - row["bound_usd"])
        assert row["bound_usd"] > 0.0
        assert row["response_seconds_p50"] <= row["response_seconds_p95"] < 60.0
        assert all(math.isfinite(value) for value in row.values())


def test_the_bound_of_an_episode_is_worked_out_once_for_all_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def bound(_city: Any, start_ms: int) -> float:
        asked.append(start_ms)
        return 1.0

    monkeypatch.setattr("autoscaler.evaluation.edge_city.relaxed_usd", bound)
    judged = evaluation()
    for name in ("nearest", "least-loaded"):
        assert [row["bound_usd"] for row in judged.play(judged.make_rule(name)[0])] == [1.0, 1.0]
    assert len(asked) == len(set(asked)) == 2


def test_a_tuned_rule_says_what_was_chosen() -> None:
    _, constants = evaluation().make_rule("hazard-nearest-tuned")
    assert set(constants) == {"sleep"}


def test_what_a_training_has_not_seen_are_the_days_after_it_or_other_calls() -> None:
    later = EdgeCityEvaluation.held_out({"scenario": scenario(**DAYS, days=(0, 2))})["scenario"]
    assert later["days"] == [2, 3]
    other = EdgeCityEvaluation.held_out({"scenario": scenario(**DAYS)})["scenario"]
    assert (other["days"], other["seed"]) == (None, 1)
