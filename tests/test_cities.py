"""Policies of a city from the command line: rules, trained runs, the bound and recordings."""

import json
from pathlib import Path

import numpy as np
import pytest

from autoscaler.cities import CityPolicyError, find_policy
from autoscaler.cli import main
from configs.loader import dump_yaml
from envs.edge.arguments import city_of
from envs.edge.baselines import SITE_BASELINES
from envs.edge.bounds import relaxed_usd
from envs.edge.evaluation import play
from envs.edge.training import EdgeTraining
from envs.recording import Recording
from tests.envs.edge.scenes import scenario

MORNING = 8 * 3_600_000


@pytest.fixture
def small(tmp_path: Path) -> str:
    """A scenario of half an hour, as a file."""
    dump_yaml(scenario(episode_seconds=1800.0), tmp_path / "city.yaml")
    return str(tmp_path / "city.yaml")


@pytest.mark.slow
def test_policies_are_compared_and_recorded(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policies = ["--policy", "nearest", "--policy", "threshold-sleep"]
    output = ["--record", str(tmp_path / "record"), "--json", str(tmp_path / "c.json"), "--episodes", "2"]
    assert main(["city", small, *policies, *output]) == 0
    assert "threshold-sleep" in capsys.readouterr().out
    document = json.loads((tmp_path / "c.json").read_text())
    assert set(document["policies"]) == {"nearest", "threshold-sleep"}
    usd = [each["totals"]["usd"] for each in document["policies"]["nearest"]]
    recording = Recording(tmp_path / "record")
    assert recording.head.kind == "city"
    assert recording.head.finished
    first, second = (track.name for track in recording.head.tracks)
    assert recording.table("sites").num_rows == 7  # and the cloud
    samples = recording.table("samples", first)
    assert samples["usd"][-1].as_py() == pytest.approx(usd[0])
    states = recording.table("site_states", second)
    assert set(states["site"].to_pylist()) <= set(range(7))
    served = recording.table("links", first)
    assert served.num_rows >= 40
    assert max(served["latency_ms"].to_pylist()) == 10  # there and back: every zone has its own site
    users = recording.table("users")
    assert users["time_seconds"][0].as_py() == recording.head.start_seconds


def test_what_plays_no_site_is_one_line(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["city", small, "--policy", "nearst"]) == 2
    told = capsys.readouterr().err
    assert "neither a rule for sites nor a run 'nearst'" in told
    assert "nearest" in told
    assert told.count("\n") == 1
    assert main(["city", small, "--set", "sitess=3"]) == 2
    assert "unknown key 'sitess'" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(SITE_BASELINES))
def test_no_rule_comes_below_the_bound(name: str) -> None:
    city = city_of(scenario())
    bound = relaxed_usd(city, MORNING)
    (result,) = play(city, SITE_BASELINES[name].default(), [MORNING])
    assert 0.0 < bound < result.totals.usd
    assert result.interactive_p50_ms <= result.interactive_p95_ms
    assert result.rounds == 3
    assert result.round_seconds > 20.0


def test_tuning_chooses_what_costs_least() -> None:
    task = EdgeTraining("autoscaler/EdgeCity-v0", {"scenario": scenario(episode_seconds=1200.0)}, 2)
    constants, tuned = SITE_BASELINES["nearest"].tuned(task)
    assert task.score(tuned) <= task.score(SITE_BASELINES["nearest"].default())
    assert set(constants) == {"keep_alive", "sleep"}


def test_rows_of_training_are_the_sites_and_share_one_purse() -> None:
    task = EdgeTraining("autoscaler/EdgeCity-v0", {"scenario": scenario()}, 2)
    vec = task.make_vec(3, 0)
    assert vec.num_envs == 18
    vec.reset()
    for _ in range(20):
        _, rewards, _, _ = vec.step(np.tile([2, 2, 2, 2, 0, 2], (18, 1)))
    assert len(np.unique(rewards.reshape(3, 6), axis=1).T) == 1
    np.testing.assert_allclose(-rewards[::6] * 6, vec.usd(), rtol=1e-5)
    with pytest.raises(CityPolicyError, match="neither a rule"):
        find_policy("nowhere", city_of(scenario()))
