"""`autoscaler train`: train a policy as an experiment config says, or resume a run."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoscaler.cli._common import OverridesOption, QuietOption, note
from autoscaler.cli._progress import progress

if TYPE_CHECKING:
    from agents.sb3.training import Result, Task
    from autoscaler.experiment import ExperimentConfig

INTERRUPTED = 130


def command(
    config: Annotated[
        str | None, typer.Argument(help="An experiment: a YAML file or a preset, such as experiment/quickstart.")
    ] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", metavar="URI", help="Train on this trace instead of the config's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.", min=0)] = None,
    out: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
    name: Annotated[str | None, typer.Option(help="Name of the run folder; else agent, seed and time.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped, to the same bits.")
    ] = None,
    overrides: OverridesOption = None,
    quiet: QuietOption = False,
) -> None:
    """Train a policy as an experiment config says, or resume a run.

    Ctrl-C stops after the iteration in hand and saves; --resume goes on as if it had never stopped. The folder of the
    run is the only line on stdout.
    """
    if resume is not None:
        if overrides or any(value is not None for value in (config, trace, seed, name)):
            raise typer.BadParameter("--resume takes everything from the run; leave out the config and all else")
        folder, experiment = resume, _saved_experiment(resume)
    else:
        if config is None:
            raise typer.BadParameter("give an experiment config, such as experiment/quickstart, or --resume RUN")
        experiment = _experiment(config, trace, seed, overrides or [])
        from autoscaler.experiment import new_run_folder

        folder = new_run_folder(out, name, experiment.agent.name, experiment.seed)
    result = _train(experiment, folder, resume is not None, quiet)
    if not result.finished:
        note(f"stopped at {result.steps:,} steps; go on with: autoscaler train --resume {folder}", quiet)
        raise typer.Exit(INTERRUPTED)
    gain = 1.0 - result.best_usd / result.tuned_usd
    note(
        f"validation: {result.best_usd:.2f} USD per training window beside the energy of busy GPUs, "
        f"reactive-tuned {result.tuned_usd:.2f} ({-gain:+.1%})",
        quiet,
    )
    typer.echo(str(folder))


def _experiment(source: str, trace: str | None, seed: int | None, overrides: list[str]) -> ExperimentConfig:
    from autoscaler.experiment import ExperimentConfig
    from configs.loader import load_config

    more = [f"trace={json.dumps(trace)}"] if trace is not None else []
    more += [f"seed={seed}"] if seed is not None else []
    return load_config(source, ExperimentConfig, [*overrides, *more])


def _saved_experiment(folder: Path) -> ExperimentConfig:
    from autoscaler.experiment import CONFIG, ExperimentConfig, ExperimentError
    from configs.loader import load_config

    if not (folder / CONFIG).is_file():
        raise ExperimentError(f"{folder}: is no run folder (it has no {CONFIG}); give the folder that train printed")
    return load_config(folder / CONFIG, ExperimentConfig)


def _train(experiment: ExperimentConfig, folder: Path, resume: bool, quiet: bool) -> Result:
    """Prepare everything that can fail first, then make the folder and train."""
    from autoscaler.experiment import CONFIG
    from configs.loader import dump_yaml

    task = _task(experiment, folder if resume else None, quiet)
    if not resume:
        folder.mkdir(parents=True)
    try:
        if not resume:
            dump_yaml(experiment, folder / CONFIG)
            _write_record(folder, _new_record(task))
        result = _run(experiment, task, folder, resume, quiet)
        _write_record(folder, {**_read_record(folder), "result": asdict(result)})
        return result
    except BaseException:
        # A new folder in which nothing could be used goes; one that was there before is never touched.
        if not resume and not any((folder / "checkpoints").glob("step-*")):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _task(experiment: ExperimentConfig, saved: Path | None, quiet: bool) -> Task:
    """Load the trace, tune the heuristic on the training window and describe the training."""
    from dataclasses import replace

    import traces
    from agents.baselines.tuned import Tuned, tune
    from agents.sb3.training import Task
    from autoscaler.experiment import RUN, ExperimentError
    from configs.loader import to_yaml
    from envs.gpu_cluster.config import PACKERS
    from envs.gpu_cluster.episodes import equal_episodes
    from envs.gpu_cluster.simulator.problem import make_problem

    trace = traces.load(experiment.trace)
    cluster = experiment.described_cluster(trace)
    start, end = experiment.training_window(trace)
    windows = experiment.train.validation_windows
    if saved is not None:
        try:
            tuned = Tuned.from_dict(_read_record(saved)["tuned"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ExperimentError(f"{saved / RUN}: its tuned heuristic cannot be read; train anew") from error
    else:
        with progress("tune the heuristic", len(PACKERS), "packers", quiet=quiet) as bar:
            tuned = tune(trace, cluster, experiment.environment, start, end, windows, bar.advance)
        note(f"reactive-tuned: {tuned.describe()}", quiet)
    config = replace(experiment.environment, packer=tuned.packer)
    problem = make_problem(trace.window(None, end), cluster, config)
    validation = equal_episodes(problem, start, end, windows)
    return Task(experiment.agent, experiment.train, problem, validation, tuned, experiment.seed, to_yaml(experiment))


def _run(experiment: ExperimentConfig, task: Task, folder: Path, resume: bool, quiet: bool) -> Result:
    from agents.sb3.training import Hooks, train

    writers = _wandb_writers(experiment, folder)
    with _interrupt_flag(quiet) as interrupted, progress("train", task.train.total_steps, quiet=quiet) as bar:
        return train(task, folder, Hooks(bar.advance, lambda: bool(interrupted), writers), resume)


@contextmanager
def _interrupt_flag(quiet: bool) -> Iterator[list[int]]:
    """A list that the first Ctrl-C fills; the second one interrupts at once."""
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        note("stopping after this iteration; press Ctrl-C again to stop at once", quiet)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _wandb_writers(experiment: ExperimentConfig, folder: Path) -> tuple[Any, ...]:
    if experiment.logging.wandb == "off":
        return ()
    from autoscaler.tracking import WandbWriter

    return (WandbWriter(experiment, folder),)


def _new_record(task: Task) -> dict[str, Any]:
    from autoscaler.evaluation.provenance import provenance

    return {"schema": "autoscaler.run/1", "provenance": provenance(), "tuned": task.tuned.to_dict()}


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    from autoscaler.experiment import RUN
    from configs.files import write_text

    write_text(folder / RUN, json.dumps(record, indent=2) + "\n")


def _read_record(folder: Path) -> dict[str, Any]:
    from autoscaler.experiment import RUN, ExperimentError

    try:
        record: dict[str, Any] = json.loads((folder / RUN).read_text())
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{folder / RUN}: cannot be read ({error}); the run folder is damaged") from error
    return record
