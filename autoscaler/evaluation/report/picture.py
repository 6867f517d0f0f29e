"""One picture of a comparison, for a README or slides."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autoscaler.evaluation.comparison import Comparison
from autoscaler.evaluation.errors import EvaluationError
from autoscaler.evaluation.report.course_figures import course_of, draw_nodes, draw_queue, node_gpus
from autoscaler.evaluation.report.figures import TICKS, draw_energy_against_wait
from autoscaler.evaluation.report.page import chosen, colours_of, window_shown
from autoscaler.evaluation.report.style import INK, figure_style, stable_ids
from autoscaler.evaluation.report.timeaxis import set_time_axis
from configs.files import atomic_path

SUFFIXES = (".png", ".svg")
BACKGROUND = "#ffffff"


def draw(comparison: Comparison) -> Figure:
    """Nodes and queue of the main policy over time, beside energy against wait of all policies.

    Args:
        comparison: with timelines.
    """
    colours, window, names = colours_of(comparison), window_shown(comparison), chosen(comparison)
    courses = {name: course_of(comparison, name, window) for name in names}
    figure = Figure(figsize=(11.0, 4.6), layout="constrained", facecolor=BACKGROUND)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.55, 1.0), height_ratios=(1.7, 1.0))
    nodes = figure.add_subplot(grid[0, 0])
    queue = figure.add_subplot(grid[1, 0], sharex=nodes)
    plane = figure.add_subplot(grid[:, 1])
    draw_nodes(nodes, courses[names[0]], node_gpus(comparison))
    nodes.set_title(f"Nodes under {names[0]}")
    nodes.set_ylim(0.0, 1.3 * nodes.dataLim.y1)
    nodes.legend(loc="upper right", ncols=4, handlelength=1.0, columnspacing=1.3)
    nodes.tick_params(labelbottom=False)
    draw_queue(queue, courses, colours)
    for axes in (nodes, queue):
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=axes is nodes))
        axes.yaxis.set_major_formatter(TICKS)
    shown, start = comparison.windows[window], comparison.scenario.trace.metadata.start_time
    set_time_axis(queue, start, shown.start_ms, shown.end_ms)
    draw_energy_against_wait(plane, comparison, colours)
    plane.set_title("Energy against wait of all policies", color=INK)
    return figure


def check_suffix(path: str | Path) -> None:
    """Refuse a picture that is neither PNG nor SVG.

    Raises:
        EvaluationError: as above.
    """
    if Path(path).suffix not in SUFFIXES:
        raise EvaluationError(f"{path}: the picture is a .png or a .svg; end the name in one of them")


def save_picture(figure: Figure, path: str | Path) -> None:
    """Write a figure; the file appears whole or not at all, and the same figure gives the same file.

    Args:
        figure: in the style of `style.figure_style`.
        path: the file; its name ends in .png or .svg.

    Raises:
        EvaluationError: the name ends in neither.
        OutputFileError: the file cannot be written.
    """
    check_suffix(path)
    form = Path(path).suffix.removeprefix(".")
    # Without the date, so that the same results give the same file.
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": "picture", "svg.fonttype": "path"}), atomic_path(path) as temporary:
        figure.savefig(temporary, format=form, dpi=150, metadata=metadata)
        if form == "svg":
            temporary.write_text(stable_ids(temporary.read_text(encoding="utf-8")), encoding="utf-8")


def write_picture(comparison: Comparison, path: str | Path) -> None:
    """Write the picture of a comparison.

    Args:
        comparison: with timelines.
        path: the file; its name ends in .png or .svg.

    Raises:
        EvaluationError: the name ends in neither.
        OutputFileError: the file cannot be written.
    """
    check_suffix(path)
    with figure_style():
        save_picture(draw(comparison), path)
