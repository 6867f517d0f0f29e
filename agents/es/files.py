"""The files of a policy of setpoints, found by search or by gradients; NumPy alone reads them, as on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from agents.artifact import CONFIG, MANIFEST, WEIGHTS, Manifest, save_artifact
from agents.baselines.constant import ConstantSetpoint
from agents.config import AgentConfig
from agents.errors import AgentConfigError, ArtifactError
from agents.es.cma_es import SetpointConfig
from agents.setpoints import LearnedSetpoints
from configs.errors import ConfigError
from configs.loader import build_config
from envs.gpu_cluster.codec import INTENSITY, LEVERS, RULE_SIZE

if TYPE_CHECKING:
    from agents.es.environment import SearchedPolicy


def save_trained(folder: Path, policy: LearnedSetpoints, manifest: Manifest, config_text: str) -> None:
    """Save a policy as an artifact.

    Raises:
        OSError: the folder cannot be written; nothing half-written is left.
    """

    def write(temporary: Path) -> None:
        tensors = {"weights": policy.policies.weights[0], "start": policy.start.rule}
        if INTENSITY in policy.features:
            tensors["intensity"] = policy.policies.intensity
        safetensors.numpy.save_file(tensors, temporary / WEIGHTS)
        (temporary / CONFIG).write_text(config_text)

    save_artifact(folder, manifest, write)


def read_weights(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64] | None]:
    """The weights of an artifact, the rule that they begin from, [RULE_SIZE] int64, and those of a learned intensity.

    A rule that was saved before there were as many levers does nothing with the later ones. None: it has no intensity.

    Raises:
        ArtifactError: they cannot be read.
    """
    try:
        tensors = safetensors.numpy.load_file(folder / WEIGHTS)
        start = np.pad(tensors["start"], (0, max(RULE_SIZE - len(tensors["start"]), 0)))
        return tensors["weights"], start, tensors.get("intensity")
    except (OSError, KeyError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{folder / WEIGHTS}: the weights cannot be read ({reason}); train it again") from error


def load_trained(folder: Path, manifest: Manifest) -> LearnedSetpoints | SearchedPolicy:
    """Load the policy of an artifact whose manifest was read.

    Raises:
        ArtifactError: the weights do not fit the policy that the manifest describes.
    """
    if manifest.environment is not None:
        from agents.es.environment import load_searched  # it imports what imports this module

        return load_searched(folder, manifest)
    layout = manifest.cluster_layout(folder)
    weights, rule, intensity = read_weights(folder)
    try:
        settings = build_config({**manifest.settings, "name": manifest.agent}, AgentConfig, str(folder / MANIFEST))
        assert isinstance(settings, SetpointConfig)
        setpoint, *of_levers = rule.tolist()
        choices = dict(zip((lever.name for lever in LEVERS), of_levers, strict=True))
        start = ConstantSetpoint(layout, *layout.setpoints[setpoint], **choices)
        policy = LearnedSetpoints(
            manifest.agent,
            start,
            settings.features,
            settings.hidden,
            np.asarray(weights, np.float64),
            manifest.packer,
            settings.price,
            settings.levers_of(layout),
            None if intensity is None else np.asarray(intensity, np.float64),
        )
    except (AgentConfigError, ConfigError, ValueError, IndexError) as error:
        raise ArtifactError(f"{folder}: the weights do not fit: {error}; train it again") from error
    if not np.isfinite(np.concatenate([weights, np.zeros(0) if intensity is None else intensity])).all():
        raise ArtifactError(f"{folder / WEIGHTS}: the weights do not fit: one is not finite; train it again")
    return policy
