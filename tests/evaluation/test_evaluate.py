"""`autoscaler.evaluate`: one call from names and policies to a comparison and its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import autoscaler
import traces
from agents.baselines import ConstantSetpoint
from agents.errors import UnknownPolicyError
from autoscaler.evaluation.errors import EvaluationError, PolicyFitError
from autoscaler.evaluation.evaluate import differing_fields
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig

TRACE = "synthetic:quickstart?days=3&seed=0"
SCALING_ONLY = CodecLayout(max_pools=1, window_slots=0)


class Notes(autoscaler.Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def notes() -> Notes:
    return Notes()


@pytest.fixture(scope="module")
def comparison(notes: Notes) -> autoscaler.Comparison:
    """Two policies of different codecs, and a rule, all from one call."""
    policies = [ConstantSetpoint(SCALING_ONLY, name="narrow"), ConstantSetpoint(CodecLayout(), 60.0, name="wide")]
    return autoscaler.evaluate(policies, trace=TRACE, baselines=["reactive"], seed=3, progress=notes)


def test_policies_of_different_codecs_and_rules_stand_in_one_comparison(comparison: autoscaler.Comparison) -> None:
    assert list(comparison.results) == ["narrow", "wide", "reactive"]
    assert [result.contender.kind for result in comparison.results.values()] == ["given", "given", "rule"]
    document = comparison.document()
    fingerprints = {name: values["codec_fingerprint"] for name, values in document["policies"].items()}
    assert fingerprints["narrow"] == fingerprints["reactive"] != fingerprints["wide"]
    assert (document["cluster"]["source"], document["provenance"]["seed"]) == ("auto", 3)
    jobs = {values["metrics"]["jobs_finished"]["mean"] for values in document["policies"].values()}
    assert len(jobs) == 1


def test_a_hook_hears_what_is_done(comparison: autoscaler.Comparison, notes: Notes) -> None:
    assert [line.partition(":")[0] for line in notes.lines if "decisions in" in line] == list(comparison.results)


def test_a_comparison_writes_its_files(comparison: autoscaler.Comparison, tmp_path: Path) -> None:
    comparison.write_json(tmp_path / "r.json")
    comparison.write_figure(tmp_path / "r.svg")
    assert json.loads((tmp_path / "r.json").read_text())["schema"] == "autoscaler.evaluate/1"
    assert "<svg" in (tmp_path / "r.svg").read_text(encoding="utf-8")


def test_a_trace_and_a_cluster_may_be_given_as_objects(comparison: autoscaler.Comparison) -> None:
    again = autoscaler.evaluate(
        ConstantSetpoint(SCALING_ONLY, name="narrow"),
        trace=traces.load(TRACE),
        cluster=comparison.scenario.cluster,
        baselines="none",
        seed=3,
    )
    theirs = comparison.results["narrow"].values["objective_usd"]
    assert again.results["narrow"].values["objective_usd"].tolist() == theirs.tolist()
    assert again.cluster_source == "given"


def test_what_cannot_be_compared_is_one_error_that_names_it() -> None:
    with pytest.raises(EvaluationError, match="nothing to evaluate"):
        autoscaler.evaluate(trace=TRACE, baselines="none")
    with pytest.raises(UnknownPolicyError, match="did you mean 'reactive'"):
        autoscaler.evaluate(trace=TRACE, baselines=["reactiv"])
    same = [ConstantSetpoint(CodecLayout(), name="reactive")]
    with pytest.raises(EvaluationError, match="two policies are called 'reactive'"):
        autoscaler.evaluate(same, trace=TRACE, baselines=["reactive"])
    two = ClusterConfig((PoolConfig("a", max_nodes=64), PoolConfig("b", max_nodes=64)))
    with pytest.raises(PolicyFitError, match=r"codec\.max_pools 1, the cluster has 2 pools"):
        autoscaler.evaluate(ConstantSetpoint(SCALING_ONLY), trace=TRACE, cluster=two, baselines="none")


def test_settings_that_differ_are_named_by_field() -> None:
    other = EnvironmentConfig(objective=ObjectiveConfig(usd_per_kwh=0.3), move_seconds=60.0)
    assert differing_fields(EnvironmentConfig(), other) == {
        "move_seconds": (120.0, 60.0),
        "objective.usd_per_kwh": (0.15, 0.3),
    }
    assert differing_fields(other, other) == {}
