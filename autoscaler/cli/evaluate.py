"""`autoscaler evaluate`: compare policies with baselines and a bound; write a report."""

from __future__ import annotations

from typing import Annotated

import typer

from autoscaler.cli._common import (
    FigureOption,
    JsonOption,
    OverridesOption,
    QuietOption,
    RecordFromOption,
    RecordOption,
    RecordUntilOption,
    checked_output,
    recorded_stretch,
    write_json,
)
from autoscaler.cli._names import OtherTraceOption, RunsArgument


def command(
    runs: RunsArgument = None,
    trace: OtherTraceOption = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="auto, a YAML file or openb-nodes:PATH; else that of the run.")
    ] = None,
    baselines: Annotated[
        str,
        typer.Option("--baselines", metavar="NAMES", help="basic, literature, all, none, or rules."),
    ] = "basic",
    windows: Annotated[int, typer.Option(min=1, help="Equal windows that the tested part is cut into.")] = 5,
    start: Annotated[
        float | None, typer.Option("--from", help="Where it begins, as a fraction of the trace; else after training.")
    ] = None,
    until: Annotated[float, typer.Option("--until", help="Where it ends.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="For the intervals and for policies that draw at random.")] = 0,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference", help="clairvoyant: the gap counts against a look-ahead that knows the jobs to come."
        ),
    ] = None,
    overrides: OverridesOption = None,
    report: Annotated[
        str | None, typer.Option("--report", metavar="PATH", callback=checked_output, help="Write an HTML report.")
    ] = None,
    figure: FigureOption = None,
    record: RecordOption = None,
    record_from: RecordFromOption = None,
    record_until: RecordUntilOption = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Compare policies with baselines and a bound; write a report.

    Runs of Serverless-v0 and EdgeCity-v0 are compared with the rules of their environment, as a table and with --json.
    Every policy runs the same windows of the trace, by default of the part after the one that it was trained on, and
    brings its own codec. Costs are compared with those of reactive-tuned, which is tuned on the training part only.
    --set changes the environment, for example --set objective.usd_per_kwh=0.3.
    """
    stretch = recorded_stretch(record, record_from, record_until)
    from autoscaler.evaluation.environments import environment_of

    if environment_of(runs or []) is not None:
        given = {
            "--trace": trace, "--cluster": cluster, "--from": start, "--until": None if until == 1.0 else until,
            "--reference": reference, "--report": report, "--figure": figure,
            "--record-from": record_from, "--record-until": record_until,
        }  # fmt: skip
        from autoscaler.cli._evaluate_environment import show_comparison

        show_comparison(runs or [], baselines, overrides or [], windows, seed, given, record, json_to, quiet)
        return
    from autoscaler.evaluation.evaluate import evaluate

    comparison = evaluate(
        runs or [], baselines=baselines, trace=trace, cluster=cluster, overrides=overrides or [],
        windows=windows, start=start, until=until, seed=seed, reference=reference, progress=not quiet,
    )  # fmt: skip
    if report is not None:
        comparison.write_report(report)
    if figure is not None:
        comparison.write_figure(figure)
    if record is not None:
        comparison.write_recording(record, stretch=stretch)
    if json_to is not None:
        write_json(comparison.document(), json_to)
    if json_to != "-":
        from autoscaler.cli._table import print_columns
        from autoscaler.evaluation.report.words import headline
        from autoscaler.evaluation.tables import tables_of

        for table in tables_of(comparison):
            print_columns(*table)
        verdict = headline(comparison)
        typer.echo(f"{verdict.title}. {verdict.detail}")
