"""Why a policy decides as it does: the explanation says what the weights and the costs say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import traces
from agents.baselines import ConstantSetpoint
from agents.setpoints import LearnedSetpoints
from autoscaler.cli import main
from autoscaler.evaluation.comparison import Comparison, Contender, compare
from autoscaler.evaluation.insight.choices import decision_map, differences, natural
from autoscaler.evaluation.insight.explanation import Explanation, explanation_of
from autoscaler.evaluation.insight.influence import LeverEffect, influences
from autoscaler.evaluation.insight.moments import moments_of, reserves_of, timeouts_of
from autoscaler.evaluation.insight.turning import turns
from autoscaler.evaluation.report import render
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.windows import equal_windows
from envs.gpu_cluster.cluster import auto_cluster
from envs.gpu_cluster.codec import ALWAYS_ON, CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from tests.evaluation.test_json_documentation import documented, leaves

LAYOUT = CodecLayout(max_pools=1, window_slots=0, reserve_nodes=True)
FEATURES = ("since_submit", "pool.busy_nodes", "queue_gpus")
START = ConstantSetpoint(LAYOUT, 600.0, 0.05)


def learned() -> LearnedSetpoints:
    # Cluster features come first: since_submit, queue_gpus, then pool.busy_nodes; each moves time-out, reserve, nodes.
    weights = np.array([np.zeros(3), (-4.0, 0.0, 3.0), np.zeros(3), (0.0, 3.0, 0.0)]).ravel()
    return LearnedSetpoints("learned", START, FEATURES, (), weights, levers=("reserve_nodes",))


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    trace = traces.load("synthetic:quickstart?days=3&seed=0")
    return Scenario(trace, auto_cluster(trace), EnvironmentConfig(codec=LAYOUT))


@pytest.fixture(scope="module")
def comparison(scenario: Scenario) -> Comparison:
    contenders = [
        Contender("learned", (learned(),), "trained"),
        Contender("reactive-tuned", (replace_name(START),), "rule"),
    ]
    windows = equal_windows(scenario.trace, 0.3, 1.0, 2)
    return compare(scenario, contenders, windows, np.random.default_rng(0), reference="reactive-tuned")


def replace_name(rule: ConstantSetpoint) -> ConstantSetpoint:
    return ConstantSetpoint(rule.layout, 600.0, 0.05, name="reactive-tuned")


@pytest.fixture(scope="module")
def told(comparison: Comparison) -> Explanation:
    found = explanation_of(comparison, "learned")
    assert found is not None
    return found


def test_features_move_what_their_weights_say_and_those_without_weight_move_nothing(told: Explanation) -> None:
    found = {entry.feature: entry for entry in told.influences}
    assert set(found) == {"since_submit", "pool.busy_nodes"}
    assert found["since_submit"].timeout == pytest.approx(-4.0 * found["since_submit"].spread)
    assert found["since_submit"].reserve == 0.0
    assert found["pool.busy_nodes"].reserve == pytest.approx(3.0 * found["pool.busy_nodes"].spread)
    assert all(entry.changed > 0.0 and entry.placed == 0.0 for entry in told.influences)
    for name, weight in (("since_submit", 3.0), ("pool.busy_nodes", 0.0)):
        (effect,) = found[name].levers
        assert effect == LeverEffect("reserve_nodes", pytest.approx(weight * found[name].spread))
        assert (found[name].pulled > 0.0) == (weight > 0.0)
    header, rows = told.tables()[0].header, told.tables()[0].rows
    assert "reserve_nodes, choices" in header
    assert all(len(row) == len(header) for row in rows)


def test_moments_are_thinned_out_and_hold_what_the_policy_chose(scenario: Scenario, comparison: Comparison) -> None:
    few = moments_of(learned(), scenario, comparison.windows, most=50)
    assert 25 <= len(few.time_ms) <= 100
    np.testing.assert_array_equal(learned().act(few.observations, few.masks), few.actions)


def test_a_constant_has_one_choice_everywhere_and_differs_nowhere(scenario: Scenario, comparison: Comparison) -> None:
    moments = moments_of(START, scenario, comparison.windows)
    # The first decisions are held by the setpoint that is in force; all others are the constant.
    chosen = decision_map(moments, LAYOUT, 0.0)
    assert set(chosen.timeouts[chosen.timeouts >= 0].tolist()) == {int(timeouts_of(np.array(START.setpoint)))}
    assert set(chosen.reserves[chosen.reserves >= 0].tolist()) == {1}
    assert differences(moments, LAYOUT, START.rule) == []
    assert influences(START, moments, np.random.default_rng(0)) == []


def test_always_on_is_the_longest_timeout_and_the_largest_reserve() -> None:
    always = np.array(LAYOUT.setpoint(14400.0, ALWAYS_ON))
    assert (int(timeouts_of(always)), int(reserves_of(always))) == (9, 6)


def test_a_squashed_feature_is_told_in_its_unit() -> None:
    np.testing.assert_allclose(natural(np.array([0.5, 0.75], np.float32), "since_submit"), [600.0, 1800.0])


def test_differences_say_in_which_direction_and_what_is_so_then(told: Explanation) -> None:
    kinds = {entry.kind: entry for entry in told.differences}
    longer = kinds["keeps a larger reserve"]
    assert 0.0 < longer.share <= 1.0
    assert "lets idle nodes go sooner" in kinds
    assert "keeps idle nodes longer" not in kinds  # no weight can lengthen the time-out
    sooner = {each.feature: each for each in kinds["lets idle nodes go sooner"].contrasts}
    assert sooner["since_submit"].differing > sooner["since_submit"].other
    assert {"sets reserve_nodes to 1", "sets reserve_nodes to 2"} <= set(kinds)
    assert "sets reserve_nodes to 16" not in kinds  # a weight of 3 moves it by 3 choices at most


def test_all_stretches_together_are_the_whole_difference_but_for_gpus_at_work(comparison: Comparison) -> None:
    found = turns(comparison, "learned", "reactive-tuned", most=10_000)
    results = [comparison.results[name].values for name in ("reactive-tuned", "learned")]
    prices = [values["cost_usd.energy"] / values["energy_kwh.total"] for values in results]
    cost = [
        (values["objective_usd"] - values["energy_kwh.busy"] * price).sum()
        for values, price in zip(results, prices, strict=True)
    ]
    assert sum(turn.saved_usd for turn in found) == pytest.approx(cost[0] - cost[1], abs=0.02)
    sizes = [abs(turn.saved_usd) for turn in found]
    assert sizes == sorted(sizes, reverse=True)


def test_it_reads_as_sentences_and_its_json_is_documented(told: Explanation) -> None:
    sentences = told.sentences()
    assert "against the tuned heuristic (10.0 min, reserve 5.0 %, reserve_nodes 0)" in sentences[0]
    assert all(sentence.endswith(".") for sentence in sentences)
    assert set(leaves(json.loads(json.dumps(told.document())))) - {"schema"} == documented()["autoscaler.explanation/1"]


def test_the_report_has_the_section_where_the_main_policy_was_trained(comparison: Comparison) -> None:
    page = render(comparison, comparison.document())
    assert '<section id="why">' in page
    assert "Why learned decides as it does" in page
    rule = replace(comparison.results["learned"].contender, kind="rule")
    as_rule = replace(comparison.results["learned"], contender=rule)
    results = {**comparison.results, "learned": as_rule}
    other = replace(comparison, results=results)
    assert '<section id="why">' not in render(other, other.document())


def test_a_run_is_explained_and_a_wrong_name_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = ["--trace", "synthetic:quickstart?days=2&seed=0", "--windows", "1", "--quiet"]
    assert main(["explain", "pretrained:itp-philly", *trace, "--json", str(tmp_path / "e.json")]) == 0
    out = capsys.readouterr().out
    assert "What moves its choices" in out
    assert json.loads((tmp_path / "e.json").read_text())["policy"] == "pretrained:itp-philly"
    assert main(["explain", "pretrained:itp-phily"]) == 2
    assert "did you mean 'itp-philly'" in capsys.readouterr().err
    assert main(["explain", "runs/nothing"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "folder of a run" in line
