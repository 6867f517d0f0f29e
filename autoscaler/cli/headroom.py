"""`autoscaler headroom`: what a scenario has to win by setpoints, before anything is trained."""

from __future__ import annotations

from typing import Annotated

import typer

from autoscaler.cli._common import JsonOption, OverridesOption, QuietOption
from autoscaler.cli._names import ExperimentArgument


def command(
    config: ExperimentArgument,
    windows: Annotated[int, typer.Option(min=1, help="Equal windows that the tested part is cut into.")] = 5,
    hours: Annotated[float, typer.Option(min=0.01, help="How far the look-ahead sees.")] = 2.0,
    days: Annotated[
        int, typer.Option(min=1, help="Where arrivals are not known: expect those of so many days before.")
    ] = 3,
    overrides: OverridesOption = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Say what a scenario has to win by setpoints, before anything is trained.

    On the part of the trace that is not trained on, reactive-tuned is compared with a look-ahead that knows the jobs to
    come: at each decision it tries every setpoint in copies of the cluster and follows the cheapest. Two more know
    less: only the arrivals, or only the run times.
    """
    from autoscaler.cli._table import show
    from autoscaler.evaluation.clairvoyant import LookAhead
    from autoscaler.evaluation.headroom import headroom

    sight = LookAhead(3600.0 * hours, days=days)
    found = headroom(config, overrides=overrides or [], windows=windows, look_ahead=sight, progress=not quiet)
    show(found.document(), found.tables(), json_to)
