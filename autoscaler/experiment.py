"""Experiments: everything that a training run depends on; what `autoscaler train` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from agents.config import DEFAULT_AGENT, AgentConfig, TrainConfig
from agents.registry import make_agent
from configs.errors import UserError, did_you_mean
from configs.loader import build_config, load_config, to_dict
from envs.gpu_cluster.cluster import ClusterConfig, auto_cluster
from envs.gpu_cluster.config import EnvironmentConfig
from traces.trace import Trace

DEFAULT_TRACE = "synthetic:quickstart?days=30&seed=0"
GPU_CLUSTER_IDS = "autoscaler/GpuCluster"
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
        env: another environment than GPU clusters: an id of Gymnasium, `module:ID` or `module:Class`. Then trace,
            cluster, split and environment have no meaning. None: GPU clusters, which those describe.
        env_kwargs: arguments of `env`; `max_episode_steps` limits its episodes.
        trace: URI of the jobs, see `autoscaler traces list`.
        cluster: auto (one pool of 8-GPU nodes, as large as the trace's peak), or pools.
        split: how the trace is split in time.
        environment: settings, prices and the codec's sizes.
        agent: name and hyperparameters.
        train: how long and on how many clusters at once.
        logging: where the learning curve goes.
        seed: of the weights, the episodes and the actions.
    """

    ELSEWHERE: ClassVar[Mapping[str, str]] = {"sweep": "a config that has it is for `autoscaler sweep`"}

    env: str | None = None
    env_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    trace: str = DEFAULT_TRACE
    cluster: ClusterConfig | str = "auto"
    split: SplitConfig = field(default_factory=SplitConfig)
    environment: EnvironmentConfig = field(default_factory=EnvironmentConfig)
    agent: AgentConfig = field(default_factory=lambda: make_agent(DEFAULT_AGENT))
    train: TrainConfig = field(default_factory=TrainConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a negative seed, an unknown word for the cluster, and settings that the environment does not read.

        Raises:
            ExperimentError: as above.
        """
        if self.seed < 0:
            raise ExperimentError(f"seed is {self.seed}; it must be >= 0")
        if isinstance(self.cluster, str) and self.cluster != "auto":
            raise ExperimentError(f"cluster is {self.cluster!r}; it must be auto, or a mapping with pools")
        if self.env is None and self.env_kwargs:
            raise ExperimentError("env_kwargs are arguments of env, which is not set; GPU clusters have environment")
        if self.env is not None:
            self._check_environment(self.env)

    def _check_environment(self, env: str) -> None:
        if env.startswith(GPU_CLUSTER_IDS):
            raise ExperimentError(
                f"env is {env!r}; leave it out to train on GPU clusters: trace, cluster and environment describe them"
            )
        if self.train.reward is not None:
            raise ExperimentError(f"train.reward is made from the costs of GPU clusters; {env} has its own reward")
        defaults = {"trace": DEFAULT_TRACE, "cluster": "auto", "split": SplitConfig()}
        given = [name for name, value in defaults.items() if getattr(self, name) != value]
        if self.environment != EnvironmentConfig():
            given.append("environment")
        if given:
            raise ExperimentError(
                f"{', '.join(given)}: only GPU clusters have this, and env is {env!r}; its settings are env_kwargs"
            )

    def plain_values(self) -> dict[str, Any]:
        """Nested plain values, without what this experiment does not read."""
        values: dict[str, Any] = to_dict(self)
        unread = ("env", "env_kwargs") if self.env is None else ("trace", "cluster", "split", "environment")
        return {name: value for name, value in values.items() if name not in unread}

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
