"""A day of decisions over the signal: how clean or expensive energy was, where it was used, and what waited."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from autoscaler.evaluation.comparison import Comparison
from autoscaler.evaluation.report.course_figures import draw_queue
from autoscaler.evaluation.report.figures import TICKS, WIDTH_INCHES, Colours
from autoscaler.evaluation.report.style import PLACES
from autoscaler.evaluation.report.timeaxis import set_time_axis
from autoscaler.evaluation.timeline import course, pool_watts
from envs.gpu_cluster.accounting import AMOUNTS, SPENDINGS
from envs.gpu_cluster.simulator.problem import Problem

STRETCHES = 288
"""Means that a day is drawn with: one for each five minutes."""

USED = AMOUNTS.index("used_milli_ms")
SIGNALS = (("carbon_g", "Carbon intensity, gCO2e/kWh"), ("energy_usd", "Price of energy, USD/kWh"))


def signals_of(problem: Problem, spending: str) -> dict[str, NDArray[np.float64]]:
    """What a kWh emits or costs in each region, for each piece of the tariff; nothing where none of them ever changes.

    Args:
        problem: with its prices.
        spending: of `envs.gpu_cluster.accounting.SPENDINGS`.
    """
    tariff = problem.prices.tariff
    found: dict[str, NDArray[np.float64]] = {}
    for index, pool in enumerate(problem.cluster.pools):
        spent = tariff.spending_rates[:, index, USED]
        rates = spent[:, SPENDINGS.index(spending)] / spent[:, SPENDINGS.index("kwh")]
        found.setdefault(pool.region or pool.name, rates)
    return found if any(np.ptp(rates) > 0.0 for rates in found.values()) else {}


def day_of_decisions(
    comparison: Comparison, names: Sequence[str], window: int, span: tuple[float, float], colours: Colours
) -> Figure | None:
    """Signals of the regions, power by region of each policy, and the queue; None where no signal changes.

    Args:
        comparison: with timelines.
        names: policies to show.
        window: index of the window.
        span: from when to when, ms.
        colours: of the policies.
    """
    problem = comparison.scenario.problem()
    drawn = [(title, signals_of(problem, spending)) for spending, title in SIGNALS]
    drawn = [(title, signals) for title, signals in drawn if signals]
    if not drawn:
        return None
    heights = [*(1.0 for _ in drawn), *(1.1 for _ in names), 0.9]
    figure = Figure(figsize=(WIDTH_INCHES, 0.7 + 1.35 * sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    places = {place: index for index, place in enumerate(dict.fromkeys(_places(problem)))}
    for axes, (title, signals) in zip(panels, drawn, strict=False):
        _signals(axes, signals, problem.prices.tariff.edges_ms, span, places)
        axes.set_title(title)
    edges = np.linspace(*span, STRETCHES + 1)
    _powers(panels[len(drawn) : -1], comparison, names, window, edges, places)
    timelines = {name: comparison.results[name].timelines[window] for name in names}
    draw_queue(panels[-1], {name: course(each, problem.cluster, edges) for name, each in timelines.items()}, colours)
    for axes in panels:
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(TICKS)
    set_time_axis(panels[-1], comparison.scenario.trace.metadata.start_time, *span)
    return figure


def _places(problem: Problem) -> list[str]:
    return [pool.region or pool.name for pool in problem.cluster.pools]


def _signals(
    axes: Axes,
    signals: dict[str, NDArray[np.float64]],
    edges_ms: NDArray[np.int64],
    span: tuple[float, float],
    places: dict[str, int],
) -> None:
    first, last = np.searchsorted(edges_ms, span, side="right").tolist()
    pieces = slice(max(first - 1, 0), max(last, first))
    edges = np.append(np.maximum(edges_ms[pieces], span[0]), span[1])
    top = 0.0
    for place, values in signals.items():
        shown = values[pieces]
        top = max(top, float(shown.max()))
        axes.stairs(shown, edges, baseline=None, color=PLACES[places[place] % len(PLACES)], linewidth=1.6, label=place)
    axes.set_ylim(0.0, 1.3 * top)
    axes.legend(loc="upper right", ncols=len(signals), handlelength=1.4, columnspacing=1.4)


def _powers(
    panels: Sequence[Axes],
    comparison: Comparison,
    names: Sequence[str],
    window: int,
    edges: NDArray[np.float64],
    places: dict[str, int],
) -> None:
    """Power of each policy, stacked by region, on one scale."""
    cluster, of_pool = comparison.scenario.cluster, _places(comparison.scenario.problem())
    highest = 0.0
    for axes, name in zip(panels, names, strict=True):
        watts = pool_watts(comparison.results[name].timelines[window], cluster, edges) / 1000.0
        stacked = [watts[:, [other == place for other in of_pool]].sum(axis=1) for place in places]
        highest = max(highest, float(sum(stacked).max()))
        steps = [np.append(values, values[-1]) for values in stacked]
        colours = [PLACES[index % len(PLACES)] for index in places.values()]
        axes.stackplot(edges, steps, colors=colours, step="post", linewidth=0.0, alpha=0.75)
        axes.set_title(f"Power under {name}, kW")
    for axes in panels:
        axes.set_ylim(0.0, max(1.1 * highest, 1.0))
