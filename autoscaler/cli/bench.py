"""`autoscaler bench`: the suite of named scenarios, and a grid of policies on them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from autoscaler.cli._common import FigureOption, JsonOption, QuietOption, write_json
from autoscaler.cli._lazy import plain_group

app = plain_group(help="Run policies on the suite of named scenarios, and compare them.", no_args_is_help=True)

ScenariosArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SCENARIO]...", help="Names, or YAML files; else all there are."),
]
DataOption = Annotated[
    str | None, typer.Option("--data", metavar="FOLDER", help="Folder of data files; else AUTOSCALER_DATA.")
]
OutOption = Annotated[str, typer.Option("--out", metavar="FOLDER", help="Folder of tasks and results.")]
POLICIES_HELP = "all (fixed rules), rules, agents, run folders; with commas between."
REFERENCE_HELP = "Compare with it; else tuned-combination or reactive-tuned."


@app.command("list")
def list_command(data: DataOption = None, json_to: JsonOption = None) -> None:
    """List the scenarios: fleet, regions, levers, prices, and whether their data are there."""
    from autoscaler.bench.listing import list_document, list_tables
    from autoscaler.cli._table import show

    document = list_document(data)
    show(document, list_tables(document), json_to)


@app.command("run")
def run_command(
    scenarios: ScenariosArgument = None,
    policies: Annotated[str, typer.Option(metavar="NAMES", help=POLICIES_HELP)] = "all",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each agent, runs of each stochastic rule.")] = 1,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="What runs the tasks.")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="Tasks at once; else one for each core.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster; else Ray is started here.")] = None,
    data: DataOption = None,
    out: OutOption = "runs/bench",
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run a grid of policies on scenarios; what is done already is not run again.

    After a kill the same command goes on. The path of the results is the only line on stdout.
    """
    from autoscaler.bench.grid import run_bench

    done = run_bench(
        scenarios or [], policies=policies, seeds=seeds, data=data, out=out, engine=engine, workers=workers,
        address=address, progress=not quiet,
    )  # fmt: skip
    if json_to is not None:
        write_json(done.document(), json_to)
    if json_to != "-":
        typer.echo(str(done.results))
    done.check()


@app.command("table")
def table_command(
    scenarios: ScenariosArgument = None,
    out: OutOption = "runs/bench",
    reference: Annotated[str | None, typer.Option(metavar="POLICY", help=REFERENCE_HELP)] = None,
    figure: FigureOption = None,
    json_to: JsonOption = None,
) -> None:
    """Compare policies over all scenarios: against the bound, against a reference, and what learning cost."""
    from autoscaler.bench.table import bench_table
    from autoscaler.cli._table import show

    table = bench_table(out, scenarios=scenarios or [], reference=reference)
    if figure is not None:
        from autoscaler.bench.picture import write_picture

        write_picture(table, figure)
    show(table.document(), table.tables(), json_to)
