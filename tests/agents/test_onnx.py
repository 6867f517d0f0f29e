"""The exported network is the trained one: the same scores, and the same actions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agents.artifact import ONNX, ONNX_FINGERPRINT
from agents.loading import load_policy
from agents.sb3.distribution import INVALID_LOGIT
from envs.gpu_cluster.codec import fingerprint
from tests.agents.builders import HIDDEN, LAYOUTS, observations_and_masks, write_artifact

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("agent", sorted(LAYOUTS))
@pytest.mark.parametrize("batch", [1, 2, 200])
def test_torch_and_onnx_runtime_score_and_choose_the_same(agent: str, batch: int, tmp_path: Path) -> None:
    layout = LAYOUTS[agent]
    write_artifact(tmp_path, agent)
    policy = load_policy(tmp_path)
    policy.reset(batch)
    session = onnxruntime.InferenceSession(str(tmp_path / ONNX), providers=["CPUExecutionProvider"])
    observations, masks = observations_and_masks(layout, batch, seed=batch)
    arrays = {"observation": observations, "action_mask": masks}
    arrays |= {name: np.zeros((1, batch, HIDDEN), np.float32) for name in ("hidden", "cell")}
    inputs = {entry.name: arrays[entry.name] for entry in session.get_inputs()}
    logits = session.run(["logits"], inputs)[0]
    with torch.inference_mode():
        output = policy.network(*(torch.from_numpy(array) for array in inputs.values()))
    scores = (output[0] if isinstance(output, tuple) else output).numpy()
    assert logits.shape == scores.shape == masks.shape
    np.testing.assert_allclose(logits, scores, rtol=1e-4, atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map == {ONNX_FINGERPRINT: fingerprint(layout)}
    assert ("action_mask" in inputs) == policy.masked == (agent == "maskable-ppo")
    if policy.masked:
        assert (logits[~masks] == np.float32(INVALID_LOGIT)).all()
        assert (logits[masks] > INVALID_LOGIT / 2).all()
    parts = np.split(logits, np.cumsum(layout.action_sizes)[:-1], axis=1)
    chosen = np.stack([part.argmax(axis=1) for part in parts], axis=1)
    np.testing.assert_array_equal(chosen, policy.act(observations, masks))


@pytest.mark.parametrize("agent", sorted(LAYOUTS))
def test_the_deployed_policy_acts_like_the_trained_one(agent: str, tmp_path: Path) -> None:
    """The reader of the live loop, which imports no torch."""
    from autoscaler.live.policy.artifact import OnnxPolicy

    write_artifact(tmp_path / "policy", agent)
    observations, masks = observations_and_masks(LAYOUTS[agent], 100, seed=5)
    deployed, trained = OnnxPolicy(tmp_path, LAYOUTS[agent]), load_policy(tmp_path)
    deployed.reset(100)
    trained.reset(100)
    for _ in range(3):  # a memory goes on from one decision to the next
        np.testing.assert_array_equal(deployed.act(observations, masks), trained.act(observations, masks))


def test_a_choice_of_an_agent_that_sees_the_mask_is_always_valid(tmp_path: Path) -> None:
    layout = LAYOUTS["maskable-ppo"]
    write_artifact(tmp_path, "maskable-ppo")
    observations, masks = observations_and_masks(layout, 200, seed=9)
    actions = load_policy(tmp_path).act(observations, masks)
    starts = np.cumsum([0, *layout.action_sizes[:-1]])
    assert masks[np.arange(200)[:, None], starts + actions].all()
