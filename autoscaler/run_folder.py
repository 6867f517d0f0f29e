"""Run folders: what lies in one, and how its record is read and written.

config.yaml    the resolved configuration, with the seed
run.json       command, version, git revision, packages, machine; the tuned heuristic; how the training ended
metrics.jsonl  the learning curve, one line per entry
checkpoints/   the last ones, to resume from
policy/        the policy artifact that scored best on the training window
tensorboard/   the learning curve for TensorBoard
recording/     what its policy does, for the dashboard, where `evaluate --record` wrote that
wandb/         files of Weights & Biases, where that is on
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autoscaler.experiment import ExperimentConfig, ExperimentError
from configs.files import check_output_folder, write_text
from configs.loader import load_config
from envs.recording.writer import HEAD

CONFIG, RUN, RECORDING = "config.yaml", "run.json", "recording"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def named_folder(out: str | Path, name: str | None, agent: str, seed: int) -> Path:
    """The path of a new run folder; nothing is written yet.

    Args:
        out: folder of runs.
        name: its name; None: agent, seed and the time.
        agent: name of the agent.
        seed: of the run.

    Raises:
        ExperimentError: the name is not a plain file name.
    """
    if name is None:
        name = f"{agent}-seed{seed}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return Path(out) / checked_name(name)


def checked_name(name: str) -> str:
    """A name for a folder, if it is one.

    Raises:
        ExperimentError: it is not a plain file name.
    """
    if not NAME.fullmatch(name):
        raise ExperimentError(f"--name is {name!r}; use letters, digits, dots, dashes and underscores")
    return name


def check_new(folder: Path) -> None:
    """Refuse a folder that is there already, or that could not be made.

    Raises:
        ExperimentError: the folder exists.
        OutputFileError: it cannot be made, or nothing can be written there.
    """
    if folder.exists():
        raise ExperimentError(f"{folder}: the folder exists; resume it with --resume {folder}, or choose another name")
    check_output_folder(folder)


def check_run_folder(folder: Path) -> None:
    """Refuse a folder that no training wrote.

    Raises:
        ExperimentError: as above.
    """
    if not (folder / CONFIG).is_file():
        raise ExperimentError(f"{folder}: is no run folder (it has no {CONFIG}); give the folder that train printed")


def saved_experiment(folder: Path) -> ExperimentConfig:
    """The experiment of a run folder.

    Raises:
        ExperimentError: the folder is no run folder.
        ConfigError: the config is damaged, or of another version.
    """
    check_run_folder(folder)
    return load_config(folder / CONFIG, ExperimentConfig)


def recording_of(path: Path) -> Path:
    """The folder of the recording that a path names: itself, or that of a run.

    Raises:
        ExperimentError: there is none.
    """
    for folder in (path, path / RECORDING):
        if (folder / HEAD).is_file():
            return folder
    raise ExperimentError(
        f"{path}: has no recording; write one with `autoscaler evaluate RUN --record FOLDER`, or `simulate --record`"
    )


def read_record(folder: Path) -> dict[str, Any]:
    """What `run.json` of a run folder holds.

    Raises:
        ExperimentError: the folder is no run folder, or it cannot be read.
    """
    check_run_folder(folder)
    try:
        record = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{folder / RUN}: cannot be read ({error}); the run folder is damaged") from error
    if not isinstance(record, dict):
        raise ExperimentError(f"{folder / RUN}: is no JSON object; the run folder is damaged")
    return record


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write `run.json`, whole or not at all.

    Raises:
        OutputFileError: it cannot be written.
    """
    write_text(folder / RUN, json.dumps(record, indent=2) + "\n")
