"""What a scenario has to win: the look-ahead is cheaper than the tuned rule, and its parts add up."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import autoscaler
import traces
from agents.baselines.tuned import Tuned
from autoscaler.cli import main
from autoscaler.evaluation.clairvoyant import LookAhead, candidate_rules, drawn_run_times
from autoscaler.evaluation.errors import EvaluationError
from autoscaler.evaluation.headroom import PARTS, Headroom, headroom
from envs.gpu_cluster.cluster import auto_cluster
from envs.gpu_cluster.codec import RESERVE_NODES, RULE_CONSOLIDATION, RULE_RESERVE_NODES, CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator.problem import make_problem

TRACE = "synthetic:quickstart?days=2&seed=0"
EXPERIMENT = {"trace": TRACE, "environment": {"codec": {"max_pools": 1, "window_slots": 4}}}
TEN_MINUTES = Tuned(600.0, 0.0, "best-fit", 12.0, 0.5, (12.0, 12.0), ("", ""))


@cache
def found() -> Headroom:
    return headroom(EXPERIMENT, windows=2, tuned=TEN_MINUTES)


def test_knowing_the_future_is_cheaper_than_ten_idle_minutes_in_each_window() -> None:
    tuned, clairvoyant = (usd.sum(axis=1) for usd in (found().tuned_usd, found().clairvoyant_usd))
    assert (clairvoyant < tuned).all()
    assert 0.05 < found().share < 1.0


def test_the_parts_of_the_document_add_up_to_what_evaluate_calls_decidable() -> None:
    document = json.loads(json.dumps(found().document()))
    parts = document["decidable_usd"]["tuned"]
    assert sum(parts[name] for name in PARTS) == pytest.approx(parts["total"])
    rule = TEN_MINUTES.policy(EnvironmentConfig(codec=CodecLayout(max_pools=1, window_slots=4)))
    compared = autoscaler.evaluate(rule, baselines="none", trace=TRACE, windows=2, start=0.6)
    assert compared.results["reactive-tuned"].estimates["decidable_usd"].mean == pytest.approx(parts["total"])
    assert parts["rest"] == pytest.approx(0.0, abs=1e-6)


def test_knowing_less_of_the_future_saves_less() -> None:
    document = json.loads(json.dumps(found().document()))
    information, parts = document["information"], document["decidable_usd"]
    assert information["all"] == document["share"]
    assert information["all"] > max(information["arrivals"], information["run_times"])
    assert information["arrivals"] > 0.0
    for known, name in (("arrivals", "arrivals_known"), ("run_times", "run_times_known")):
        assert sum(parts[name][part] for part in PARTS) == pytest.approx(parts[name]["total"])
        assert information[known] == pytest.approx(1.0 - parts[name]["total"] / parts["tuned"]["total"])
    assert document["look_ahead"]["days"] == LookAhead().days


def test_no_part_is_negative_where_nodes_and_carbon_cost_too() -> None:
    pool = {"name": "gpu", "max_nodes": 40, "usd_per_node_hour": 22.0, "embodied_g_per_node_hour": 80.0}
    environment = {**EXPERIMENT["environment"], "objective": {"usd_per_tonne": 100.0}}  # type: ignore[dict-item]
    priced = headroom(
        {**EXPERIMENT, "environment": environment, "cluster": {"pools": [pool]}},
        windows=1,
        look_ahead=LookAhead(1800.0, days=1),
        tuned=TEN_MINUTES,
    )
    parts = priced.document()["decidable_usd"]["tuned"]
    assert min(parts[name] for name in PARTS) >= 0.0
    assert parts["rest"] > parts["idle"] > 0.0
    assert sum(parts[name] for name in PARTS) == pytest.approx(parts["total"])


def test_the_tables_have_a_row_for_each_part_and_for_each_kind_of_knowledge() -> None:
    by_part, by_information = found().tables()
    assert [row[0] for row in by_part.rows] == [*PARTS, "decidable"]
    known = ["nothing (reactive-tuned)", "arrivals and run times", "arrivals", "run times"]
    assert [row[0] for row in by_information.rows] == known
    for table in (by_part, by_information):
        assert all(len(row) == len(table.header) for row in table.rows)
    assert by_information.rows[0][1] == by_part.rows[-1][1]
    assert by_information.rows[1][1] == by_part.rows[-1][2]


def test_run_times_are_drawn_from_earlier_jobs_of_as_many_gpus() -> None:
    trace = traces.load(TRACE)
    problem = make_problem(trace, auto_cluster(trace), EnvironmentConfig())
    before = int(problem.submit_ms[len(problem.submit_ms) // 2])
    drawn = drawn_run_times(problem, before, 0)
    assert (drawn == drawn_run_times(problem, before, 0)).all()
    assert (drawn != drawn_run_times(problem, before, 1)).any()
    for milli in np.unique(problem.gpu_milli):
        same, earlier = problem.gpu_milli == milli, problem.submit_ms < before
        known = problem.duration_ms[same & earlier]
        assert np.isin(drawn[same], known if known.size else problem.duration_ms[earlier]).all()


def test_the_tuned_rule_is_the_first_candidate_and_every_setpoint_is_tried_once() -> None:
    rule = TEN_MINUTES.policy(EnvironmentConfig())
    rules = candidate_rules(rule)
    assert (rules[0] == rule.rule).all()
    assert sorted(rules[:, 0]) == list(range(len(rule.layout.setpoints)))


def test_reserves_in_nodes_are_candidates_where_they_are_on() -> None:
    config = EnvironmentConfig(codec=CodecLayout(reserve_nodes=True))
    rule = replace(TEN_MINUTES, reserve_nodes=2).policy(config)
    rules = candidate_rules(rule)
    assert (rules[0] == rule.rule).all()
    assert len({tuple(each) for each in rules.tolist()}) == len(rules) == 61 + 5 * 10
    assert set(rules[:, RULE_RESERVE_NODES].tolist()) == set(range(len(RESERVE_NODES)))
    assert (rules[:, RULE_CONSOLIDATION:RULE_RESERVE_NODES] == 0).all()


def test_the_gap_can_be_counted_against_the_look_ahead() -> None:
    against = {
        reference: autoscaler.evaluate(
            baselines="reactive-tuned,always-on", trace=TRACE, windows=2, reference=reference
        )
        for reference in (None, "clairvoyant")
    }
    document = against["clairvoyant"].document()
    best = document["references"]["clairvoyant"]["decidable_usd"]
    tuned, ours = (document["policies"][name]["decidable_usd"]["mean"] for name in ("reactive-tuned", "always-on"))
    assert best < tuned
    gap = document["policies"]["always-on"]["gap_closed"]["mean"]
    assert gap == pytest.approx((tuned - ours) / (tuned - best))
    assert against[None].document()["references"]["clairvoyant"] is None
    by_window = document["policies"]["always-on"]["versus_reference"]["objective_usd_by_window"]
    assert np.mean(by_window) == pytest.approx(ours - tuned)


def test_a_reference_that_there_is_not_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"did you mean .clairvoyant"):
        autoscaler.evaluate(baselines="reactive-tuned", trace=TRACE, reference="clairvoyan")
    with pytest.raises(EvaluationError, match="looks ahead from reactive-tuned"):
        autoscaler.evaluate(baselines="reactive", trace=TRACE, reference="clairvoyant")


def test_an_unknown_experiment_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["headroom", "experiment/quickstrat"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_days_must_be_one_at_least(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["headroom", "experiment/quickstart", "--days", "0"]) == 2
    assert "'--days': Input should be greater than or equal to 1" in capsys.readouterr().err
