"""How figures look: colours that colour-blind readers tell apart, and SVG that follows the page into dark mode."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

INK, MUTED, GRID, PAPER = "#1b1f24", "#5b6470", "#dfe3e8", "#fefefe"
SERIES = ("#0b62b8", "#d55e00", "#00805a", "#a5509a", "#857400", "#6b7480", "#3d9bd1", "#8c4a2f")
"""Colours of policies, after Okabe and Ito's palette, darker where lines on white need it."""

SERIES_DARK = ("#62adf5", "#ff9447", "#3ccb9c", "#e295d6", "#d8c64a", "#9aa4b0", "#8fd0f5", "#d99a7e")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (6, 1.5, 1.5, 1.5)),
    (0, (3, 1)),
    (0, (1, 2)),
    "-",
    "-",
)

PARTS = {
    "busy": "#8ea2b6",
    "fragmentation": "#c85a6e",
    "idle": "#dfae3c",
    "boot": "#5fb1dd",
    "off": "#b9bec5",
}
"""Colours of energy parts and of the nodes that they come from, after Paul Tol's muted palette."""

PARTS_DARK = {"busy": "#667c92", "fragmentation": "#dd7f90", "idle": "#e2bb5c", "boot": "#58a6d3", "off": "#565d66"}

PLACES = ("#4477ab", "#c9a227", "#7f3f98", "#2f8f5b", "#bb5566", "#5aa9c7")
"""Colours of regions, after Paul Tol's bright palette; the order is theirs in the cluster."""

PLACES_DARK = ("#7fb0e0", "#e0c45c", "#b98ad0", "#66c490", "#e08a98", "#8fd0e8")

_PARAMETERS: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "figure.facecolor": "none",
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "path.simplify_threshold": 0.3,
}


def css_variables(dark: bool = False) -> dict[str, str]:
    """The CSS variables that figures refer to, by name, for a light or a dark page."""
    series, parts, places = (SERIES_DARK, PARTS_DARK, PLACES_DARK) if dark else (SERIES, PARTS, PLACES)
    return {
        **{f"series-{index}": colour for index, colour in enumerate(series)},
        **{f"part-{name}": colour for name, colour in parts.items()},
        **{f"place-{index}": colour for index, colour in enumerate(places)},
    }


def policy_colours(names: Sequence[str]) -> dict[str, int]:
    """The index into `SERIES` and `DASHES` of each policy, in the order given."""
    return {name: index % len(SERIES) for index, name in enumerate(names)}


@contextmanager
def figure_style() -> Iterator[None]:
    """The look of all figures while the block runs."""
    with mpl.rc_context(_PARAMETERS):
        yield


def to_svg(figure: Figure, name: str, title: str) -> str:
    """A figure as an SVG element for an HTML page: its colours are the page's variables, its fonts the page's.

    Args:
        figure: the figure.
        name: unique on the page; starts the ids, so that those of two figures never meet.
        title: what a screen reader says.
    """
    buffer = io.StringIO()
    with mpl.rc_context({**_PARAMETERS, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stable_ids(buffer.getvalue())
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r' d="[^"]*"', _shorter, text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    text = re.sub(r"(font: [^;\"]*?)'DejaVu Sans'[^;\"]*", r"\1var(--font)", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", text)
    for colour, variable in _variables().items():
        text = text.replace(colour, f"var(--{variable})")
    return _opening(text, title)


def _shorter(path: re.Match[str]) -> str:
    """A path in hundredths of a point and without line breaks: nobody sees more, and figures are half as large."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0]).replace("\n", "").replace(" z", "z")


def stable_ids(svg: str) -> str:
    """Name clip paths by their order: matplotlib hashes memory addresses into them, which differ each time."""
    names: dict[str, str] = {}
    return re.sub(r"\bp[0-9a-f]{10}\b", lambda found: names.setdefault(found[0], f"clip{len(names)}"), svg)


def _variables() -> Mapping[str, str]:
    page = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"}
    return page | {colour: name for name, colour in css_variables().items()}


def _opening(text: str, title: str) -> str:
    """The svg element scales with the page: only its view box has a size."""
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return f'<svg {box.group(0)} role="img" aria-label="{label}">{rest}'


def spread_labels(positions: Sequence[float], least: float) -> list[float]:
    """Positions moved apart so that neighbours are at least `least` away, as near to where they were as that allows.

    Less `least` for each place in the order, such positions only have to rise: that is isotonic regression.
    """
    order = np.argsort(positions, kind="stable")
    steps = least * np.arange(len(positions))
    placed = np.empty(len(positions))
    placed[order] = isotonic_regression(np.asarray(positions)[order] - steps).x + steps
    result: list[float] = placed.tolist()
    return result


def plain_axis(axes: Axes, *, grid: str) -> None:
    """Grid lines across one axis only, and no frame on the other."""
    axes.grid(visible=False, axis="x" if grid == "y" else "y")
    if grid == "x":
        axes.spines["left"].set_visible(False)
