"""The figure of nodes: a lane for each, coloured by what the node does, and marks where jobs move or are preempted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from autoscaler.evaluation.lanes import Lanes
from autoscaler.evaluation.report.figures import WIDTH_INCHES
from autoscaler.evaluation.report.style import INK, PAPER, PARTS
from autoscaler.evaluation.report.timeaxis import set_time_axis

LANE_INCHES = 0.075
ROOMY_INCHES = 0.11
FEW_LANES = 24
"""Up to so many lanes are drawn higher."""

LEAST_INCHES = 0.9
LEVELS = 4
"""Steps in which the share of working GPUs is drawn."""

GAP = 0.1
MOST_LABELS = 7
OFF, BOOTING, IDLE, BUSY = range(4)
NAMES = {"busy": "GPUs at work", "fragmentation": "idle GPUs of a busy node", "idle": "idle node", "boot": "booting"}
MARKS = {"moves": ("^", "job moved here"), "preemptions": ("x", "job preempted")}

Boxes = list[tuple[float, float, float, float]]
"""Left, right, top and bottom of rectangles, in ms and lanes."""


def node_lanes(lanes: Mapping[str, Lanes], start_time: datetime | None) -> Figure:
    """A panel of lanes for each policy, one below the other.

    Args:
        lanes: of each policy, for the same span.
        start_time: local time of second 0 of the trace, None where unknown.
    """
    most = max(len(drawn.names) for drawn in lanes.values())
    lane_inches = ROOMY_INCHES if most <= FEW_LANES else LANE_INCHES
    heights = [max(LEAST_INCHES, lane_inches * len(drawn.names)) for drawn in lanes.values()]
    figure = Figure(figsize=(WIDTH_INCHES, 0.9 + sum(heights) + 0.35 * len(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (name, drawn) in zip(panels, lanes.items(), strict=True):
        draw_lanes(axes, drawn)
        shown = f", {len(drawn.names)} of {drawn.nodes} that were on" if len(drawn.names) < drawn.nodes else ""
        axes.set_title(f"Nodes of {name}{shown}")
    edges = next(iter(lanes.values())).edges_ms
    set_time_axis(panels[-1], start_time, float(edges[0]), float(edges[-1]))
    handles: list[Patch | Line2D] = [Patch(color=PARTS[part], label=text) for part, text in NAMES.items()]
    for field, (marker, text) in MARKS.items():
        if any(len(getattr(drawn, field)) for drawn in lanes.values()):
            handles.append(Line2D([], [], color=INK, marker=marker, linestyle="none", markersize=5, label=text))
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), handlelength=1.0, columnspacing=1.4)
    return figure


def draw_lanes(axes: Axes, lanes: Lanes) -> None:
    """The lanes of one policy, the first node on top."""
    for part, boxes in boxes_of(lanes).items():
        if boxes:
            axes.add_patch(PathPatch(_outline(boxes), facecolor=PARTS[part], linewidth=0.0))
    for field, (marker, _) in MARKS.items():
        times, rows = getattr(lanes, field).T
        edge = PAPER if marker == "^" else INK
        axes.plot(times, rows + 0.5, marker, color=INK, markersize=4.0, markeredgewidth=0.8, markeredgecolor=edge)
    axes.set_ylim(max(len(lanes.names), 1), 0.0)
    step = max(1, -(-len(lanes.names) // MOST_LABELS))
    axes.set_yticks([at + 0.5 for at in range(0, len(lanes.names), step)], lanes.names[::step])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def boxes_of(lanes: Lanes) -> dict[str, Boxes]:
    """The rectangles of each colour: neighbouring stretches that look the same are one."""
    shares = np.stack([1.0 - lanes.booting - lanes.idle - lanes.busy, lanes.booting, lanes.idle, lanes.busy])
    state = shares.argmax(axis=0)
    level = np.where(state == BUSY, np.clip(np.ceil(lanes.used * LEVELS - 1e-9), 1, LEVELS), 0).astype(np.int64)
    boxes: dict[str, Boxes] = {part: [] for part in NAMES}
    for lane, (states, levels) in enumerate(zip(state, level, strict=True)):
        for first, end in _runs(states * (LEVELS + 1) + levels):
            left, right = float(lanes.edges_ms[first]), float(lanes.edges_ms[end])
            top, bottom = lane + GAP, lane + 1.0 - GAP
            if states[first] == BUSY:
                middle = bottom - (bottom - top) * levels[first] / LEVELS
                boxes["busy"].append((left, right, middle, bottom))
                if levels[first] < LEVELS:
                    boxes["fragmentation"].append((left, right, top, middle))
            elif states[first] != OFF:
                boxes["idle" if states[first] == IDLE else "boot"].append((left, right, top, bottom))
    return boxes


def _runs(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and end of each run of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(edges))


def _outline(boxes: Boxes) -> Path:
    """One path of all rectangles, so that they are one element of the page."""
    corners = [
        corner
        for left, right, top, bottom in boxes
        for corner in ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    ]
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(boxes)
    path = Path(np.array(corners), codes)
    path.should_simplify = False
    return path
