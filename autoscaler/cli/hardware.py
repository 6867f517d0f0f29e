"""`autoscaler hardware`: power, price, boot and embodied carbon of GPUs and machines, with their sources."""

from __future__ import annotations

from typing import Annotated

import typer

from autoscaler.cli._common import JsonOption, write_json

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A GPU model or a shape; see `hardware list`.")]


@app.command("list")
def list_command(json_to: JsonOption = None) -> None:
    """List machines. A number after ~ is modelled, one after ? assumed; `hardware show` has the sources."""
    from autoscaler.hardware_tables import LIST_HEADER, list_document, list_rows

    if json_to is not None:
        write_json(list_document(), json_to)
    if json_to != "-":
        from autoscaler.cli._table import print_columns

        print_columns("hardware (~ modelled, ? assumed)", LIST_HEADER, list_rows())


@app.command("show")
def show_command(
    name: NameArgument,
    pool: Annotated[bool, typer.Option("--pool", help="Print it as YAML, for cluster.pools.")] = False,
    nodes: Annotated[int, typer.Option(help="With --pool: most nodes.", min=1)] = 8,
) -> None:
    """Show every figure of a GPU model or machine with its source."""
    from autoscaler.hardware_tables import pool_document, show_rows
    from envs.gpu_cluster.hardware import find_hardware

    if pool:
        import yaml

        typer.echo(yaml.safe_dump([pool_document(name, nodes)], sort_keys=False), nl=False)
        return
    from autoscaler.cli._table import print_pairs

    gpu, shape = find_hardware(name)
    print_pairs(shape.name, show_rows(gpu, shape))


@app.command("check")
def check_command(
    name: NameArgument,
    measurements: Annotated[str, typer.Argument(metavar="URI", help="Such as `zeus:summary_power_v100.csv`.")],
) -> None:
    """Compare the power under caps with measurements, point by point."""
    from autoscaler.cli._table import print_columns
    from autoscaler.hardware_tables import error_rows
    from envs.gpu_cluster.hardware import check_caps, find_hardware

    gpu, _ = find_hardware(name)
    errors = check_caps(gpu, f"{measurements}{'&' if '?' in measurements else '?'}gpu_model={gpu.model}")
    header = ("error of the power", *(f"{watts} W" for watts in errors.cap_watts))
    print_columns(f"{gpu.model}: median error under a cap {errors.median:.1%}", header, error_rows(errors))
