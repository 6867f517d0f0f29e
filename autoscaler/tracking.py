"""Weights & Biases as a writer of the learning curve. Offline mode writes files and needs no account and no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb
from stable_baselines3.common.logger import KVWriter

from configs.loader import to_dict

if TYPE_CHECKING:
    from autoscaler.experiment import ExperimentConfig


class WandbWriter(KVWriter):
    """Logs every entry of the learning curve to one run of Weights & Biases.

    Args:
        experiment: the configuration, logged with the run.
        folder: the run folder; offline files go there too.
    """

    def __init__(self, experiment: ExperimentConfig, folder: Path) -> None:
        logging = experiment.logging
        self._run = wandb.init(
            project=logging.wandb_project,
            name=folder.name,
            dir=str(folder),
            mode="online" if logging.wandb == "online" else "offline",
            config=to_dict(experiment),
        )

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Log an entry."""
        self._run.log({**key_values, "step": step})

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()
