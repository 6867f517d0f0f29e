"""`autoscaler evaluate` with runs of an environment that is no GPU cluster."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from autoscaler.cli._table import show
from autoscaler.evaluation.environment_comparison import evaluate_environment


def show_comparison(
    runs: list[str], baselines: str, overrides: list[str], windows: int, seed: int, given: Mapping[str, object],
    record: str | None, json_to: str | None, quiet: bool,
) -> None:  # fmt: skip
    """Compare them and print it.

    Args:
        runs: folders.
        baselines: rules.
        overrides: changes of the arguments of the environment.
        windows: how many.
        seed: of the intervals.
        given: value of each option that only GPU clusters have, None where it was not given.
        record: folder of a recording.
        json_to: file of the document.
        quiet: print results and errors only.

    Raises:
        BadParameter: such an option was given.
    """
    for option, value in given.items():
        if value is not None:
            raise typer.BadParameter(f"{option} is only for runs of GPU clusters; leave it out")
    comparison = evaluate_environment(
        runs, baselines=baselines, overrides=overrides, windows=windows, seed=seed, record=record, progress=not quiet
    )
    show(comparison.document(), comparison.tables(), json_to)
