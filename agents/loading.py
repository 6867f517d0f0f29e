"""Load a trained policy, whichever engine trained it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from agents.artifact import MANIFEST, find_artifact, read_manifest
from agents.errors import AgentConfigError, ArtifactError
from agents.policy import Policy
from agents.registry import AGENTS


def load_policy(path: str | Path) -> Policy:
    """Load the trained policy of a run folder or an artifact folder.

    No code of the artifact runs: weights and settings are data. Where the policy was trained with a class of the user,
    the manifest names it, and it is imported as any other module.

    Raises:
        ArtifactError: missing, damaged, or made for another codec.
    """
    folder = find_artifact(path)
    manifest = read_manifest(folder)
    try:
        engine = AGENTS[str(manifest.agent)].engine
    except AgentConfigError as error:
        raise ArtifactError(f"{folder / MANIFEST}: {error}") from error
    loaded: Policy = import_module(f"{engine}.files").load_trained(folder, manifest)
    return loaded
