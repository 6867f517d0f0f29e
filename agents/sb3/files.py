"""The files of an artifact: weights as safetensors, and the network that chooses as ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from gymnasium import Space
from stable_baselines3.common.policies import BasePolicy

from agents.artifact import CONFIG, MANIFEST, ONNX, WEIGHTS, Manifest, save_artifact
from agents.config import AgentConfig
from agents.errors import AgentConfigError, ArtifactError
from agents.onnx_files import write_network
from agents.registry import AGENTS
from agents.sb3.policies import build_policy
from agents.sb3.scores import RecurrentScoreNetwork, TrainedPolicy, score_network
from agents.sb3.settings import Sb3Config
from agents.sb3.space_policy import SpacePolicy
from agents.spaces import space_from_dict
from configs.errors import ConfigError
from configs.loader import build_config
from envs.gpu_cluster.codec import CodecLayout, observation_size
from envs.gpu_cluster.setpoint_box import setpoint_box
from envs.gpu_cluster.spaces import action_space, observation_space


def save_trained(folder: Path, policy: BasePolicy, manifest: Manifest, config_text: str) -> None:
    """Save a policy of Stable-Baselines3 as an artifact.

    Raises:
        OSError: the folder cannot be written; nothing half-written is left.
    """

    def write(temporary: Path) -> None:
        tensors = {name: tensor.contiguous().clone() for name, tensor in policy.state_dict().items()}
        safetensors.torch.save_file(tensors, temporary / WEIGHTS)
        if manifest.codec is not None:
            training = policy.training
            policy.set_training_mode(False)
            export_onnx(policy, manifest.masked, manifest.cluster_layout(folder), temporary / ONNX)
            policy.set_training_mode(training)
        (temporary / CONFIG).write_text(config_text)

    save_artifact(folder, manifest, write)


def settings_of(folder: Path, manifest: Manifest) -> Sb3Config:
    """The settings of the agent that an artifact names.

    Raises:
        ArtifactError: they have no meaning.
    """
    try:
        settings = build_config({**manifest.settings, "name": manifest.agent}, AgentConfig, str(folder / MANIFEST))
    except (AgentConfigError, ConfigError, TypeError) as error:
        raise ArtifactError(f"{folder / MANIFEST}: {error}; the artifact is damaged, copy or train it again") from error
    assert isinstance(settings, Sb3Config)
    return settings


def load_weights(folder: Path, manifest: Manifest, policy: BasePolicy) -> None:
    """Load the weights of an artifact into a policy.

    Raises:
        ArtifactError: they do not fit, or are not finite.
    """
    # The manifest's reader compares the files that are listed: an unlisted one was compared with nothing.
    if WEIGHTS not in json.loads((folder / MANIFEST).read_text())["files"]:
        raise ArtifactError(f"{folder / WEIGHTS}: the manifest does not list the file; copy or train it again")
    try:
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
        policy.load_state_dict(tensors)
    except (RuntimeError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{folder / WEIGHTS}: the weights do not fit: {reason}; train it again") from error
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise ArtifactError(f"{folder / WEIGHTS}: the weights do not fit: one is not finite; train it again")


def load_trained(folder: Path, manifest: Manifest) -> TrainedPolicy | SpacePolicy:
    """Load the policy of an artifact whose manifest was read.

    Raises:
        ArtifactError: the weights do not fit the policy that the manifest describes.
    """
    settings = settings_of(folder, manifest)
    layout = None if manifest.environment is not None else manifest.cluster_layout(folder)
    try:
        policy = build_policy(settings, *_spaces(manifest, layout), layout)
    except (AgentConfigError, ArtifactError, KeyError, AttributeError) as error:
        raise ArtifactError(f"{folder / MANIFEST}: {error}; install what it needs, or train it again") from error
    load_weights(folder, manifest, policy)
    policy.set_training_mode(False)
    if layout is None:
        assert manifest.environment is not None
        return SpacePolicy(manifest.agent, policy, manifest.masked, manifest.environment)
    return TrainedPolicy(manifest.agent, policy, manifest.masked, layout, manifest.packer)


def _spaces(manifest: Manifest, layout: CodecLayout | None) -> tuple[Space[Any], Space[Any]]:
    """Observation and action space."""
    if layout is not None:
        is_box = AGENTS[manifest.agent].is_continuous()
        return observation_space(layout), setpoint_box(layout) if is_box else action_space(layout)
    assert manifest.environment is not None
    environment = manifest.environment
    return space_from_dict(environment["observation_space"]), space_from_dict(environment["action_space"])


def export_onnx(policy: BasePolicy, masked: bool, layout: CodecLayout, path: Path) -> None:
    """Write the network that chooses as ONNX, for any batch size.

    Inputs: `observation`; `action_mask` where the agent sees it; `hidden` and `cell` where it has a memory. Outputs:
    `logits`; `next_hidden` and `next_cell` where it has a memory. See `agents.onnx_files`.
    """
    network = score_network(policy, masked, layout).eval()
    inputs = {"observation": torch.zeros(2, observation_size(layout))}
    outputs, batch_axes = ["logits"], {}
    if isinstance(network, RecurrentScoreNetwork):
        memory = torch.zeros(network.layers, 2, network.units)
        inputs |= {"hidden": memory, "cell": memory.clone()}
        outputs += ["next_hidden", "next_cell"]
        batch_axes = dict.fromkeys(("hidden", "cell", "next_hidden", "next_cell"), 1)
    elif masked:
        inputs["action_mask"] = torch.ones(2, layout.mask_size, dtype=torch.bool)
    write_network(network, inputs, outputs, batch_axes, layout, path)
