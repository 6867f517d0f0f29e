"""`autoscaler doctor`: what this installation is made of, what is wrong with it and how to fix that."""

from __future__ import annotations

from dataclasses import asdict

import typer

from autoscaler.cli._common import JsonOption, write_json


def command(json_to: JsonOption = None) -> None:
    """Check this installation and say how to fix what is wrong.

    Exits with 0 when nothing is wrong and with 1 otherwise.
    """
    from autoscaler import diagnosis

    findings = diagnosis.examine()
    if json_to is not None:
        write_json({"schema": diagnosis.SCHEMA, **asdict(findings)}, json_to)
    if json_to != "-":
        typer.echo(diagnosis.text(findings))
    raise typer.Exit(1 if findings.problems else 0)
