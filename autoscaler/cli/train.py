"""`autoscaler train`: train a policy as an experiment config says, or resume a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from autoscaler.cli._common import OverridesOption, QuietOption
from autoscaler.cli._interrupts import stop_on_interrupt
from autoscaler.cli._lazy import INTERRUPTED
from autoscaler.cli._names import InitFromOption, OptionalExperimentArgument, OtherTraceOption
from autoscaler.progress import make_reporter


def command(
    config: OptionalExperimentArgument = None,
    trace: OtherTraceOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.", min=0)] = None,
    out: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
    name: Annotated[str | None, typer.Option(help="Name of the run folder; else agent, seed and time.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped, to the same bits.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Environment steps in all; with --resume, a finished run gets longer.")
    ] = None,
    init_from: InitFromOption = None,
    overrides: OverridesOption = None,
    quiet: QuietOption = False,
) -> None:
    """Train a policy as an experiment config says, or resume a run.

    Ctrl-C stops after the iteration in hand and saves; --resume goes on as if it had never stopped. The folder of the
    run is the only line on stdout.
    """
    if resume is not None and (overrides or any(value is not None for value in (config, trace, seed, name, init_from))):
        raise typer.BadParameter("--resume takes all but --steps from the run; leave out the config and all else")
    if resume is None and config is None:
        raise typer.BadParameter("give an experiment config, such as experiment/quickstart, or --resume RUN")
    from autoscaler.experiment import load_experiment
    from autoscaler.run_folder import named_folder, read_record

    experiment = None
    if resume is not None:
        read_record(resume)
    else:
        given = {"trace": trace, "seed": seed, "train.total_steps": steps, "train.init_from": init_from}
        changes = [f"{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
        experiment = load_experiment(config or "", [*(overrides or []), *changes])
    from autoscaler import training  # after what was named was found: it imports PyTorch

    reporter = make_reporter(not quiet)
    with stop_on_interrupt(reporter) as should_stop:
        hooks = training.Hooks(should_stop=should_stop)
        if experiment is not None:
            folder = named_folder(out, name, experiment.agent.name, experiment.seed)
            run = training.train(experiment, folder, hooks=hooks, progress=reporter)
        else:
            assert resume is not None
            run = training.resume(resume, steps=steps, hooks=hooks, progress=reporter)
    if not run.result.finished:
        reporter.note(f"stopped at {run.result.steps:,} steps; go on with: autoscaler train --resume {run.folder}")
        raise typer.Exit(INTERRUPTED)
    reporter.note(run.describe())
    if run.training_part is not None:
        reporter.note(run.training_part.describe())
    typer.echo(str(run.folder))
