"""`autoscaler envs`: which environments there are, and whether one keeps Gymnasium's rules."""

from __future__ import annotations

from typing import Annotated

import typer

from autoscaler.cli._common import JsonOption, QuietOption, write_json

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_command(json_to: JsonOption = None) -> None:
    """List the environments by id."""
    from envs.registry import ENVIRONMENTS

    document = {
        "schema": "autoscaler.envs/1",
        "environments": [
            {"id": env_id, "entry_point": spec["entry_point"], "arguments": spec.get("kwargs", {})}
            for env_id, spec in ENVIRONMENTS.items()
        ],
    }
    if json_to is not None:
        write_json(document, json_to)
    if json_to != "-":
        for env_id, spec in ENVIRONMENTS.items():
            typer.echo(f"{env_id:<36}{spec['entry_point']}")


@app.command("check")
def check_command(
    env_id: Annotated[str, typer.Argument(metavar="ID", help="See `autoscaler envs list`; or module:ID.")],
    steps: Annotated[int, typer.Option(help="Steps to play.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Of the episodes and the actions.", min=0)] = 0,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Play an environment with random valid actions, twice, and check what Gymnasium promises.

    Observations lie in their space, rewards are finite numbers, and the same seed gives the same episodes to the bit.
    """
    from autoscaler.environments import check_environment

    document = check_environment(env_id, steps, seed)
    if json_to is not None:
        write_json(document, json_to)
    if json_to != "-" and not quiet:
        from autoscaler.cli._table import print_pairs

        print_pairs(env_id, [(name, str(value)) for name, value in document.items() if name not in ("schema", "id")])
