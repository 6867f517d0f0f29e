"""Write a trained policy of GPU clusters as one ONNX file that other programs can run."""

from __future__ import annotations

import shutil
from pathlib import Path

from agents.artifact import ONNX, find_artifact
from agents.errors import ArtifactError
from agents.loading import load_cluster_policy
from agents.setpoints import LearnedSetpoints
from configs.files import atomic_path


def export_onnx(source: str | Path, path: str | Path) -> None:
    """Write the network of a policy.

    That of an agent of Stable-Baselines3 is in its artifact and is copied; that of a searched policy is made of its
    weights and chooses by the same bits.

    Args:
        source: run folder, artifact folder, or `pretrained:NAME`.
        path: of the file; it appears whole or not at all.

    Raises:
        ArtifactError: there is no such policy, it is damaged, plays another environment, or has no network.
        OutputFileError: the file cannot be written.
    """
    folder, policy = find_artifact(source), load_cluster_policy(source)
    with atomic_path(path) as temporary:
        if isinstance(policy, LearnedSetpoints):
            from agents.es.network import export_searched  # it imports PyTorch

            export_searched(policy, temporary)
        elif (folder / ONNX).is_file():
            shutil.copyfile(folder / ONNX, temporary)
        else:
            raise ArtifactError(f"{folder}: its agent has no network that could be written as ONNX")
