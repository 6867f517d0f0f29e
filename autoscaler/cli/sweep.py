"""`autoscaler sweep`: search hyperparameters with Optuna."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoscaler.cli._common import JsonOption, OverridesOption, QuietOption, write_json
from autoscaler.cli._interrupts import stop_on_interrupt
from autoscaler.cli._lazy import INTERRUPTED
from autoscaler.progress import make_reporter


def command(
    config: Annotated[str, typer.Argument(help="An experiment with a section `sweep`: a YAML file or a preset.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all; those that are there already count.")],
    out: Annotated[Path, typer.Option(help="Folder of sweeps.")] = Path("runs"),
    name: Annotated[str, typer.Option(help="Name of the sweep's folder; one that is there goes on.")] = "sweep",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each trial; its score is their mean.")] = 1,
    overrides: OverridesOption = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Search hyperparameters with Optuna: each trial is a training, scored on the training part of the trace.

    The section `sweep` of the config lists ranges by dotted key, such as `agent.learning_rate: {low: 1.0e-4, high:
    3.0e-3, log: true}`. Bad trials are pruned. The same command goes on after Ctrl-C, and several of them may share the
    work. The config of the best trial is the only line on stdout.
    """
    from autoscaler.run_folder import checked_name
    from autoscaler.sweeps.study import sweep

    reporter, folder = make_reporter(not quiet), out / checked_name(name)
    with stop_on_interrupt(reporter) as should_stop:
        report = sweep(
            config, folder, trials=trials, seeds=seeds, overrides=overrides or [], should_stop=should_stop,
            progress=reporter,
        )  # fmt: skip
        stopped = should_stop()
    if json_to is not None:
        write_json(report.document(), json_to)
    if stopped:
        reporter.note("stopped; the same command goes on")
        raise typer.Exit(INTERRUPTED)
    if not quiet:
        from autoscaler.cli._table import print_columns

        print_columns(f"{folder}: validation on the training part", *report.rows(), stderr=True)
    if json_to != "-" and report.best_config is not None:
        typer.echo(str(report.best_config))
