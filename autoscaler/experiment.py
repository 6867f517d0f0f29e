"""Experiments: what `autoscaler train` reads, and how a run folder is laid out.

config.yaml    the resolved configuration, with the seed
run.json       command, version, git revision, packages, machine; the tuned heuristic; how the training ended
metrics.jsonl  the learning curve, one line per entry
checkpoints/   the last ones, to resume from
policy/        the policy artifact that scored best on the training window
tensorboard/   the learning curve for TensorBoard
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agents.config import AgentConfig, TrainConfig
from configs.errors import UserError, did_you_mean
from envs.gpu_cluster.cluster import ClusterConfig, auto_cluster
from envs.gpu_cluster.config import EnvironmentConfig
from traces.trace import Trace

CONFIG, RUN = "config.yaml", "run.json"
DEFAULT_TRACE = "synthetic:quickstart?days=30&seed=0"
WANDB_MODES = ("off", "offline", "online")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ExperimentError(UserError, ValueError):
    """An experiment or a run folder that cannot be used."""


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """How a trace is split in time.

    Attributes:
        train: fraction of the trace's span, from its beginning, that is trained and tuned on; the rest is for tests.
    """

    train: float = 0.6

    def __post_init__(self) -> None:
        """Refuse a fraction that leaves nothing to train on.

        Raises:
            ExperimentError: it is not in (0, 1].
        """
        if not 0.0 < self.train <= 1.0:
            raise ExperimentError(f"split.train is {self.train}; it must be in (0, 1]")


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """Where the learning curve goes besides `metrics.jsonl` and TensorBoard.

    Attributes:
        wandb: off, offline (files only, no account and no network) or online: Weights & Biases.
        wandb_project: its project there.
    """

    wandb: str = "off"
    wandb_project: str = "autoscaler"

    def __post_init__(self) -> None:
        """Refuse an unknown mode.

        Raises:
            ExperimentError: there is no such mode.
        """
        if self.wandb not in WANDB_MODES:
            raise ExperimentError(f"logging.wandb is {self.wandb!r}{did_you_mean(self.wandb, WANDB_MODES)}")


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """Everything that a training run depends on.

    Attributes:
        trace: URI of the jobs, see `autoscaler traces list`.
        cluster: auto (one pool of 8-GPU nodes, as large as the trace's peak), or pools.
        split: how the trace is split in time.
        environment: settings, prices and the codec's sizes.
        agent: name and hyperparameters.
        train: how long and on how many clusters at once.
        logging: where the learning curve goes.
        seed: of the weights, the episodes and the actions.
    """

    trace: str = DEFAULT_TRACE
    cluster: ClusterConfig | str = "auto"
    split: SplitConfig = field(default_factory=SplitConfig)
    environment: EnvironmentConfig = field(default_factory=EnvironmentConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a negative seed and an unknown word for the cluster.

        Raises:
            ExperimentError: as above.
        """
        if self.seed < 0:
            raise ExperimentError(f"seed is {self.seed}; it must be >= 0")
        if isinstance(self.cluster, str) and self.cluster != "auto":
            raise ExperimentError(f"cluster is {self.cluster!r}; it must be auto, or a mapping with pools")

    def described_cluster(self, trace: Trace) -> ClusterConfig:
        """The cluster, with `auto` worked out from the whole trace."""
        return auto_cluster(trace) if isinstance(self.cluster, str) else self.cluster

    def training_window(self, trace: Trace) -> tuple[float, float]:
        """[start, end) of the training window in seconds of the trace's time."""
        start = trace.first_submit_seconds
        return start, start + self.split.train * trace.span_seconds


def new_run_folder(out: Path, name: str | None, agent: str, seed: int) -> Path:
    """The path of a new run folder; nothing is written yet.

    Args:
        out: folder of runs.
        name: its name; None: agent, seed and the time.
        agent: name of the agent.
        seed: of the run.

    Raises:
        ExperimentError: the name is not a plain file name, or the folder exists.
    """
    if name is None:
        name = f"{agent}-seed{seed}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if not NAME.fullmatch(name):
        raise ExperimentError(f"--name is {name!r}; use letters, digits, dots, dashes and underscores")
    folder = out / name
    if folder.exists():
        raise ExperimentError(
            f"{folder}: the folder exists; resume it with --resume {folder}, or choose another --name"
        )
    return folder
