"""Policies of the package: each loads, is small, has a card, and is found by its name everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from agents.artifact import CONFIG, find_artifact
from agents.errors import ArtifactError
from agents.loading import load_policy
from agents.names import is_run
from agents.pretrained import CARD, card_of, is_pretrained, pretrained_folder, pretrained_names, summary_of
from agents.setpoints import LearnedSetpoints
from autoscaler.cli import main
from autoscaler.live.policy.decide import load_policy as load_live
from envs.gpu_cluster.codec import observation_size
from tests.agents.builders import observations_and_masks
from tests.conftest import ROOT

NAMES = pretrained_names()


def test_there_is_a_policy_for_clusters_of_one_model() -> None:
    assert "itp-philly" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_loads_and_chooses_what_is_valid(name: str) -> None:
    policy = load_policy(f"pretrained:{name}")
    observations, masks = observations_and_masks(policy.layout, 50)
    actions = policy.act(observations, masks)
    starts = np.cumsum([0, *policy.layout.action_sizes[:-1]])
    assert masks[np.arange(50)[:, None], starts + actions].all()
    live = load_live(f"pretrained:{name}", policy.layout)
    np.testing.assert_array_equal(live.act(observations, masks), actions)


def test_the_shipped_policy_chooses_as_it_always_did() -> None:
    """Its fingerprint is renewed when the codec gains parts that it has not; its choices are not."""
    policy = load_policy("pretrained:itp-philly")
    size = observation_size(policy.layout)
    observations = (np.arange(200 * size) * 0.6180339887498949 % 1.0).reshape(200, size).astype(np.float32)
    actions = policy.act(observations, np.ones((200, policy.layout.mask_size), np.bool_))
    assert hashlib.sha256(actions.tobytes()).hexdigest()[:16] == "7c27dfe8ec675486"


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_is_small_and_its_files_name_no_machine(name: str) -> None:
    files = {path.name: path.read_bytes() for path in pretrained_folder(name).iterdir()}
    assert sum(map(len, files.values())) < 32_768
    for content in (files[CONFIG], files[CARD], files["manifest.json"]):
        assert b"/work/" not in content
        assert b"/home/" not in content


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("heading", ["Trained on", "Command", "Results", "Limits", "Cost of training"])
def test_a_card_says_what_one_must_know(name: str, heading: str) -> None:
    assert f"## {heading}" in card_of(name)


def test_a_wrong_name_is_one_line_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArtifactError, match="did you mean 'itp-philly'"):
        find_artifact("pretrained:itp-phily")
    for words in (["evaluate", "pretrained:itp-phily"], ["policies", "show", "itp-phily"]):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "did you mean 'itp-philly'" in line


def test_the_list_names_each_policy_with_what_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["policies", "list", "--json", str(tmp_path / "p.json")]) == 0
    out = capsys.readouterr().out
    document = json.loads((tmp_path / "p.json").read_text())
    assert [entry["name"] for entry in document["policies"]] == [f"pretrained:{name}" for name in NAMES]
    for name in NAMES:
        assert f"pretrained:{name}" in out
        assert summary_of(name) in out


def test_a_name_of_the_package_is_a_run_and_no_rule() -> None:
    assert is_pretrained("pretrained:x")
    assert is_run("pretrained:x")
    assert not is_pretrained("runs/pretrained")


def test_its_docs_show_a_policy_that_there_is() -> None:
    text = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    assert f"pretrained:{NAMES[0]}" in text
    assert isinstance(load_policy(f"pretrained:{NAMES[0]}"), LearnedSetpoints)
