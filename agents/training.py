"""Train an agent: what every engine takes and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.artifact import Manifest
from agents.config import AgentConfig, TrainConfig
from agents.errors import AgentConfigError
from envs.gpu_cluster.codec import CodecLayout
from envs.scores import Actor, Metric
from envs.vec_env import TrainingVecEnv

if TYPE_CHECKING:
    from stable_baselines3.common.logger import KVWriter


class Task(ABC):
    """What to train, on what: `agents.cluster_task.ClusterTask`, or `agents.environment_task.EnvironmentTask`.

    Attributes:
        agent: name and hyperparameters.
        train: lengths and sizes.
        seed: of everything.
        config_text: the resolved configuration, saved with the policy.
        layout: the codec layout of the observations and actions; None: they are those of another environment.
        start_rule: [RULE_SIZE] the setpoint and lever choices that an untrained `shared` network prefers.
        unit_seconds: time after which a reward is discounted by gamma once, as `TrainingVecEnv.step_seconds` counts it.
        rate: name and length, counted likewise, of what the learning curve gives the mean reward of.
    """

    __slots__ = ()

    agent: AgentConfig
    train: TrainConfig
    seed: int
    config_text: str

    layout: CodecLayout | None = None
    start_rule: tuple[int, ...] = ()
    unit_seconds: float = 1.0
    rate: tuple[str, float] = ("step", 1.0)

    @property
    @abstractmethod
    def metric(self) -> Metric:
        """What a validation score is."""

    @property
    def reward_scale(self) -> float:
        """Rewards of the environment times this are learned from."""
        return 1.0

    @abstractmethod
    def make_vec(self) -> TrainingVecEnv:
        """The batch to train on."""

    @abstractmethod
    def score(self, actor: Actor) -> float:
        """The validation score of a policy."""

    @abstractmethod
    def baseline_score(self) -> float:
        """The validation score of the baseline that the metric names."""

    @abstractmethod
    def world(self) -> dict[str, Any]:
        """The fields of a manifest that say what the policy plays."""

    @abstractmethod
    def check_start(self, folder: Path, manifest: Manifest) -> None:
        """Refuse an artifact whose policy plays something else.

        Raises:
            ArtifactError: as above; the message says how to fix it.
        """


@dataclass(frozen=True, slots=True)
class Hooks:
    """How the caller takes part.

    Attributes:
        advance: called with environment steps as they are done.
        should_stop: asked before each iteration; True: save a checkpoint and stop.
        writers: further writers of the learning curve, such as Weights & Biases.
    """

    advance: Callable[[int], None] = lambda _steps: None
    should_stop: Callable[[], bool] = lambda: False
    writers: tuple[KVWriter, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How a training ended.

    Attributes:
        steps: environment steps done.
        total_steps: environment steps that it was to have.
        finished: False if it was stopped before.
        kept_step: environment steps that the saved policy has seen.
        metric: what a validation score is.
        best_score: validation score of the saved policy.
        start_score: that of the policy that training started from.
        baseline_score: that of the baseline: the tuned heuristic, or random actions.
        note: how the policy was chosen, where the engine has more to say; else empty.
    """

    steps: int
    total_steps: int
    finished: bool
    kept_step: int
    metric: Metric
    best_score: float
    start_score: float
    baseline_score: float
    note: str = ""

    @property
    def beats_start(self) -> bool:
        """Whether training found a policy that is better than the one that it started from."""
        return self.metric.is_better(self.best_score, self.start_score)

    def describe(self) -> str:
        """Which policy was kept, in words."""
        if self.note:
            return f"after {self.steps:,} steps: {self.note}"
        if self.beats_start:
            return f"kept the policy of step {self.kept_step:,} of {self.steps:,}"
        return f"kept the policy that training started from: none of {self.steps:,} steps scored better"


def check(agent: AgentConfig, train: TrainConfig) -> None:
    """Refuse settings whose engine finds them without meaning, before anything is tuned.

    Raises:
        AgentConfigError: a name in them names nothing, or something else than it must.
    """
    if train.is_on_several and not agent.trains_on_several:
        raise AgentConfigError(
            f"agent {agent.name} trains on the experiment's own trace only: leave out train.traces and "
            "train.variations, or set agent.name=maskable-ppo"
        )
    import_module(f"{agent.engine}.training").check(agent, train)


def train(task: Task, folder: Path, hooks: Hooks | None = None, resume: bool = False) -> Result:
    """Train until `total_steps`, or until `hooks.should_stop`, by the engine of the agent.

    Args:
        task: what to train.
        folder: the run folder; learning curve, checkpoints and policy go there.
        hooks: how the caller takes part.
        resume: go on from the newest checkpoint, with the same bits as if the training had never stopped. With a larger
            `total_steps` than before it makes a finished training longer: weights, optimizers and counters go on, and
            schedules are those of the new length from there on.

    Raises:
        AgentConfigError: the agent cannot play this environment, or names something that there is not.
        ArtifactError: there is no checkpoint to resume from, or it does not fit; nothing fits to start from.
        OSError: the folder cannot be written.
    """
    result: Result = import_module(f"{task.agent.engine}.training").train(task, folder, hooks or Hooks(), resume)
    return result
