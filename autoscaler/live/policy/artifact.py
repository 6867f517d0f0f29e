"""A trained policy on disk: checked before anything of it runs, then evaluated by ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.artifact import MANIFEST, ONNX, ONNX_FINGERPRINT, Manifest, find_artifact, read_manifest
from agents.errors import ArtifactError
from agents.loading import load_cluster_policy
from agents.policy import Policy
from agents.registry import AGENTS
from envs.gpu_cluster.codec import CodecLayout, fingerprint, observation_size

MEMORY = ("hidden", "cell")
"""Inputs of a network with an LSTM: its memory; the outputs `next_hidden` and `next_cell` are the next one."""


class PolicyOutputError(ArithmeticError):
    """A policy whose output cannot be used: not a number, or of the wrong shape."""


def load_artifact(path: Path, layout: CodecLayout) -> Policy:
    """The policy of an artifact: its network by ONNX Runtime, or one that NumPy alone runs.

    Args:
        path: the artifact's folder, or that of its run.
        layout: the codec layout of the live config.

    Raises:
        ArtifactError: damaged, or made for another codec layout.
    """
    folder = find_artifact(path)
    manifest = read_manifest(folder)
    if manifest.agent not in AGENTS or AGENTS[manifest.agent].has_onnx:
        return OnnxPolicy(path, layout)
    _check_codec(folder, manifest, layout)
    return load_cluster_policy(folder)


class OnnxPolicy:
    """The trained policy of an artifact; see `agents.policy.Policy`.

    Its deterministic action is the choice of the largest logit in every component: of the valid ones where it was
    trained with masks, else of all, where a choice outside the mask means the default.

    Args:
        path: the artifact's folder.
        layout: the codec layout of the live config.

    Raises:
        ArtifactError: damaged, or made for another codec layout.
    """

    def __init__(self, path: Path, layout: CodecLayout) -> None:
        folder = find_artifact(path)
        manifest = read_manifest(folder)
        _check_codec(folder, manifest, layout)
        self.name = manifest.agent
        self.packer: str | None = manifest.packer
        self.layout = layout
        self.codec_fingerprint = fingerprint(layout)
        self.masked = manifest.masked
        self._ends = np.cumsum(layout.action_sizes)[:-1]
        self._session = _session(folder / ONNX)
        self._memory = _memory_shape(self._session)
        self._state: dict[str, NDArray[np.float32]] = {}
        _check_inputs(folder / ONNX, self._session, layout, self.masked)
        _check_fingerprint(folder / ONNX, self._session, layout)
        self.reset(1)

    def reset(self, num_clusters: int) -> None:
        """Begin with an empty memory, where the network has one."""
        self._state = {
            name: np.zeros((layers, num_clusters, units), np.float32) for name, (layers, units) in self._memory.items()
        }

    def act(self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Choose an action per cluster; see `agents.policy.Policy`.

        Raises:
            PolicyOutputError: a logit is not a number, or the shape is wrong.
        """
        inputs = {"observation": observations.astype(np.float32), **self._state}
        if self.masked:
            inputs["action_mask"] = action_masks.astype(np.bool_)
        outputs = self._session.run(["logits", *(f"next_{name}" for name in self._state)], inputs)
        logits = np.asarray(outputs[0])
        if logits.shape != action_masks.shape:
            raise PolicyOutputError(f"logits have the shape {logits.shape}, the mask {action_masks.shape}")
        if not np.isfinite(logits).all():
            raise PolicyOutputError("a logit is not finite")
        self._state = dict(zip(self._state, outputs[1:], strict=True))
        masked = np.where(action_masks, logits, -np.inf) if self.masked else logits
        return np.stack([part.argmax(axis=1) for part in np.split(masked, self._ends, axis=1)], axis=1).astype(np.int64)


def _check_codec(folder: Path, manifest: Manifest, layout: CodecLayout) -> None:
    trained, wanted = manifest.cluster_layout(folder).to_dict(), layout.to_dict()
    differing = [f"--set codec.{key}={trained[key]}" for key, value in wanted.items() if trained[key] != value]
    if differing:
        raise ArtifactError(
            f"{folder}: its codec fingerprint is {manifest.codec_fingerprint}, this config's is {fingerprint(layout)}; "
            f"give {' '.join(differing)}"
        )


def _session(path: Path) -> Any:
    import onnxruntime

    # The manifest's reader compares the files that are listed: an unlisted one was compared with nothing.
    if path.name not in json.loads((path.parent / MANIFEST).read_text())["files"] or not path.is_file():
        raise ArtifactError(f"{path}: the artifact has no such file; train or export it again")
    options = onnxruntime.SessionOptions()
    # One small network per minute: threads would only spin beside the workload of the node.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ArtifactError(f"{path}: ONNX Runtime cannot load it: {' '.join(str(error).split())[:200]}") from error


def _check_fingerprint(path: Path, session: Any, layout: CodecLayout) -> None:
    """Refuse a network that says of itself that it is of another codec, whatever the manifest says."""
    ours = fingerprint(layout)
    theirs = session.get_modelmeta().custom_metadata_map.get(ONNX_FINGERPRINT, ours)
    if theirs != ours:
        raise ArtifactError(f"{path}: the network is of codec {theirs}, not {ours}; train it again")


def _memory_shape(session: Any) -> dict[str, tuple[int, int]]:
    """(layers, units) of each part of the memory of a recurrent network, by name."""
    shapes = {entry.name: entry.shape for entry in session.get_inputs() if entry.name in MEMORY}
    return {name: (shape[0], shape[2]) for name, shape in shapes.items()}


def _check_inputs(path: Path, session: Any, layout: CodecLayout, masked: bool) -> None:
    shapes = {entry.name: entry.shape for entry in session.get_inputs()}
    outputs = [entry.name for entry in session.get_outputs()]
    expected = {"observation": observation_size(layout)} | ({"action_mask": layout.mask_size} if masked else {})
    memory = [name for name in MEMORY if name in shapes]
    if (
        set(shapes) != {*expected, *memory}
        or memory not in ([], list(MEMORY))
        or set(outputs) != {"logits", *(f"next_{name}" for name in memory)}
    ):
        raise ArtifactError(f"{path}: has the inputs {sorted(shapes)} and the outputs {outputs}; train it again")
    for name, size in expected.items():
        found = shapes[name][-1] if shapes[name] else None
        if isinstance(found, int) and found != size:
            raise ArtifactError(f"{path}: its input {name!r} has {found} entries, this codec {size}; train it again")
