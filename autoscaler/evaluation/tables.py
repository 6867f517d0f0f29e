"""A comparison as tables of text."""

from __future__ import annotations

from typing import NamedTuple

from autoscaler.evaluation.comparison import Comparison, Result
from autoscaler.evaluation.formats import duration, number, percent


class Table(NamedTuple):
    """A table of text.

    Attributes:
        title: what it shows.
        header: names of the columns.
        rows: a text for each column.
    """

    title: str
    header: list[str]
    rows: list[list[str]]


def tables_of(comparison: Comparison) -> list[Table]:
    """Costs, energy and waits of all policies, cheapest first; then what happened to nodes and jobs, where it did."""
    moves = any(result.contender.policies[0].layout.consolidation for result in comparison.results.values())
    versus = [] if comparison.reference is None else [f"against {comparison.reference}"]
    header = [
        "policy",
        "USD per window",
        *versus,
        "decidable USD",
        *(["gap closed", "windows cheaper"] if versus else []),
        "energy, kWh",
        "mean wait",
        "p95 wait",
        "node-hours / bound",
    ]
    header += ["moves / job"] if moves else []
    windows = f"{len(comparison.windows)} windows" if len(comparison.windows) > 1 else "1 window"
    title = f"{comparison.scenario.trace.uri}: {windows}, means, cheapest first{_goal_text(comparison)}"
    tables = [Table(title, header, [_row(result, comparison.reference, moves) for result in comparison.ranking])]
    if comparison.incidents:
        rows = [[result.contender.name, *incident_texts(comparison, result)] for result in comparison.ranking]
        tables.append(Table("what happened, means per window", ["policy", *comparison.incidents.values()], rows))
    return tables


def _goal_text(comparison: Comparison) -> str:
    """What the gap counts against, where that is not the bound."""
    usd = comparison.clairvoyant_usd
    return "" if usd is None else f"; the gap is to {comparison.goal}: {usd[0]:,.2f} USD, decidable {number(usd[1])}"


def _row(result: Result, reference: str | None, moves: bool) -> list[str]:
    versus = [] if reference is None else ["reference"]
    if result.versus is not None:
        share = result.versus.objective_share
        interval = ""
        if share.low is not None and share.high is not None:
            interval = f" [{percent(share.low, signed=True)}, {percent(share.high, signed=True)}]"
        versus = [percent(share.mean, signed=True) + interval]
    estimates = result.estimates
    seeds = len(result.contender.policies)
    return [
        result.contender.name + (f" ({seeds} seeds)" if seeds > 1 else ""),
        f"{estimates['objective_usd'].mean:,.2f}",
        *versus,
        number(estimates["decidable_usd"].mean),
        *_gap(result, reference),
        number(estimates["energy_kwh.total"].mean),
        duration(estimates["metrics.wait_seconds.mean"].mean),
        duration(estimates["metrics.wait_seconds.p95"].mean),
        f"{estimates['metrics.node_hours_over_bound'].mean:.3f}",
        *([f"{estimates['metrics.moves_per_job'].mean:.3f}"] if moves else []),
    ]


def _gap(result: Result, reference: str | None) -> list[str]:
    if reference is None:
        return []
    if result.versus is None:
        return ["-", "-"]
    cheaper, count = int((result.versus.by_window < 0.0).sum()), len(result.versus.by_window)
    return [percent(result.versus.gap_closed.mean, signed=True), f"{cheaper} of {count}"]


def incident_texts(comparison: Comparison, result: Result) -> list[str]:
    """How much there was of each of `comparison.incidents` under a policy, mean over seeds and windows."""
    return [number(result.estimates[name].mean) for name in comparison.incidents]
