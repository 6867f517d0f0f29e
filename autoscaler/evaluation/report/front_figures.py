"""Figures about what can be had: the front over the price of waiting, and the share of the gap that is closed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from autoscaler.evaluation.comparison import Comparison, Result
from autoscaler.evaluation.formats import percent
from autoscaler.evaluation.fronts import Front, money_usd
from autoscaler.evaluation.report.figures import TICKS, WIDTH_INCHES, Colours
from autoscaler.evaluation.report.style import INK, MUTED, SERIES, plain_axis
from autoscaler.evaluation.report.timeaxis import set_duration_axis

GAP_REACH = 1.0
"""The axis of the gap runs from as much worse to all of it closed."""


def pareto(comparison: Comparison, front: Front, colours: Colours) -> Figure:
    """Energy, carbon and money of a window against the 95th percentile of waits: fixed rules, and all policies.

    Args:
        comparison: gives the policies.
        front: of the fixed rules.
        colours: of the policies.
    """
    quantities = [("energy, kWh", front.kwh, [_mean(each, "energy_kwh.total") for each in comparison.ranking])]
    if front.kg.any():
        name = "carbon, kgCO2e" if counts_carbon_of_energy(comparison) else "carbon of making nodes, kgCO2e"
        quantities.append((name, front.kg, [_mean(each, "carbon_kg.total") for each in comparison.ranking]))
    quantities.append(("money, USD", front.usd, [money_usd(each) for each in comparison.ranking]))
    figure = Figure(figsize=(WIDTH_INCHES, 4.0), layout="constrained")
    panels = figure.subplots(1, len(quantities), sharey=True, squeeze=False)[0]
    waits = [_mean(each, "metrics.wait_seconds.p95") for each in comparison.ranking]
    set_duration_axis(panels[0], 1.12 * max(1.0, *waits, float(front.p95_seconds.max())))
    price = comparison.scenario.config.objective.usd_per_gpu_hour
    here = max(int(np.searchsorted(front.weights_usd, price, side="right")) - 1, 0)
    shown = [colours[each.contender.name] for each in comparison.ranking]
    for axes, (name, values, own) in zip(panels, quantities, strict=True):
        _panel(axes, values, front.p95_seconds, own, waits, shown)
        axes.plot(values[here], front.p95_seconds[here], "o", color=MUTED, markersize=4.5, zorder=2.5)
        axes.set_xlabel(f"{name} of a window")
    panels[0].set_ylabel("95th percentile of waits")
    handles = panels[0].get_lines()
    names = [
        "fixed rules, the cheapest for each price of waiting",
        *(each.contender.name for each in comparison.ranking),
    ]
    figure.legend(handles[: len(names)], names, loc="outside upper left", ncols=3, handlelength=1.4, columnspacing=1.6)
    return figure


def _panel(
    axes: Axes,
    front: NDArray[np.float64],
    front_waits: NDArray[np.float64],
    values: Sequence[float],
    waits: Sequence[float],
    colours: Sequence[int],
) -> None:
    axes.plot(front, front_waits, "-o", color=MUTED, linewidth=1.2, markersize=3.5, markerfacecolor="none", zorder=2)
    lowest = min(float(front.min()), *values)
    near = [value for value in [*front.tolist(), *values] if value <= 1.4 * lowest] or [lowest]
    span = max(max(near) - lowest, 0.02 * lowest, 1e-9)
    limit = max(near) + 0.12 * span
    for value, wait, colour in zip(values, waits, colours, strict=True):
        beyond = value > limit
        marker = ">" if beyond else "o"
        axes.plot(min(value, limit), wait, marker, color=SERIES[colour], markersize=8, clip_on=False, zorder=3)
    axes.set_xlim(lowest - 0.08 * span, limit)
    axes.xaxis.set_major_formatter(TICKS)
    axes.locator_params(axis="x", nbins=5)


def counts_carbon_of_energy(comparison: Comparison) -> bool:
    """Whether the carbon of energy is known anywhere, beside that of making the nodes."""
    config = comparison.scenario.config
    known = config.objective.carbon_g_per_kwh is not None
    return known or any(region.carbon is not None for region in config.regions)


def _mean(result: Result, name: str) -> float:
    return result.estimates[name].mean


def gap_rows(comparison: Comparison) -> list[Result]:
    """The policies of which it is known how much of the gap they close, the most first."""
    rows = [result for result in comparison.ranking if result.versus is not None]
    known = [result for result in rows if result.versus is not None and np.isfinite(result.versus.gap_closed.mean)]
    return sorted(known, key=lambda result: -result.versus.gap_closed.mean if result.versus is not None else 0.0)


def gap_closed(comparison: Comparison, colours: Colours) -> Figure:
    """The share of the gap between the reference and `comparison.goal` that each policy closes, with its interval.

    Args:
        comparison: with a reference and a bound.
        colours: of the policies.
    """
    rows = gap_rows(comparison)
    figure = Figure(figsize=(WIDTH_INCHES, 1.05 + 0.42 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0.0, color=INK, linewidth=1.0)
    axes.axvline(100.0, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)))
    for at, result in enumerate(reversed(rows)):
        _gap_row(axes, at, result, SERIES[colours[result.contender.name]])
    axes.set_yticks(range(len(rows)), [result.contender.name for result in reversed(rows)])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(-100.0 * GAP_REACH * 1.05, 128.0)
    axes.set_xticks([-100, -50, 0, 50, 100])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %".replace("-", "−")))
    axes.set_xlabel(f"share of the gap that is closed (0: {comparison.reference}, 100 %: {comparison.goal})")
    plain_axis(axes, grid="x")
    return figure


def _gap_row(axes: Axes, at: int, result: Result, colour: str) -> None:
    assert result.versus is not None
    share = result.versus.gap_closed
    axes.text(104.0, at, percent(share.mean, signed=True), va="center", color=INK)
    if share.mean < -GAP_REACH:
        arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1.6}
        axes.annotate("", (-100.0 * GAP_REACH, at), (-86.0 * GAP_REACH, at), arrowprops=arrow)
        return
    axes.barh(at, 100.0 * share.mean, height=0.5, color=colour, alpha=0.35)
    if share.low is not None and share.high is not None:
        ends = np.clip([share.low, share.high], -GAP_REACH, 1.0) * 100.0
        axes.plot(ends, [at, at], color=colour, linewidth=3.0, alpha=0.8)
    axes.plot(100.0 * share.mean, at, "o", color=colour, markersize=6.5)
