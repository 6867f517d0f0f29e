"""Figures about why a policy decides as it does: what moves its choices, and what it chooses over load and hour."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from autoscaler.evaluation.insight.choices import HOURS, DecisionMap, reserve_text, timeout_text
from autoscaler.evaluation.insight.influence import Influence
from autoscaler.evaluation.insight.moments import RESERVES, TIMEOUTS
from autoscaler.evaluation.report.figures import WIDTH_INCHES
from autoscaler.evaluation.report.style import INK, MUTED, SERIES, plain_axis

SHOWN = 12
BAR = 0.36
PALEST, DARKEST = 0.06, 0.6
"""Opacity of a cell, so that its text can be read on a light and on a dark page."""


def what_moves(influences: list[Influence]) -> Figure:
    """Bars for each feature: choices by which it moves time-out and reserve, or the decisions that hang on it."""
    shown = influences[:SHOWN][::-1]
    figure = Figure(figsize=(WIDTH_INCHES, 0.9 + 0.34 * len(shown)), layout="constrained")
    axes = figure.subplots()
    at = np.arange(len(shown))
    if all(entry.timeout is not None for entry in shown):
        axes.barh(at + BAR / 2, [entry.timeout or 0.0 for entry in shown], BAR, color=SERIES[0], label="time-out")
        axes.barh(at - BAR / 2, [entry.reserve or 0.0 for entry in shown], BAR, color=SERIES[1], label="reserve")
        axes.axvline(0.0, color=INK, linewidth=1.0)
        axes.set_xlabel("choices by which it rises when the feature is one standard deviation higher")
    else:
        axes.barh(at + BAR / 2, [100.0 * entry.changed for entry in shown], BAR, color=SERIES[0], label="setpoints")
        axes.barh(at - BAR / 2, [100.0 * entry.placed for entry in shown], BAR, color=SERIES[1], label="placements")
        axes.set_xlabel("% of the decisions that change when the feature is exchanged between moments")
    axes.set_yticks(at, [entry.feature for entry in shown])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.legend(loc="lower right")
    plain_axis(axes, grid="x")
    return figure


def chosen_when(chosen: DecisionMap, heuristic: tuple[int, int]) -> Figure:
    """Two maps over load and hour: the median time-out and reserve.

    Args:
        chosen: the medians.
        heuristic: time-out and reserve of the tuned heuristic; cells with its choice have a frame.
    """
    figure = Figure(figsize=(WIDTH_INCHES, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _map(left, chosen.timeouts, TIMEOUTS - 1, timeout_text, heuristic[0])
    _map(right, chosen.reserves, RESERVES, reserve_text, heuristic[1])
    left.set_title("Idle nodes go after")
    right.set_title("Reserve of the demand")
    left.set_yticks(range(len(chosen.timeouts)), chosen.row_names())
    left.set_ylabel("GPUs at work")
    for axes in (left, right):
        axes.set_xlabel("hour of the day")
    return figure


def _map(axes: Axes, indices: NDArray[np.int64], most: int, text: Callable[[int], str], heuristic: int) -> None:
    rows, columns = indices.shape
    for row, column in np.ndindex(rows, columns):
        index = int(indices[row, column])
        if index < 0:
            axes.text(column, row, "–", ha="center", va="center", color=MUTED, fontsize=8)
            continue
        opacity = PALEST + (DARKEST - PALEST) * index / most
        corner = (column - 0.48, row - 0.46)
        axes.add_patch(Rectangle(corner, 0.96, 0.92, facecolor=SERIES[0], alpha=opacity, linewidth=0.0))
        if index == heuristic:
            axes.add_patch(Rectangle(corner, 0.96, 0.92, fill=False, edgecolor=SERIES[1], linewidth=1.2))
        axes.text(column, row, text(index), ha="center", va="center", color=INK, fontsize=8)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(-0.5, rows - 0.5)
    axes.set_xticks(range(columns), [f"{HOURS * column:02d}–{HOURS * (column + 1):02d}" for column in range(columns)])
    axes.grid(visible=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
