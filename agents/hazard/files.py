"""The files of a hazard model; NumPy alone reads them."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.numpy

from agents.artifact import CONFIG, WEIGHTS, Manifest, save_artifact
from agents.errors import ArtifactError
from agents.hazard.model import HazardModel, HazardPolicy, model_of


def save_trained(folder: Path, model: HazardModel, manifest: Manifest, config_text: str) -> None:
    """Save a model as an artifact.

    Raises:
        OSError: the folder cannot be written; nothing half-written is left.
    """

    def write(temporary: Path) -> None:
        safetensors.numpy.save_file(model.arrays(), temporary / WEIGHTS)
        (temporary / CONFIG).write_text(config_text)

    save_artifact(folder, manifest, write)


def load_trained(folder: Path, manifest: Manifest) -> HazardPolicy:
    """Load the policy of an artifact whose manifest was read.

    Raises:
        ArtifactError: the weights cannot be read, or do not fit.
    """
    if manifest.environment is None:
        raise ArtifactError(f"{folder}: its manifest names no environment; train it again")
    return HazardPolicy(manifest.agent, read_model(folder), manifest.environment)


def read_model(folder: Path) -> HazardModel:
    """The model of an artifact.

    Raises:
        ArtifactError: the weights cannot be read, or do not fit.
    """
    try:
        return model_of(safetensors.numpy.load_file(folder / WEIGHTS))
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{folder / WEIGHTS}: the weights cannot be read ({reason}); train it again") from error
