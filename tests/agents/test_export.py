"""Searched policies as ONNX: the same choices as NumPy's, to the bit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.artifact import ONNX, ONNX_FINGERPRINT
from agents.baselines.constant import ConstantSetpoint
from agents.errors import ArtifactError
from agents.es.network import export_searched
from agents.export import export_onnx
from agents.loading import load_cluster_policy
from agents.pretrained import PREFIX, pretrained_names
from agents.setpoints import LearnedSetpoints
from autoscaler.cli import main
from configs.files import OutputFileError
from envs.gpu_cluster.codec import PRICES, CodecLayout, fingerprint, number_of_inputs, number_of_weights
from envs.gpu_cluster.codec.setpoint_policy import INTENSITY, INTENSITY_INPUTS, number_of_outputs
from tests.agents.builders import observations_and_masks, write_artifact

onnxruntime = pytest.importorskip("onnxruntime")

FEATURES = ("since_submit", "submitted_gpus_3600s", "pool.idle_nodes", "queue_gpus", "pool.busy_nodes")
LEVERS = ("consolidation", "power_cap", "width", "suspension")
PLAIN = CodecLayout(max_pools=2, window_slots=3)
LEVERED = CodecLayout(3, 2, consolidation=True, power_caps=True, elastic_width=True, suspension=True)


def random_policy(
    layout: CodecLayout, hidden: tuple[int, ...], price: str, levers: tuple[str, ...], scale: float
) -> LearnedSetpoints:
    """A policy whose choices differ much from observation to observation."""
    outputs = number_of_outputs(levers)
    count = number_of_weights(number_of_inputs(len(FEATURES), price), hidden, outputs)
    weights = scale * np.random.default_rng(7).standard_normal(count)
    constants: dict[str, Any] = dict.fromkeys(LEVERS, 1) if levers else {}
    start = ConstantSetpoint(layout, 900.0, 0.15, **constants)
    return LearnedSetpoints("cma-es", start, FEATURES, hidden, weights, price=price, levers=levers)


def chosen(path: Path, observations: np.ndarray, masks: np.ndarray, layout: CodecLayout) -> np.ndarray:
    """The actions of a file, as any program would choose them: the largest valid logit of each component."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == {ONNX_FINGERPRINT: fingerprint(layout)}
    logits = session.run(["logits"], {"observation": observations, "action_mask": masks})[0]
    parts = np.split(logits, np.cumsum(layout.action_sizes)[:-1], axis=1)
    return np.stack([part.argmax(axis=1) for part in parts], axis=1)


@pytest.mark.parametrize("hidden", [(), (8,), (6, 5)])
@pytest.mark.parametrize("price", PRICES)
@pytest.mark.parametrize(("layout", "levers"), [(PLAIN, ()), (LEVERED, ()), (LEVERED, LEVERS[1:]), (LEVERED, LEVERS)])
def test_a_searched_policy_chooses_the_same_in_onnx(
    hidden: tuple[int, ...], price: str, layout: CodecLayout, levers: tuple[str, ...], tmp_path: Path
) -> None:
    policy = random_policy(layout, hidden, price, levers, scale=6.0 / math.sqrt(1 + len(hidden)))
    export_searched(policy, tmp_path / "policy.onnx")
    observations, masks = observations_and_masks(layout, 300, seed=3)
    expected = policy.act(observations, masks)
    np.testing.assert_array_equal(chosen(tmp_path / "policy.onnx", observations, masks, layout), expected)
    assert len(np.unique(expected[:, : layout.max_pools])) > 1  # it would be easy to agree on constants


def test_a_learned_intensity_is_part_of_the_network(tmp_path: Path) -> None:
    layout = replace(PLAIN, arrival_features=True)
    features = (*FEATURES, INTENSITY)
    generator = np.random.default_rng(5)
    weights = 6.0 * generator.standard_normal(number_of_weights(number_of_inputs(len(features), "crossed"), ()))
    intensity = generator.random(1 + len(INTENSITY_INPUTS))
    start = ConstantSetpoint(layout, 900.0, 0.15)
    policy = LearnedSetpoints("cma-es", start, features, (), weights, price="crossed", intensity=intensity)
    export_searched(policy, tmp_path / "policy.onnx")
    observations, masks = observations_and_masks(layout, 300, seed=6)
    actions = policy.act(observations, masks)
    np.testing.assert_array_equal(chosen(tmp_path / "policy.onnx", observations, masks, layout), actions)
    without = LearnedSetpoints("cma-es", start, features, (), weights, price="crossed", intensity=0.0 * intensity)
    assert (without.act(observations, masks) != actions).any()


@pytest.mark.parametrize("name", pretrained_names())
def test_each_policy_of_the_package_can_be_exported(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "policy.onnx"
    assert main(["policies", "export", f"{PREFIX}{name}", "--out", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    policy = load_cluster_policy(f"{PREFIX}{name}")
    observations, masks = observations_and_masks(policy.layout, 300, seed=4)
    actions = policy.act(observations, masks)
    np.testing.assert_array_equal(chosen(path, observations, masks, policy.layout), actions)


def test_a_network_is_copied(tmp_path: Path) -> None:
    write_artifact(tmp_path / "policy", "maskable-ppo")
    export_onnx(tmp_path, tmp_path / "copy.onnx")
    assert (tmp_path / "copy.onnx").read_bytes() == (tmp_path / "policy" / ONNX).read_bytes()


def test_a_file_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{PREFIX}{pretrained_names()[0]}"
    with pytest.raises(OutputFileError, match="cannot be written"):
        export_onnx(name, tmp_path / "missing" / "policy.onnx")
    assert main(["policies", "export", name, "--out", str(tmp_path / "missing" / "policy.onnx")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_policy_without_a_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_artifact(tmp_path / "policy", "maskable-ppo")
    (tmp_path / "policy" / ONNX).unlink()
    monkeypatch.setattr("agents.export.load_cluster_policy", lambda _: object())
    with pytest.raises(ArtifactError, match="no network"):
        export_onnx(tmp_path, tmp_path / "policy.onnx")
    assert not (tmp_path / "policy.onnx").exists()
