"""The figure over time: queue, nodes by state and power of chosen policies in one window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autoscaler.evaluation.comparison import Comparison
from autoscaler.evaluation.report.figures import TICKS, WIDTH_INCHES, Colours
from autoscaler.evaluation.report.style import DASHES, INK, PARTS, SERIES
from autoscaler.evaluation.report.timeaxis import set_time_axis
from autoscaler.evaluation.timeline import Course, course

STRETCHES = 360
"""Means that a window is drawn with: about two per pixel column of a small screen."""

NODE_STATES = {"busy": "busy_nodes", "idle": "idle_nodes", "boot": "booting_nodes"}


def course_of(comparison: Comparison, name: str, window: int) -> Course:
    """What a policy did from a window's start to its end; what still runs then is not shown."""
    shown = comparison.windows[window]
    edges = np.linspace(shown.start_ms, shown.end_ms, STRETCHES + 1)
    return course(comparison.results[name].timelines[window], comparison.scenario.cluster, edges)


def over_time(comparison: Comparison, names: Sequence[str], window: int, colours: Colours) -> Figure:
    """Queue, nodes by state of each policy, and power.

    Args:
        comparison: with timelines.
        names: policies to show.
        window: index of the window to show.
        colours: of the policies.
    """
    courses = {name: course_of(comparison, name, window) for name in names}
    heights = [1.0, *(1.25 for _ in names), 1.1]
    figure = Figure(figsize=(WIDTH_INCHES, 0.7 + 1.35 * sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    draw_queue(panels[0], courses, colours)
    most = max(float((run.busy_nodes + run.idle_nodes + run.booting_nodes).max()) for run in courses.values())
    for axes, name in zip(panels[1:-1], names, strict=True):
        draw_nodes(axes, courses[name], node_gpus(comparison))
        axes.set_title(f"Nodes of {name}")
        axes.set_ylim(0.0, max(1.3 * most, 1.0))
    panels[1].legend(loc="upper right", ncols=4, handlelength=1.0, columnspacing=1.4)
    draw_lines(panels[-1], courses, "watts", 1e-3, colours)
    panels[-1].set_title("Power, kW")
    for index, axes in enumerate(panels):
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=0 < index < len(panels) - 1))
        axes.yaxis.set_major_formatter(TICKS)
    shown, start = comparison.windows[window], comparison.scenario.trace.metadata.start_time
    set_time_axis(panels[-1], start, shown.start_ms, shown.end_ms)
    return figure


def draw_nodes(axes: Axes, run: Course, node_gpus: int | None) -> None:
    """Stacked nodes by state, and the nodes that the GPUs at work would fill.

    Args:
        axes: where.
        run: the means.
        node_gpus: GPUs of every node; None where pools differ, then without the line.
    """
    steps = {state: np.append(values, values[-1]) for state, values in _states(run).items()}
    axes.stackplot(
        run.edges_ms, list(steps.values()), labels=["booting" if state == "boot" else state for state in steps],
        colors=[PARTS[state] for state in steps], step="post", linewidth=0.0,
    )  # fmt: skip
    if node_gpus is not None:
        axes.stairs(run.used_gpus / node_gpus, run.edges_ms, color=INK, linewidth=1.1, label="GPUs at work, packed")


def _states(run: Course) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    return {state: getattr(run, field) for state, field in NODE_STATES.items()}


def node_gpus(comparison: Comparison) -> int | None:
    """GPUs of every node, None where pools differ."""
    sizes = {pool.gpus_per_node for pool in comparison.scenario.cluster.pools}
    return sizes.pop() if len(sizes) == 1 else None


def draw_queue(axes: Axes, courses: dict[str, Course], colours: Colours) -> None:
    """The queue of several policies over time, with their legend.

    Args:
        axes: where.
        courses: the means of each policy.
        colours: of the policies.
    """
    draw_lines(axes, courses, "queue_gpus", 1.0, colours)
    axes.set_title("Queue, GPUs that waiting jobs request")
    axes.set_ylim(top=1.25 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper right", ncols=len(courses), handlelength=2.4)


def draw_lines(axes: Axes, courses: dict[str, Course], field: str, scale: float, colours: Colours) -> None:
    """One number of several policies over time.

    Args:
        axes: where.
        courses: the means of each policy.
        field: of `Course`.
        scale: to the unit that is shown.
        colours: of the policies.
    """
    top = 0.0
    for name, run in courses.items():
        values = getattr(run, field) * scale
        top = max(top, float(values.max()))
        index = colours[name]
        axes.stairs(
            values, run.edges_ms, baseline=None, color=SERIES[index], linestyle=DASHES[index], linewidth=1.3, label=name
        )
    axes.set_ylim(0.0, max(1.15 * top, 1.0))
