"""The files of an artifact: weights as safetensors, and the same network as ONNX."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from agents.artifact import CONFIG, MANIFEST, ONNX, WEIGHTS, Manifest, save_artifact
from agents.errors import ArtifactError
from agents.registry import AGENTS
from agents.sb3.models import agent_module
from agents.sb3.scores import ScoreNetwork, TrainedPolicy
from configs.errors import did_you_mean
from envs.gpu_cluster.codec import CodecLayout, observation_size

ONNX_OPSET = 17
MAX_HIDDEN_UNITS = 65_536


def save_trained(folder: Path, model: Any, manifest: Manifest, config_text: str) -> None:
    """Save the deterministic policy of a Stable-Baselines3 model as an artifact.

    Raises:
        OSError: the folder cannot be written; nothing half-written is left.
    """
    body = agent_module(manifest.agent).actor_body(model)

    def write(temporary: Path) -> None:
        tensors = _tensors(body, agent_module(manifest.agent).empty_body(manifest.layout, manifest.hidden_units))
        safetensors.torch.save_file(tensors, temporary / WEIGHTS)
        export_onnx(body, manifest.layout, temporary / ONNX)
        (temporary / CONFIG).write_text(config_text)

    save_artifact(folder, manifest, write)


def _tensors(body: nn.Module, named_like: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a body under the names that `empty_body` gives them."""
    names = [name for name, _ in named_like.named_parameters()]
    values = [parameter.detach().contiguous().clone() for _, parameter in body.named_parameters()]
    return dict(zip(names, values, strict=True))


def load_trained(folder: Path, manifest: Manifest) -> TrainedPolicy:
    """Load the network of an artifact whose manifest was read.

    Raises:
        ArtifactError: the weights do not fit the network that the manifest describes.
    """
    _check(folder, manifest)
    try:
        body = agent_module(manifest.agent).empty_body(manifest.layout, manifest.hidden_units)
        body.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except (RuntimeError, safetensors.SafetensorError) as error:
        first_line = str(error).splitlines()[0]
        raise ArtifactError(f"{folder / WEIGHTS}: the weights do not fit: {first_line}; train it again") from error
    if not all(torch.isfinite(parameter).all() for parameter in body.parameters()):
        raise ArtifactError(f"{folder / WEIGHTS}: the weights do not fit: one is not finite; train it again")
    body.eval()
    return TrainedPolicy(manifest.agent, body, manifest.layout, manifest.packer)


def _check(folder: Path, manifest: Manifest) -> None:
    """Refuse what no training writes: weights without a hash, an unknown network."""
    # The manifest's reader compares the files that are listed: an unlisted one was compared with nothing.
    if WEIGHTS not in json.loads((folder / MANIFEST).read_text())["files"]:
        raise ArtifactError(f"{folder / WEIGHTS}: the manifest does not list the file; copy or train it again")
    if manifest.agent not in AGENTS:
        raise ArtifactError(
            f"{folder / MANIFEST}: unknown agent {manifest.agent!r}{did_you_mean(str(manifest.agent), AGENTS)}"
        )
    hidden: object = manifest.hidden_units  # as the file has it
    if not (isinstance(hidden, int) and 1 <= hidden <= MAX_HIDDEN_UNITS):
        raise ArtifactError(f"{folder / MANIFEST}: hidden_units is {hidden!r}; it must be 1 to {MAX_HIDDEN_UNITS}")


def export_onnx(body: nn.Module, layout: CodecLayout, path: Path) -> None:
    """Write the network as ONNX: inputs `observation` and `action_mask`, output `logits`, any batch size."""
    inputs = (torch.zeros(2, observation_size(layout)), torch.ones(2, layout.mask_size, dtype=torch.bool))
    names = ["observation", "action_mask", "logits"]
    with warnings.catch_warnings():
        # The exporter that needs no further package says that it is the old one.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            ScoreNetwork(body).eval(),
            inputs,
            path,
            input_names=names[:2],
            output_names=names[2:],
            dynamic_axes={name: {0: "batch"} for name in names},
            opset_version=ONNX_OPSET,
            dynamo=False,
        )
