"""The files of a linear policy; NumPy alone reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from agents.artifact import CONFIG, WEIGHTS, Manifest, save_artifact
from agents.errors import ArtifactError
from agents.linear.policy import ActionMap, LinearPolicy
from agents.spaces import space_from_dict


def save_trained(folder: Path, policy: LinearPolicy, actions: ActionMap, manifest: Manifest, config_text: str) -> None:
    """Save a policy as an artifact.

    Raises:
        OSError: the folder cannot be written; nothing half-written is left.
    """

    def write(temporary: Path) -> None:
        tensors = {"weights": policy.weights, "start": actions.start, "orders": actions.orders}
        safetensors.numpy.save_file(tensors, temporary / WEIGHTS)
        (temporary / CONFIG).write_text(config_text)

    save_artifact(folder, manifest, write)


def load_trained(folder: Path, manifest: Manifest) -> LinearPolicy:
    """Load the policy of an artifact whose manifest was read.

    Raises:
        ArtifactError: the weights cannot be read, or do not fit the spaces that the manifest describes.
    """
    environment = manifest.environment
    if environment is None:
        raise ArtifactError(f"{folder}: its manifest names no environment; train it again")
    try:
        tensors = safetensors.numpy.load_file(folder / WEIGHTS)
        weights, start, orders = (tensors[name] for name in ("weights", "start", "orders"))
    except (OSError, KeyError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{folder / WEIGHTS}: the weights cannot be read ({reason}); train it again") from error
    observation = space_from_dict(environment["observation_space"])
    actions = ActionMap(space_from_dict(environment["action_space"]), start, orders)
    inputs = int(np.prod(observation.shape or (1,)))
    if weights.shape != (actions.size, 1 + inputs) or start.shape != (actions.size,) or not np.isfinite(weights).all():
        raise ArtifactError(
            f"{folder / WEIGHTS}: the weights {weights.shape} do not fit {actions.size} outputs of {inputs} inputs; "
            "train it again"
        )
    return LinearPolicy(manifest.agent, weights, actions, environment)
