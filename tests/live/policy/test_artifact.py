"""Policy artifacts: what loads, and what is refused with one clear line."""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from agents.errors import ArtifactError
from autoscaler.live.policy.artifact import OnnxPolicy, PolicyOutputError
from envs.gpu_cluster.codec import CodecLayout, observation_size
from tests.live.artifacts import write_artifact, write_model

LAYOUT = CodecLayout(max_pools=2, window_slots=3)


def test_the_action_is_the_largest_valid_logit_of_each_component(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    weights = generator.normal(size=(observation_size(LAYOUT), LAYOUT.mask_size)).astype(np.float32)
    policy = OnnxPolicy(write_artifact(tmp_path, LAYOUT, weights), LAYOUT)
    observations = generator.random((5, observation_size(LAYOUT)), np.float32)
    masks = generator.random((5, LAYOUT.mask_size)) < 0.5
    starts = np.cumsum([0, *LAYOUT.action_sizes])
    for start in starts[:-1]:
        masks[:, start] = True
    logits = np.where(masks, observations.astype(np.float64) @ weights, -np.inf)
    expected = [[row[a:b].argmax() for a, b in itertools.pairwise(starts)] for row in logits]
    assert policy.act(observations, masks).tolist() == np.array(expected).tolist()
    assert policy.name == "linear"


def test_a_run_folder_means_the_policy_inside_it(tmp_path: Path) -> None:
    write_artifact(tmp_path / "policy", LAYOUT)
    assert OnnxPolicy(tmp_path, LAYOUT).name == "linear"


def test_a_policy_of_another_layout_says_which_setting_differs(tmp_path: Path) -> None:
    write_artifact(tmp_path, LAYOUT)
    with pytest.raises(ArtifactError, match=r"fingerprint.*--set codec\.window_slots=3"):
        OnnxPolicy(tmp_path, CodecLayout(max_pools=2, window_slots=4))


def test_a_network_that_says_it_is_of_another_codec_is_refused_whatever_the_manifest_says(tmp_path: Path) -> None:
    write_artifact(tmp_path, LAYOUT)
    model = onnx.load(tmp_path / "policy.onnx")
    onnx.helper.set_model_props(model, {"codec_fingerprint": "0123456789abcdef"})
    onnx.save(model, tmp_path / "policy.onnx")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["files"]["policy.onnx"] = hashlib.sha256((tmp_path / "policy.onnx").read_bytes()).hexdigest()
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="of codec 0123456789abcdef"):
        OnnxPolicy(tmp_path, LAYOUT)


@pytest.mark.parametrize("name", ["policy.onnx", "config.yaml"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    write_artifact(tmp_path, LAYOUT)
    content = bytearray((tmp_path / name).read_bytes())
    content[-1] ^= 1
    (tmp_path / name).write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=f"{name}: the content has changed"):
        OnnxPolicy(tmp_path, LAYOUT)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    write_artifact(tmp_path, LAYOUT)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(ArtifactError, match=r"config\.yaml: the file is missing"):
        OnnxPolicy(tmp_path, LAYOUT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 1}, "has schema 1"),
        ({"files": {"../secret": "0"}}, "is missing"),
        ({"files": []}, "is no manifest"),
        ({"codec_fingerprint": "0" * 16}, "was trained for codec 0000000000000000"),
        ({"codec": {"max_pools": -1}}, "damaged"),
    ],
)
def test_a_strange_manifest_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    write_artifact(tmp_path, LAYOUT, **change)
    with pytest.raises(ArtifactError, match=message):
        OnnxPolicy(tmp_path, LAYOUT)


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    write_artifact(tmp_path, LAYOUT)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError):
        OnnxPolicy(tmp_path, LAYOUT)


def test_a_network_that_the_manifest_does_not_list_is_refused(tmp_path: Path) -> None:
    write_artifact(tmp_path, LAYOUT, files={})
    with pytest.raises(ArtifactError, match=r"policy\.onnx: the artifact has no such file"):
        OnnxPolicy(tmp_path, LAYOUT)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no policy artifact"):
        OnnxPolicy(tmp_path, LAYOUT)


def test_a_model_with_other_inputs_is_refused(tmp_path: Path) -> None:
    import hashlib

    write_artifact(tmp_path, LAYOUT)
    write_model(tmp_path / "policy.onnx", LAYOUT, np.zeros((3, LAYOUT.mask_size)), inputs=3)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["files"]["policy.onnx"] = hashlib.sha256((tmp_path / "policy.onnx").read_bytes()).hexdigest()
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="'observation' has 3 entries"):
        OnnxPolicy(tmp_path, LAYOUT)


def test_a_logit_that_is_not_a_number_is_an_error(tmp_path: Path) -> None:
    weights = np.full((observation_size(LAYOUT), LAYOUT.mask_size), np.nan)
    policy = OnnxPolicy(write_artifact(tmp_path, LAYOUT, weights), LAYOUT)
    with pytest.raises(PolicyOutputError, match="not finite"):
        policy.act(np.ones((1, observation_size(LAYOUT)), np.float32), np.ones((1, LAYOUT.mask_size), np.bool_))
