"""How wrong predictions of run times and arrivals are on a trace: what `autoscaler traces predict` shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import traces
from traces.errors import TraceValueError
from traces.prediction import ArrivalErrors, RunTimeErrors, arrival_errors, run_time_errors

SCHEMA = "autoscaler.traces.prediction/1"
HORIZON_SECONDS = 3600.0


def measured(uri: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The errors of all predictors on a trace: the document for other tools, and rows for humans.

    Args:
        uri: of a trace of jobs.

    Raises:
        TraceError: it cannot be read.
    """
    trace = traces.load(uri)
    run_times = run_time_errors(trace)
    try:
        arrivals, problem = arrival_errors(trace, horizon_seconds=HORIZON_SECONDS), ""
    except TraceValueError as error:
        arrivals, problem = {}, str(error)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "uri": trace.uri,
        "jobs": trace.num_jobs,
        "run_times": {name: asdict(found) for name, found in run_times.items()},
        "arrivals": {name: asdict(found) for name, found in arrivals.items()},
        "horizon_seconds": HORIZON_SECONDS,
    }
    rows = [(f"run time by {name}", _run_time_text(found)) for name, found in run_times.items()]
    rows += [(f"jobs of the next hour, {name}", _arrival_text(found)) for name, found in arrivals.items()]
    return document, rows if not problem else [*rows, ("jobs of the next hour", problem)]


def _run_time_text(found: RunTimeErrors) -> str:
    if not found.covered:
        return "no job has one"
    return (
        f"of {found.covered:.1%} of the jobs; off by a factor of {found.median_factor:.2f} (median), "
        f"{found.within_two:.0%} within 2, {found.under:.0%} too short, mean error {found.mean_error_hours:.2f} h"
    )


def _arrival_text(found: ArrivalErrors) -> str:
    errors = f"mean error {found.mean_error:.1f} jobs, root mean square {found.rms_error:.1f}"
    return f"{errors}, explains {found.explained:.0%}"
