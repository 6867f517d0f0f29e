"""Load a trained policy, whichever engine trained it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from agents.artifact import MANIFEST, Manifest, find_artifact, read_manifest
from agents.errors import AgentConfigError, ArtifactError
from agents.policy import EnvironmentPolicy, Policy
from agents.registry import AGENTS


def load_policy(path: str | Path) -> Policy | EnvironmentPolicy:
    """Load the trained policy of a run folder or an artifact folder, or `pretrained:NAME` of the package.

    One that was trained on another environment than GPU clusters is an `EnvironmentPolicy`.

    No code of the artifact runs: weights and settings are data. Where the policy was trained with a class of the user,
    the manifest names it, and it is imported as any other module.

    Raises:
        ArtifactError: missing, damaged, or made for another codec.
    """
    folder = find_artifact(path)
    policy: Policy | EnvironmentPolicy = _load(folder, read_manifest(folder))
    return policy


def load_cluster_policy(path: str | Path) -> Policy:
    """The same, for what runs on GPU clusters only.

    Raises:
        ArtifactError: as `load_policy`; or the policy plays another environment.
    """
    folder = find_artifact(path)
    manifest = read_manifest(folder)
    manifest.cluster_layout(folder)
    policy: Policy = _load(folder, manifest)
    return policy


def _load(folder: Path, manifest: Manifest) -> Any:
    try:
        engine = AGENTS[str(manifest.agent)].engine
    except AgentConfigError as error:
        raise ArtifactError(f"{folder / MANIFEST}: {error}") from error
    return import_module(f"{engine}.files").load_trained(folder, manifest)
