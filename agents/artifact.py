"""Policy artifacts: a folder of weights, settings and a manifest. Loading one never runs code from it.

manifest.json        schema, agent and its settings, what it plays, SHA-256 of every file
weights.safetensors  all weights of the policy
policy.onnx          the part of it that chooses, for ONNX Runtime; of policies that play GPU clusters
config.yaml          the resolved settings of the training run
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.errors import ArtifactError
from agents.pretrained import is_pretrained, pretrained_folder
from envs.gpu_cluster.codec import CodecLayout, fingerprint

SCHEMA = 3
MANIFEST, WEIGHTS, ONNX, CONFIG = "manifest.json", "weights.safetensors", "policy.onnx", "config.yaml"
ONNX_FINGERPRINT = "codec_fingerprint"
"""Entry of the metadata of an ONNX file: of the codec whose observations and actions it maps."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an artifact says of itself.

    Attributes:
        agent: name of the agent, one of `agents.registry.AGENTS`.
        settings: of the agent, as plain values; they say which network the weights belong to.
        masked: whether the agent sees the action mask; else a choice outside it means the default.
        codec: fields of the codec layout, for a policy that plays GPU clusters; else None.
        codec_fingerprint: of that layout, in the version that trained it; likewise.
        packer: the in-pool packer that it was trained with; likewise.
        environment: of a policy that plays another environment: `env`, `env_kwargs`, `observation_space` and
            `action_space`, as `agents.spaces` writes them; else None.
        seed: of the training run.
        kept_step: environment steps that its weights have seen; 0: the policy that training started from.
        total_steps: environment steps that the training was to have.
    """

    agent: str
    settings: Mapping[str, Any]
    masked: bool
    codec: Mapping[str, Any] | None
    codec_fingerprint: str | None
    packer: str | None
    environment: Mapping[str, Any] | None
    seed: int
    kept_step: int
    total_steps: int

    def cluster_layout(self, folder: Path) -> CodecLayout:
        """The codec layout of a policy that plays GPU clusters.

        Args:
            folder: of the artifact, for the message.

        Raises:
            ArtifactError: it plays another environment.
        """
        if self.codec is None:
            env = (self.environment or {}).get("env")
            raise ArtifactError(
                f"{folder}: its policy plays {env}, so it runs on no GPU cluster: load it with autoscaler.load_policy "
                "and play it there"
            )
        return CodecLayout(**self.codec)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that then takes the place of `path` as a whole, or not at all.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield temporary
        old = path.with_name(f".{path.name}-old")
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        temporary.chmod(0o755)
        try:
            temporary.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def save_artifact(folder: Path, manifest: Manifest, write_files: Callable[[Path], None]) -> None:
    """Write an artifact, whole or not at all.

    Args:
        folder: where; an artifact that is there is replaced.
        manifest: what it says of itself.
        write_files: writes all other files into the folder that it is given.

    Raises:
        OSError: it cannot be written.
    """
    with new_folder(folder) as temporary:
        write_files(temporary)
        hashes = {path.name: _sha256(path) for path in sorted(temporary.iterdir())}
        values = {name: getattr(manifest, name) for name in Manifest.__slots__}
        document = {"schema": SCHEMA, **values, "files": hashes}
        with (temporary / MANIFEST).open("w") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())


def find_artifact(path: str | Path) -> Path:
    """The artifact's folder of a run folder, or the path itself; of `pretrained:NAME`, a policy of the package.

    Raises:
        ArtifactError: there is no artifact.
    """
    if is_pretrained(path):
        return pretrained_folder(path)
    for folder in (Path(path) / "policy", Path(path)):
        if (folder / MANIFEST).is_file():
            return folder
    raise ArtifactError(
        f"{path}: there is no policy artifact; give the folder that `autoscaler train` made, or "
        "a name of `autoscaler policies list`"
    )


def read_manifest(folder: Path) -> Manifest:
    """Read and check a manifest, its files and its codec.

    Raises:
        ArtifactError: damaged, of another schema, or made for another codec.
    """
    document = _document(folder)
    for name, expected in document["files"].items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise ArtifactError(f"{path}: the file is missing; the artifact is damaged, copy or train it again")
        if _sha256(path) != expected:
            raise ArtifactError(f"{path}: the content has changed; the artifact is damaged, copy or train it again")
    try:
        manifest = Manifest(**{name: document[name] for name in Manifest.__slots__})
        if (manifest.codec is None) == (manifest.environment is None):
            raise ValueError("it must have either codec or environment")
        ours = None if manifest.codec is None else fingerprint(CodecLayout(**manifest.codec))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder / MANIFEST}: {error}; the artifact is damaged, copy or train it again") from error
    if ours != manifest.codec_fingerprint:
        raise ArtifactError(
            f"{folder}: the policy was trained for codec {manifest.codec_fingerprint}, this version has codec {ours}; "
            "train it again, or install the version that trained it"
        )
    return manifest


def _document(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / MANIFEST).read_text())
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{folder / MANIFEST}: cannot be read ({error}); copy or train it again") from error
    if not isinstance(document, dict) or not isinstance(document.get("files"), dict):
        raise ArtifactError(f"{folder / MANIFEST}: is no manifest; the artifact is damaged, copy or train it again")
    if document.get("schema") != SCHEMA:
        raise ArtifactError(
            f"{folder / MANIFEST}: has schema {document.get('schema')!r}, this version reads {SCHEMA}; train it again"
        )
    return document


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
