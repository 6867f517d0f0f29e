"""A trained policy on disk: checked before anything of it runs, then evaluated by ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import UserError
from envs.codec import CodecLayout, fingerprint, observation_size

MANIFEST = "manifest.json"
MODEL = "policy.onnx"
SCHEMA = 1
MAX_MANIFEST_BYTES = 1 << 20


class ArtifactError(UserError, ValueError):
    """A policy artifact that is damaged, of another codec, or none at all."""


class PolicyOutputError(ArithmeticError):
    """A policy whose output cannot be used: not a number, or of the wrong shape."""


def find_artifact(path: Path) -> Path:
    """The artifact's folder that a user means: the folder itself, or `policy` inside a run's folder.

    Raises:
        ArtifactError: there is no manifest.
    """
    for folder in (path, path / "policy"):
        if (folder / MANIFEST).is_file():
            return folder
    raise ArtifactError(
        f"{path}: no policy artifact: it has no {MANIFEST}; give the folder that `autoscaler train` wrote"
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, after every file that it lists was compared with its SHA-256.

    Raises:
        ArtifactError: the manifest cannot be read, a file is missing or differs.
    """
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
        manifest = json.loads(data[:MAX_MANIFEST_BYTES])
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else None
        raise ArtifactError(f"{path}: schema is {found!r}, this version reads {SCHEMA}; train or export it again")
    files = manifest.get("files")
    if not isinstance(files, dict) or MODEL not in files:
        raise ArtifactError(f"{path}: lists no {MODEL}; train or export it again")
    for name, digest in files.items():
        _check_file(folder, str(name), str(digest))
    return manifest


def _check_file(folder: Path, name: str, digest: str) -> None:
    if Path(name).name != name:
        raise ArtifactError(f"{folder / MANIFEST}: the file name {name!r} points out of the folder")
    try:
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except OSError as error:
        raise ArtifactError(f"{folder / name}: cannot be read: {error.strerror}; copy the artifact again") from error
    if found != digest:
        raise ArtifactError(f"{folder / name}: is damaged: its SHA-256 is not that of the manifest; copy it again")


class OnnxPolicy:
    """The trained policy of an artifact; see `agents.policy.Policy`.

    Its deterministic action is the choice of the largest logit in every component.

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
        self.name = str(manifest.get("agent") or folder.name)
        packer = manifest.get("packer")
        self.packer: str | None = packer if isinstance(packer, str) else None
        self.codec_fingerprint = fingerprint(layout)
        self._ends = np.cumsum(layout.action_sizes)[:-1]
        self._mask_size = layout.mask_size
        self._session = _session(folder / MODEL)
        _check_inputs(folder / MODEL, self._session, layout)

    def reset(self, num_clusters: int) -> None:
        """Do nothing: the network has no state."""

    def act(self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Choose an action per cluster; see `agents.policy.Policy`.

        Raises:
            PolicyOutputError: a logit is not a number, or the shape is wrong.
        """
        inputs = {"observation": observations.astype(np.float32), "action_mask": action_masks.astype(np.bool_)}
        logits = np.asarray(self._session.run(["logits"], inputs)[0])
        if logits.shape != action_masks.shape:
            raise PolicyOutputError(f"logits have the shape {logits.shape}, the mask {action_masks.shape}")
        if not np.isfinite(logits).all():
            raise PolicyOutputError("a logit is not finite")
        masked = np.where(action_masks, logits, -np.inf)
        return np.stack([part.argmax(axis=1) for part in np.split(masked, self._ends, axis=1)], axis=1).astype(np.int64)


def _check_codec(folder: Path, manifest: dict[str, Any], layout: CodecLayout) -> None:
    trained, wanted = manifest.get("codec_fingerprint"), fingerprint(layout)
    if trained == wanted:
        return
    codec = manifest.get("codec")
    differing = (
        [f"codec.{key}={codec[key]}" for key, value in layout.to_dict().items() if key in codec and codec[key] != value]
        if isinstance(codec, dict)
        else []
    )
    mend = f"set {' '.join(differing)}" if differing else "it was trained by another version; train it again"
    raise ArtifactError(f"{folder}: its codec fingerprint is {trained}, this config's is {wanted}; {mend}")


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One small network per minute: threads would only spin beside the workload of the node.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ArtifactError(f"{path}: ONNX Runtime cannot load it: {' '.join(str(error).split())[:200]}") from error


def _check_inputs(path: Path, session: Any, layout: CodecLayout) -> None:
    shapes = {entry.name: entry.shape for entry in session.get_inputs()}
    outputs = [entry.name for entry in session.get_outputs()]
    expected = {"observation": observation_size(layout), "action_mask": layout.mask_size}
    if set(shapes) != set(expected) or "logits" not in outputs:
        raise ArtifactError(f"{path}: has the inputs {sorted(shapes)} and the outputs {outputs}; train it again")
    for name, size in expected.items():
        found = shapes[name][-1] if shapes[name] else None
        if isinstance(found, int) and found != size:
            raise ArtifactError(f"{path}: its input {name!r} has {found} entries, this codec {size}; train it again")
