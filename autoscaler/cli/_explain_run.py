"""The part of `autoscaler explain` that is about trained policies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from autoscaler.cli._common import write_json


def is_run(target: str) -> bool:
    """Whether a user means a trained policy and no object of a cluster."""
    from agents.pretrained import is_pretrained

    return is_pretrained(target) or Path(target).is_dir()


def explain_run(
    run: str, trace: str | None, overrides: Sequence[str], windows: int, json_to: str | None, quiet: bool
) -> None:
    """Print why a policy decides as it does, and which of its decisions paid."""
    from autoscaler.cli._table import print_columns
    from autoscaler.evaluation.insight.explanation import explain

    found = explain(run, trace=trace, overrides=overrides, windows=windows, progress=not quiet)
    if json_to is not None:
        write_json(found.document(), json_to)
    if json_to != "-":
        for table in found.tables():
            print_columns(*table)
        for sentence in found.sentences():
            typer.echo(sentence)
