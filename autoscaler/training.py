"""Train a policy as an experiment says, inside a run folder, or resume a run: what `autoscaler train` calls."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter

import traces
from agents.artifact import find_artifact, read_manifest
from agents.baselines.training_window import TRIED_PACKERS, TrainingWindow
from agents.baselines.tuned import Tuned, tune_together
from agents.cluster_task import ClusterTask
from agents.environment_task import EnvironmentTask
from agents.errors import AgentConfigError
from agents.loading import load_cluster_policy
from agents.training import Hooks as EngineHooks
from agents.training import Result, Task, check
from agents.training import train as run_engine
from autoscaler.evaluation.provenance import provenance
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.training_part import TrainingPart, on_training_part
from autoscaler.experiment import ExperimentConfig, ExperimentError, load_experiment
from autoscaler.progress import Reporter, make_reporter, note_bad_rows
from autoscaler.run_folder import CONFIG, RUN, check_new, read_record, saved_experiment, write_record
from autoscaler.several_traces import further_problems, training_problem
from configs.loader import dump_yaml, to_yaml
from envs.gpu_cluster.episodes import RandomEpisodes, equal_episodes
from envs.training import training_of

SCHEMA = "autoscaler.run/1"
WANDB_ID = "wandb_id"


@dataclass(frozen=True, slots=True)
class Hooks:
    """How the caller takes part in a training.

    Attributes:
        on_log: called with each entry of the learning curve: the environment steps done, and numbers by name, such as
            `validation/usd` (USD per validation window, without the energy of GPUs that work), or `validation/return`
            where another environment is trained on.
        should_stop: asked before each iteration; True saves a checkpoint and stops, and the run can be resumed.
    """

    on_log: Callable[[int, Mapping[str, float]], None] | None = None
    should_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A run folder and how its training ended.

    Attributes:
        folder: the run folder; `autoscaler.load_policy(folder)` loads the policy that scored best.
        experiment: what was trained.
        result: how it ended.
        training_part: what the policy saves on the windows that it was trained on; None where training was stopped, of
            other environments, and where no bound is known.
    """

    folder: Path
    experiment: ExperimentConfig
    result: Result
    training_part: TrainingPart | None = None

    def describe(self) -> str:
        """Which policy was kept, and its validation score beside that of the baseline; one line."""
        metric, best, baseline = self.result.metric, self.result.best_score, self.result.baseline_score
        share = f" ({best / baseline - 1.0:+.1%})" if baseline > 0 else ""
        return (
            f"{self.result.describe()}; validation: {best:.2f} {metric.description}, {metric.baseline} "
            f"{baseline:.2f}{share}"
        )


def train(
    experiment: ExperimentConfig | Mapping[str, Any] | str | Path,
    folder: str | Path,
    *,
    overrides: Sequence[str] = (),
    init_from: str | Path | None = None,
    tuned: Tuned | None = None,
    hooks: Hooks | None = None,
    progress: bool | Reporter = False,
) -> TrainedRun:
    """Train a policy in a new run folder.

    On GPU clusters the heuristic is tuned on the training window first: training starts from it, and is compared with
    it. Another environment, the experiment's `env`, is trained on as `envs.training` says.

    Args:
        experiment: a config, its plain values, a YAML file, or a preset such as `experiment/quickstart`.
        folder: the run folder to make.
        overrides: `key.of.field=value` each, as `--set` of the command line.
        init_from: run folder, or artifact, whose policy the training starts from; None: `train.init_from` of the
            experiment. It is a policy of the same agent, network and codec, trained on any trace.
        tuned: the heuristic, where it was tuned on this training window before.
        hooks: how the caller takes part.
        progress: see `autoscaler.progress`.

    Raises:
        ConfigError: the experiment cannot be read, or has a value without meaning.
        ExperimentError: the folder exists.
        OutputFileError: the folder cannot be made.
        TraceError: the trace cannot be loaded.
        ClusterError: trace, cluster and codec do not fit together.
        EnvironmentConfigError: the environment of `env` cannot be made.
        AgentConfigError: the agent cannot play this action space, or names something that there is not.
        ArtifactError: there is no policy to start from, or it does not fit.
    """
    described, target = load_experiment(experiment, overrides), Path(folder)
    if init_from is not None:
        described = replace(described, train=replace(described.train, init_from=str(init_from)))
    check_new(target)
    # Before seconds go into tuning.
    if described.train.init_from is not None:
        read_manifest(find_artifact(described.train.init_from))
    check(described.agent, described.train)
    reporter = make_reporter(progress)
    task, facts = _new_task(described, tuned, reporter)
    target.mkdir(parents=True)
    try:
        dump_yaml(described.plain_values(), target / CONFIG)
        write_record(target, {"schema": SCHEMA, "provenance": provenance(), **facts})
        return _run(described, task, target, hooks or Hooks(), reporter, resumes=False)
    except BaseException:
        # A new folder in which nothing could be used goes; one that was there before is never touched.
        if not any((target / "checkpoints").glob("step-*")):
            shutil.rmtree(target, ignore_errors=True)
        raise


def resume(
    folder: str | Path, *, steps: int | None = None, hooks: Hooks | None = None, progress: bool | Reporter = False
) -> TrainedRun:
    """Go on with a run: one that was stopped, to the same bits as if it never had been, or a finished one for longer.

    Args:
        folder: the run folder.
        steps: environment steps of the run in all, more than it was made for; None: as many as that.
            Weights, optimizers and counters go on; schedules, such as the learning rate's, are those of the new length.
        hooks: how the caller takes part.
        progress: see `autoscaler.progress`.

    Raises:
        ExperimentError: the folder is no run folder, its record is damaged, or it has these steps already.
        ConfigError: its config is damaged.
        ArtifactError: there is no checkpoint, or it does not fit.
    """
    target = Path(folder)
    experiment = saved_experiment(target)
    hooks, reporter = hooks or Hooks(), make_reporter(progress)
    if steps is None:
        return _run(experiment, _saved_task(experiment, target), target, hooks, reporter, resumes=True)
    if steps <= experiment.train.total_steps:
        raise ExperimentError(
            f"{target}: is made for {experiment.train.total_steps:,} steps already, not more than the {steps:,} of "
            "--steps; give a larger number, or leave it out"
        )
    longer = replace(experiment, train=replace(experiment.train, total_steps=steps))
    task = _saved_task(longer, target)
    dump_yaml(longer.plain_values(), target / CONFIG)  # first, so that a longer run that is stopped goes on as one
    try:
        return _run(longer, task, target, hooks, reporter, resumes=True)
    except Exception:
        dump_yaml(experiment.plain_values(), target / CONFIG)
        raise


def _new_task(experiment: ExperimentConfig, tuned: Tuned | None, reporter: Reporter) -> tuple[Task, dict[str, Any]]:
    """What the engine trains, and what the record of the run says of it."""
    if experiment.env is not None:
        return _environment_task(experiment), {}
    task = _cluster_task(experiment, tuned or tune_heuristic(experiment, reporter))
    episodes = RandomEpisodes(task.problem)
    if (shorter := episodes.describe()) is not None:
        reporter.note(shorter)
    alignments = task.problem.prices.alignments
    for name, found in alignments.items():
        reporter.note(f"{name}: {found.describe()}")
    signals = {name: found.to_dict() for name, found in alignments.items()}
    return task, {"tuned": task.tuned.to_dict(), "episode_seconds": episodes.seconds, "signals": signals}


def _saved_task(experiment: ExperimentConfig, folder: Path) -> Task:
    """What the engine goes on with."""
    if experiment.env is not None:
        return _environment_task(experiment)
    return _cluster_task(experiment, _saved_heuristic(folder))


def _environment_task(experiment: ExperimentConfig) -> EnvironmentTask:
    assert experiment.env is not None
    kwargs, train_config = dict(experiment.env_kwargs), experiment.train
    if train_config.is_on_several:
        raise AgentConfigError(
            f"train.traces and train.variations are of GPU clusters, and env is {experiment.env}; leave them out"
        )
    training = training_of(experiment.env, kwargs, train_config.validation_windows)
    text = to_yaml(experiment.plain_values())
    return EnvironmentTask(experiment.agent, train_config, experiment.env, kwargs, training, experiment.seed, text)


def _saved_heuristic(folder: Path) -> Tuned:
    try:
        return Tuned.from_dict(read_record(folder)["tuned"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ExperimentError(f"{folder / RUN}: its tuned heuristic cannot be read; train again") from error


def tune_heuristic(experiment: ExperimentConfig, progress: bool | Reporter = False) -> Tuned:
    """The best heuristic of the training window of an experiment.

    Args:
        experiment: trace, cluster, split and settings; with `train.traces` it is the best one on all of them.
        progress: see `autoscaler.progress`.

    Raises:
        TraceError: the trace cannot be loaded.
        ClusterError: trace, cluster and codec do not fit together.
    """
    reporter = make_reporter(progress)
    windows = training_windows(experiment, reporter)
    with reporter.progress("tune the heuristic", len(TRIED_PACKERS) * len(windows), "packers") as bar:
        tuned = tune_together(windows, bar.advance)
    reporter.note(f"reactive-tuned: {tuned.describe()}")
    return tuned


def training_windows(experiment: ExperimentConfig, progress: bool | Reporter = False) -> list[TrainingWindow]:
    """The training window of an experiment's trace, and of each of `train.traces`; no version of them.

    Args:
        experiment: traces, cluster, split and settings.
        progress: see `autoscaler.progress`.

    Raises:
        TraceError: a trace cannot be loaded.
    """
    reporter, parts = make_reporter(progress), experiment.train.validation_windows
    windows = []
    for uri in (experiment.trace, *experiment.train.traces):
        trace = traces.load(uri)
        note_bad_rows(reporter, trace)
        window, cluster = experiment.training_window(trace), experiment.described_cluster(trace)
        windows.append(TrainingWindow(trace, cluster, experiment.environment, *window, parts))
    return windows


def _cluster_task(experiment: ExperimentConfig, tuned: Tuned) -> ClusterTask:
    """The training window with the tuned packer, and those of further traces and versions."""
    trace = traces.load(experiment.trace)
    start, end = experiment.training_window(trace)
    problem = training_problem(experiment, trace, tuned.packer)
    validation = equal_episodes(problem, start, end, experiment.train.validation_windows)
    text = to_yaml(experiment.plain_values())
    others = tuple(further_problems(experiment, trace, tuned.packer))
    return ClusterTask(experiment.agent, experiment.train, problem, validation, tuned, experiment.seed, text, others)


def _run(
    experiment: ExperimentConfig, task: Task, folder: Path, hooks: Hooks, reporter: Reporter, *, resumes: bool
) -> TrainedRun:
    """Train in a folder that holds config and record, and record how it ended."""
    writers: list[KVWriter] = [] if hooks.on_log is None else [_LogWriter(hooks.on_log)]
    if experiment.logging.wandb != "off":
        writers.append(_wandb_writer(experiment, folder))
    with reporter.progress("train", task.train.total_steps) as bar:
        engine_hooks = EngineHooks(bar.advance, hooks.should_stop, tuple(writers))
        result = run_engine(task, folder, engine_hooks, resumes)
    record = {**read_record(folder), "result": asdict(result)}
    write_record(folder, record)
    part = None
    if result.finished and isinstance(task, ClusterTask):
        part = _training_part(experiment, task, folder)
    if part is not None:
        write_record(folder, {**record, "training_part": part.to_dict()})
    return TrainedRun(folder, experiment, result, part)


def _training_part(experiment: ExperimentConfig, task: ClusterTask, folder: Path) -> TrainingPart | None:
    """The saved policy beside the tuned heuristic on the experiment's own trace."""
    trace = traces.load(experiment.trace)
    scenario = Scenario(trace, experiment.described_cluster(trace), experiment.environment)
    tuned, windows = task.tuned.policy(experiment.environment), experiment.train.validation_windows
    return on_training_part(scenario, experiment.split.train, load_cluster_policy(folder), tuned, windows)


def _wandb_writer(experiment: ExperimentConfig, folder: Path) -> KVWriter:
    """Weights & Biases; the record keeps its run id, so that a resumed run stays one run there too."""
    from autoscaler.tracking import WandbWriter, new_run_id

    record = read_record(folder)
    if WANDB_ID not in record:
        record[WANDB_ID] = new_run_id()
        write_record(folder, record)
    return WandbWriter(experiment, folder, str(record[WANDB_ID]))


class _LogWriter(KVWriter):
    """Hands each entry of the learning curve to a function."""

    def __init__(self, on_log: Callable[[int, Mapping[str, float]], None]) -> None:
        self._on_log = on_log

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Hand over the numbers of an entry."""
        numbers = {name: value for name, value in key_values.items() if isinstance(value, (int, float, np.number))}
        self._on_log(step, {name: float(value) for name, value in numbers.items()})

    def close(self) -> None:
        """Do nothing."""
