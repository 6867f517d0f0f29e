"""Experiments: everything that a training run depends on; what `autoscaler train` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.config import DEFAULT_AGENT, AgentConfig, TrainConfig
from agents.registry import make_agent
from configs.errors import UserError, did_you_mean
from configs.loader import build_config, load_config, to_dict
from envs.gpu_cluster.cluster import ClusterConfig, auto_cluster
from envs.gpu_cluster.config import EnvironmentConfig
from traces.trace import Trace

DEFAULT_TRACE = "synthetic:quickstart?days=30&seed=0"
WANDB_MODES = ("off", "offline", "online")


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
    agent: AgentConfig = field(default_factory=lambda: make_agent(DEFAULT_AGENT))
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


def load_experiment(
    source: ExperimentConfig | Mapping[str, Any] | str | Path, overrides: Sequence[str] = ()
) -> ExperimentConfig:
    """An experiment from a YAML file or a preset, from plain values, or with changes of one that is there.

    Args:
        source: a path, the name of a preset such as `experiment/quickstart`, nested plain values, or an experiment.
        overrides: `key.of.field=value` each, the value in YAML.

    Raises:
        ConfigError: no such file, an unknown key, or a value that has no meaning.
    """
    if isinstance(source, str | Path):
        return load_config(source, ExperimentConfig, overrides)
    values = to_dict(source) if isinstance(source, ExperimentConfig) else source
    return build_config(values, ExperimentConfig, "experiment", overrides)
