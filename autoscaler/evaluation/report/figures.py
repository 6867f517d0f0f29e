"""The figures that compare policies: cost against the reference, energy against wait, energy parts, waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from autoscaler.evaluation.comparison import EXCEEDANCE, Comparison, Result
from autoscaler.evaluation.formats import number, percent
from autoscaler.evaluation.report.style import DASHES, INK, MUTED, PARTS, SERIES, plain_axis, spread_labels
from autoscaler.evaluation.report.timeaxis import DURATION_TICKS, set_duration_axis
from autoscaler.evaluation.report.words import main_result
from autoscaler.evaluation.statistics import Estimate

WIDTH_INCHES = 9.0
PART_NAMES = ("busy", "fragmentation", "idle", "boot", "off")
TICKS = FuncFormatter(lambda value, _: f"{value:,.10g}")
Colours = dict[str, int]
"""Policy -> index into `style.SERIES`."""


def cost_against_reference(comparison: Comparison, colours: Colours) -> Figure:
    """The paired difference of the objective to the reference, per cent, with its interval and every window."""
    rows = [result for result in comparison.ranking if result.versus is not None]
    reach = _reach(rows, comparison)
    figure = Figure(figsize=(WIDTH_INCHES, 0.75 + 0.42 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0.0, color=INK, linewidth=1.0)
    for at, result in enumerate(reversed(rows)):
        _difference_row(axes, at, result, comparison, SERIES[colours[result.contender.name]], reach)
    axes.set_yticks(range(len(rows)), [result.contender.name for result in reversed(rows)])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(-reach * 1.05, reach * 1.3)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g} %".replace("-", "−") if value else "0"))
    axes.set_xlabel(f"cost against {comparison.reference} (left: cheaper)")
    plain_axis(axes, grid="x")
    return figure


def _reach(rows: Sequence[Result], comparison: Comparison) -> float:
    """Half the width of the axis, per cent: the main policy fits, others get an arrow where they would squeeze it."""
    ends = {}
    for result in rows:
        assert result.versus is not None
        share = result.versus.objective_share
        windows = window_differences(result, comparison)
        ends[result.contender.name] = max(
            float(np.abs(windows).max()), *(100.0 * abs(end) for end in share if end is not None)
        )
    # A policy that costs what the reference costs says nothing about the scale: the nearest other one does.
    first = ends.get(main_result(comparison).contender.name) or min((end for end in ends.values() if end), default=0.0)
    return max([first, 0.1, *(end for end in ends.values() if end <= max(2.5 * first, 5.0))])


def window_differences(result: Result, comparison: Comparison) -> NDArray[np.float64]:
    """[W] float64, cost of each window against the reference, per cent, means over seeds."""
    assert comparison.reference is not None
    ours, base = result.values["objective_usd"], comparison.results[comparison.reference].values["objective_usd"]
    differences: NDArray[np.float64] = 100.0 * (ours.mean(axis=0) / base.mean(axis=0) - 1.0)
    return differences


def _difference_row(axes: Axes, at: int, result: Result, comparison: Comparison, colour: str, reach: float) -> None:
    assert result.versus is not None
    share = result.versus.objective_share
    text = percent(share.mean, signed=True)
    if 100.0 * share.mean > reach:
        axes.annotate(
            "", (reach * 1.04, at), (reach * 0.9, at), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.6}
        )
        axes.text(reach * 1.07, at, text, va="center", color=INK)
        return
    windows = window_differences(result, comparison)
    shown = windows[np.abs(windows) <= reach]
    axes.plot(shown, np.full(len(shown), at + 0.22), "|", color=colour, markersize=6, alpha=0.6)
    if share.low is not None and share.high is not None:
        axes.plot([100 * share.low, 100 * share.high], [at, at], color=colour, linewidth=3.0, alpha=0.45)
    axes.plot(100 * share.mean, at, "o", color=colour, markersize=6.5)
    axes.text(reach * 1.07, at, text, va="center", color=INK)


def energy_against_wait(comparison: Comparison, colours: Colours) -> Figure:
    """Mean energy and mean wait of every policy with intervals, and the energy of the packed bound."""
    figure = Figure(figsize=(WIDTH_INCHES, 4.1), layout="constrained")
    draw_energy_against_wait(figure.subplots(), comparison, colours)
    return figure


def draw_energy_against_wait(axes: Axes, comparison: Comparison, colours: Colours) -> None:
    """The same, on given axes."""
    points = {result.contender.name: _point(result, comparison) for result in comparison.ranking}
    limit = _energy_axis(axes, comparison)
    set_duration_axis(axes, 1.3 * max(1.0, *(wait.mean for _, wait in points.values())))
    for name, (energy, wait) in points.items():
        colour = SERIES[colours[name]]
        if energy.mean > limit:
            axes.plot(limit, wait.mean, ">", color=colour, markersize=8, clip_on=False, zorder=3)
            continue
        style: dict[str, Any] = {"color": colour, "linewidth": 1.6, "alpha": 0.45, "zorder": 2}
        if energy.low is not None and energy.high is not None:
            axes.plot([energy.low, min(energy.high, limit)], [wait.mean, wait.mean], **style)
        if wait.low is not None and wait.high is not None:
            axes.plot([energy.mean, energy.mean], [wait.low, wait.high], **style)
        axes.plot(energy.mean, wait.mean, "o", color=colour, markersize=8, zorder=3)
    axes.set_xlabel("energy of a window, kWh")
    axes.set_ylabel("mean wait of a job")
    _label_points(axes, points, limit, colours)


def _point(result: Result, comparison: Comparison) -> tuple[Estimate, Estimate]:
    """Energy and wait, with the intervals of their differences to the reference; without one, with their own."""
    own = (result.estimates["energy_kwh.total"], result.estimates["metrics.wait_seconds.mean"])
    if comparison.reference is None:
        return own
    if result.versus is None:
        return own[0]._replace(low=None, high=None), own[1]._replace(low=None, high=None)
    differences = (result.versus.difference["energy_kwh"], result.versus.difference["wait_seconds"])
    return _around(own[0], differences[0]), _around(own[1], differences[1])


def _around(value: Estimate, difference: Estimate) -> Estimate:
    if difference.low is None or difference.high is None:
        return Estimate(value.mean, None, None)
    base = value.mean - difference.mean
    return Estimate(value.mean, base + difference.low, base + difference.high)


def _energy_axis(axes: Axes, comparison: Comparison) -> float:
    """From a little below the bound to a limit beyond which policies stand at the edge; returns it."""
    bound = bound_energy_kwh(comparison)
    means = [result.estimates["energy_kwh.total"].mean for result in comparison.results.values()]
    lowest, main = min(means), main_result(comparison).estimates["energy_kwh.total"].mean
    if bound is not None:
        lowest = min(lowest, bound)
        axes.axvline(bound, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.annotate(
            "packed bound", (bound, 0.98), xycoords=("data", "axes fraction"), xytext=(-4, 0), ha="right", va="top",
            textcoords="offset points", rotation=90, color=MUTED, fontsize=8,
        )  # fmt: skip
    near = [mean for mean in means if mean <= max(main, 1.3 * lowest)]
    span = max(max(near) - lowest, 0.01 * lowest)
    limit = max(near) + 0.35 * span
    axes.set_xlim(lowest - 0.12 * span, limit)
    axes.xaxis.set_major_formatter(TICKS)
    return limit


def _label_points(axes: Axes, points: Mapping[str, tuple[Estimate, Estimate]], limit: float, colours: Colours) -> None:
    """Names beside the points, moved apart where they would overlap; those at the edge with their energy."""
    shown = [(min(energy.mean, limit), wait.mean) for energy, wait in points.values()]
    points_per_pixel = 72.0 / axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    places = [float(axes.transData.transform(point)[1]) * points_per_pixel for point in shown]
    heights = spread_labels([place + 6.0 for place in places], 11.0)
    axis = float(axes.transAxes.transform((0.0, 0.0))[1]) * points_per_pixel
    if min(heights) < axis + 8.0:  # over the numbers of the axis below: above the points, then
        least = axis + 20.0
        for index in np.argsort(heights).tolist():
            heights[index] = max(heights[index], least)
            least = heights[index] + 11.0
    for (name, (energy, wait)), place, height in zip(points.items(), places, heights, strict=True):
        beyond = energy.mean > limit
        axes.annotate(
            f"{name}, {number(energy.mean)} kWh" if beyond else name, (min(energy.mean, limit), wait.mean),
            xytext=(-7 if beyond else 7, height - place), textcoords="offset points",
            ha="right" if beyond else "left", va="center", color=SERIES[colours[name]], fontweight="bold",
        )  # fmt: skip


def bound_energy_kwh(comparison: Comparison) -> float | None:
    """Mean energy of a window with node-hours at the packed bound, kWh; None for unequal pools: no bound there.

    Neither is there one where the PUE follows the temperature.
    """
    pools = comparison.scenario.cluster.pools
    follows = any(region.temperature is not None for region in comparison.scenario.config.regions)
    if follows or len({(pool.gpus_per_node, pool.power) for pool in pools}) != 1:
        return None
    pool, values = pools[0], next(iter(comparison.results.values())).values
    watts = pool.power.watts(pool.gpus_per_node)
    nodes, work = values["metrics.node_hours_lower_bound"].mean(), values["metrics.gpu_hours_requested"].mean()
    unused = nodes * pool.gpus_per_node - work
    watt_hours = work * watts.busy_gpu + unused * watts.unused_gpu
    return float(watt_hours * pool.power.pue / 1000.0)


def parts_of(comparison: Comparison, quantity: str, unit: str) -> Figure:
    """Energy or carbon of a window by its parts: all of it, and what is left without GPUs at work.

    Args:
        comparison: gives the policies.
        quantity: `energy_kwh` or `carbon_kg`.
        unit: of it, for the axes.
    """
    results = comparison.ranking[::-1]
    figure = Figure(figsize=(WIDTH_INCHES, 1.25 + 0.42 * len(results)), layout="constrained")
    whole, rest = figure.subplots(1, 2, sharey=True)
    parts = [name for name in PART_NAMES if any(result.estimates[f"{quantity}.{name}"].mean > 0 for result in results)]
    for axes, names in ((whole, parts), (rest, parts[1:])):
        left = np.zeros(len(results))
        for name in names:
            amounts = np.array([result.estimates[f"{quantity}.{name}"].mean for result in results])
            axes.barh(range(len(results)), amounts, left=left, color=PARTS[name], height=0.62, label=name)
            left += amounts
        for at, total in enumerate(left.tolist()):
            axes.annotate(
                number(total), (total, at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8.5
            )
        axes.set_xlim(0.0, 1.2 * max(float(left.max()), 1e-9))
        axes.xaxis.set_major_formatter(TICKS)
        axes.set_xlabel(f"{unit} per window")
        plain_axis(axes, grid="x")
    whole.set_title("All")
    rest.set_title("Without GPUs at work")
    whole.set_yticks(range(len(results)), [result.contender.name for result in results])
    whole.tick_params(axis="y", labelcolor=INK)
    handles, labels = whole.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), handlelength=1.0, columnspacing=1.4)
    return figure


def wait_distribution(comparison: Comparison, colours: Colours) -> Figure:
    """Which share of the jobs waits longer than a time, both on logarithmic axes."""
    figure = Figure(figsize=(WIDTH_INCHES, 3.7), layout="constrained")
    axes = figure.subplots()
    for result in comparison.ranking:
        index = colours[result.contender.name]
        waits = np.maximum(result.wait_quantiles_seconds, 1.0)
        axes.plot(waits, 100.0 * EXCEEDANCE, color=SERIES[index], linestyle=DASHES[index], label=result.contender.name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    longest = max(float(result.wait_quantiles_seconds[-1]) for result in comparison.results.values())
    axes.set_xlim(1.0, max(2.0 * longest, 60.0))
    jobs = sum(window.num_jobs for window in comparison.windows)
    axes.set_ylim(100.0 * max(float(EXCEEDANCE[-1]), 1.0 / jobs), 130.0)
    ticks = {seconds: text for seconds, text in DURATION_TICKS.items() if 1.0 <= seconds <= axes.get_xlim()[1]}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.set_xlabel("wait")
    axes.set_ylabel("jobs that wait longer")
    axes.legend(loc="upper right", handlelength=2.6)
    return figure
