"""Tasks: one policy with one seed on all windows of a scenario. The same task gives the same rows anywhere."""

from __future__ import annotations

import json
import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.loading import load_policy
from agents.registry import BASELINES, make_baseline
from autoscaler.bench.fingerprints import code_digest, digest_of
from autoscaler.bench.policies import BenchPolicy
from autoscaler.bench.scenario import NamedScenario, World
from autoscaler.evaluation.candidates import tuned_for
from autoscaler.evaluation.metrics import measure
from autoscaler.evaluation.rollouts import run, warm_up
from autoscaler.evaluation.runs import load_run
from autoscaler.experiment import ExperimentConfig, load_experiment
from autoscaler.training import resume, train

Row = dict[str, Any]
"""One window: numbers and texts by column."""


@dataclass(frozen=True, slots=True)
class Task:
    """The unit of work: small enough to be lost, large enough to be sent.

    Attributes:
        scenario: where.
        policy: who.
        seed: of training, or of a stochastic rule.
    """

    scenario: NamedScenario
    policy: BenchPolicy
    seed: int

    @property
    def key(self) -> str:
        """A digest of everything that the rows depend on; a task with the same key need not run again."""
        policy = self.policy
        return digest_of(
            {
                "scenario": self.scenario.config.fingerprint,
                "policy": [policy.kind, policy.digest if policy.kind == "run" else policy.target],
                "settings": [*policy.overrides, policy.digest],
                "seed": self.seed,
                "code": code_digest(),
            }
        )

    def describe(self) -> str:
        """In words, for messages."""
        return f"{self.policy.name} on {self.scenario.name}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class _Made:
    """A policy, and what making it took.

    Attributes:
        policy: who decides.
        settings: what tuning chose.
        cpu_seconds: processor time of tuning or training.
        wall_seconds: how long that took.
        steps: environment steps of a training.
    """

    policy: Any
    settings: Mapping[str, Any]
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    steps: int = 0


def run_task(task: Task, folder: str) -> list[Row]:
    """The rows of a task, one for each window.

    Args:
        task: what to do.
        folder: where trainings are kept.

    Raises:
        UserError: the scenario cannot be loaded, or the policy not be made.
    """
    import torch

    torch.set_num_threads(1)  # tasks run side by side, and more threads change the last bits
    if task.scenario.config.env is not None:
        return _run_in_environment(task, Path(folder))
    world = task.scenario.load()
    # Kernels are compiled before the clocks run: those that step for agents, those that replay for tuning.
    probe = "random" if task.policy.kind == "agent" else "reactive"
    warm_up(make_baseline(probe, world.scenario.config.codec), world.scenario)
    made = _make(task, world, Path(folder))
    problem = world.scenario.problem()
    warm_up(made.policy, world.scenario)
    started, cpu = time.perf_counter(), _cpu_seconds()
    rollouts = run(made.policy, world.scenario, world.windows)
    wall, cpu = time.perf_counter() - started, _cpu_seconds() - cpu
    windows = [(rollout.window.start_ms / 1000.0, rollout.window.end_ms / 1000.0) for rollout in rollouts]
    measured = [
        {_column(name): float(value) for name, value in measure(rollout, problem).items()} for rollout in rollouts
    ]
    return _rows(task, made, windows, measured, (cpu, wall))


def _run_in_environment(task: Task, folder: Path) -> list[Row]:
    """The rows of a task whose scenario is no GPU cluster."""
    world, policy = task.scenario.load_environment(), task.policy
    evaluation = world.evaluation
    evaluation.play(evaluation.make_rule(evaluation.rules[0])[0])  # kernels are compiled before the clocks run
    if policy.kind == "run":
        made = _Made(load_policy(policy.target), {})
    elif policy.kind == "agent":
        made = _trained(task, world.experiment, folder, load_policy)
    else:
        started, cpu = time.perf_counter(), _cpu_seconds()
        rule, settings = evaluation.make_rule(policy.target)
        tuning = (_cpu_seconds() - cpu, time.perf_counter() - started) if settings else (0.0, 0.0)
        made = _Made(rule, settings, *tuning)
    started, cpu = time.perf_counter(), _cpu_seconds()
    measured = evaluation.play(made.policy)
    spent = _cpu_seconds() - cpu, time.perf_counter() - started
    return _rows(task, made, evaluation.windows, measured, spent)


def _rows(
    task: Task,
    made: _Made,
    windows: Sequence[tuple[float, float]],
    measured: Sequence[Mapping[str, float]],
    spent: tuple[float, float],
) -> list[Row]:
    """What a task is, what making its policy took, and what it measured on each window; `spent` in CPU and wall s."""
    share = 1.0 / len(windows)
    return [
        {
            **_identity(task),
            "window": number,
            "start_seconds": begin,
            "end_seconds": end,
            "settings": json.dumps(made.settings, sort_keys=True),
            "learning_cpu_seconds": made.cpu_seconds,
            "learning_wall_seconds": made.wall_seconds,
            "learning_steps": made.steps,
            "replay_cpu_seconds": spent[0] * share,
            "replay_wall_seconds": spent[1] * share,
            **measures,
        }
        for number, ((begin, end), measures) in enumerate(zip(windows, measured, strict=True), start=1)
    ]


def _identity(task: Task) -> Row:
    config = task.scenario.config
    return {
        "key": task.key,
        "code": code_digest(),
        "scenario": task.scenario.name,
        "version": config.version,
        "fingerprint": config.fingerprint,
        "policy": task.policy.name,
        "kind": task.policy.kind,
        "seed": task.seed,
    }


def _column(name: str) -> str:
    """`metrics.wait_seconds.p95` as SQL takes it without quotes: `wait_seconds_p95`."""
    return name.removeprefix("metrics.").replace(".", "_")


def _cpu_seconds() -> float:
    """Processor time of this process and of children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _make(task: Task, world: World, folder: Path) -> _Made:
    policy = task.policy
    if policy.kind == "run":
        return _Made(load_run(policy.target).policy, {})
    if policy.kind == "agent":
        return _trained(task, world.experiment, folder, lambda path: load_run(path).policy)
    config = world.scenario.config
    if BASELINES[policy.target].tune is None:
        return _Made(make_baseline(policy.target, config.codec, task.seed), {})
    started, cpu = time.perf_counter(), _cpu_seconds()
    tuned = tuned_for(policy.target, world.experiment, world.trace)
    wall, cpu = time.perf_counter() - started, _cpu_seconds() - cpu
    return _Made(tuned.policy(config), tuned.to_dict(), cpu, wall)


def _trained(task: Task, frame: ExperimentConfig, folder: Path, load: Callable[[str], Any]) -> _Made:
    """Train in the frame of a scenario, or go on with a training that was killed; `load` reads the policy."""
    target = folder / task.key
    experiment = _experiment(task, frame)
    before = max((int(path.name.removeprefix("step-")) for path in (target / "checkpoints").glob("step-*")), default=0)
    started, cpu = time.perf_counter(), _cpu_seconds()
    if before:
        done = resume(target)
    else:
        shutil.rmtree(target, ignore_errors=True)  # of a training that was killed before its first checkpoint
        done = train(experiment, target)
    # What was done before a kill is not measured: it costs as much a step as the rest, which is unknown where none is.
    steps = done.result.steps
    share = (steps - before) / steps or float("nan")
    wall, cpu = (time.perf_counter() - started) / share, (_cpu_seconds() - cpu) / share
    result = {"kept_step": done.result.kept_step, "total_steps": done.result.total_steps}
    return _Made(load(str(target)), result, cpu, wall, steps)


def _experiment(task: Task, frame: ExperimentConfig) -> ExperimentConfig:
    settings = load_experiment({"agent": {"name": task.policy.target}}, task.policy.overrides)
    return replace(frame, agent=settings.agent, train=settings.train, seed=task.seed)
