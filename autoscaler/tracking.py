"""Weights & Biases as a writer of the learning curve. Offline mode writes files and needs no account and no network."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb
from stable_baselines3.common.logger import KVWriter

if TYPE_CHECKING:
    from autoscaler.experiment import ExperimentConfig

STEP = "environment_step"
"""The x axis of every chart; Weights & Biases would count entries."""


def new_run_id() -> str:
    """An id for a run that is new to Weights & Biases."""
    return uuid.uuid4().hex[:12]


class WandbWriter(KVWriter):
    """Logs every entry of the learning curve to one run of Weights & Biases, over the environment steps.

    Args:
        experiment: the configuration, logged with the run.
        folder: the run folder; offline files go there too.
        run_id: of the run; one that is there already goes on.
    """

    def __init__(self, experiment: ExperimentConfig, folder: Path, run_id: str) -> None:
        logging = experiment.logging
        self._run = wandb.init(
            project=logging.wandb_project,
            name=folder.name,
            id=run_id,
            resume="allow",
            dir=str(folder.absolute()),  # its background process keeps the working directory of the first run
            mode="online" if logging.wandb == "online" else "offline",
            config=experiment.plain_values(),
            allow_val_change=True,  # of a run that is made longer
        )
        self._run.define_metric(STEP, hidden=True)
        self._run.define_metric("*", step_metric=STEP, step_sync=True)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Log an entry."""
        self._run.log({**key_values, STEP: step})

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()
