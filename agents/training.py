"""Train an agent: what every engine takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.baselines.tuned import Tuned
from agents.config import AgentConfig, TrainConfig
from envs.gpu_cluster.simulator.problem import Problem

if TYPE_CHECKING:
    from stable_baselines3.common.logger import KVWriter


@dataclass(frozen=True, slots=True)
class Task:
    """What to train, on what.

    Attributes:
        agent: name and hyperparameters.
        train: lengths and sizes.
        problem: the training window with the tuned packer.
        validation: [K, 3] int64 episodes of the training window, to score the deterministic policy on.
        tuned: the tuned heuristic of the training window: where maskable-ppo starts from and what it is compared with.
        seed: of everything.
        config_text: the resolved configuration, saved with the policy.
    """

    agent: AgentConfig
    train: TrainConfig
    problem: Problem
    validation: NDArray[np.int64]
    tuned: Tuned
    seed: int
    config_text: str

    @property
    def reward_scale(self) -> float:
        """Makes the tuned heuristic's discounted return about -1: its cost per hour times the hours that count.

        About 1 where it earns instead: narrow elastic jobs can take less energy than the work that the reward leaves
        out. A reward of the user is taken as it is.
        """
        if self.train.reward is not None:
            return 1.0
        unit_hours = self.problem.config.decision_interval_seconds / 3600.0
        horizon_hours = unit_hours / max(1.0 - self.agent.discount, 1e-6)
        return 1.0 / max(abs(self.tuned.usd_per_hour) * horizon_hours, 1e-9)


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
        best_usd: validation score of the saved policy: USD per window, without the energy of GPUs that work.
        start_usd: that of the policy that training started from.
        tuned_usd: that of the tuned heuristic.
    """

    steps: int
    total_steps: int
    finished: bool
    kept_step: int
    best_usd: float
    start_usd: float
    tuned_usd: float

    @property
    def beats_start(self) -> bool:
        """Whether training found a policy that is better than the one that it started from."""
        return self.best_usd < self.start_usd

    def describe(self) -> str:
        """Which policy was kept, in words."""
        if self.beats_start:
            return f"kept the policy of step {self.kept_step:,} of {self.steps:,}"
        return f"kept the policy that training started from: none of {self.steps:,} steps scored better"


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
