"""The results of a grid in one picture: the gap that policies close by scenario, and their performance profiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from autoscaler.bench.errors import BenchError
from autoscaler.bench.table import THRESHOLDS, BenchTable, PolicySummary
from autoscaler.evaluation.report.picture import BACKGROUND, save_picture
from autoscaler.evaluation.report.style import DASHES, INK, MUTED, SERIES, figure_style

MOST_POLICIES = 6
"""Policies in the picture: those that ran in all scenarios, best first; colours that can be told apart are few."""

WORST_GAP, BEST_GAP = -0.3, 0.3
"""Ends of the axis; policies beyond it have an arrow."""


def draw(table: BenchTable) -> Figure:
    """The gap closed by scenario, beside the performance profiles.

    Args:
        table: of at least two policies.

    Raises:
        BenchError: no policy has a profile, or nobody to be compared with.
    """
    whole = [each for each in table.policies if each.profile is not None and each.scenarios == len(table.scenarios)]
    shown = whole[:MOST_POLICIES]
    if not shown or table.reference is None:
        raise BenchError(f"{table.results}: no policy ran in all scenarios beside a reference; nothing can be drawn")
    figure = Figure(
        figsize=(11.0, 1.3 + 0.42 * max(len(table.scenarios), 5)), layout="constrained", facecolor=BACKGROUND
    )
    gaps, profiles = figure.subplots(1, 2, width_ratios=(1.35, 1.0))
    _draw_gaps(gaps, shown, list(table.scenarios))
    gaps.set_xlabel(f"share of the gap to the bound that {table.reference} leaves (right: better)")
    gaps.set_title("Gap closed, by scenario", color=INK)
    _draw_profiles(profiles, shown)
    figure.legend(*profiles.get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=2.2)
    return figure


def _draw_gaps(axes: Axes, shown: Sequence[PolicySummary], scenarios: Sequence[str]) -> None:
    axes.axvline(0.0, color=INK, linewidth=1.0)
    for row, scenario in enumerate(reversed(scenarios)):
        for number, summary in reversed(list(enumerate(shown))):  # the best is drawn last, above the others
            gap = summary.by_scenario[scenario].gap_closed
            if np.isnan(gap):
                continue
            beyond = not WORST_GAP <= gap <= BEST_GAP
            marker = ("<" if gap < 0.0 else ">") if beyond else "o"
            place = float(np.clip(gap, WORST_GAP, BEST_GAP))
            axes.plot(place, row, marker, color=SERIES[number], markersize=8.0 if number == 0 else 5.5, clip_on=False)
    axes.set_yticks(range(len(scenarios)), list(reversed(scenarios)))
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(-0.6, len(scenarios) - 0.4)
    axes.set_xlim(WORST_GAP * 1.04, BEST_GAP * 1.04)
    axes.grid(visible=True, axis="y", color=MUTED, alpha=0.15)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.0%}".replace("-", "−") if value else "0"))


def _draw_profiles(axes: Axes, shown: Sequence[PolicySummary]) -> None:
    over = np.array(THRESHOLDS) - 1.0
    for number, summary in enumerate(shown):
        assert summary.profile is not None
        shares = summary.profile.shares
        axes.plot(over, shares, color=SERIES[number], linestyle=DASHES[number], label=summary.name)
    axes.set_xscale("log")
    marks = over[::2]
    axes.set_xticks(marks, [f"{each:.0%}" for each in marks])
    axes.minorticks_off()
    axes.set_ylim(0.0, 1.02)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes.set_xlabel("cost above the bound, at most")
    axes.set_title("Share of windows", color=INK)


def write_picture(table: BenchTable, path: str | Path) -> None:
    """Write the picture; the file appears whole or not at all.

    Args:
        table: of at least two policies.
        path: the file; its name ends in .png or .svg.

    Raises:
        BenchError: nothing can be drawn.
        EvaluationError: the name ends in neither.
        OutputFileError: the file cannot be written.
    """
    with figure_style():
        save_picture(draw(table), path)
