"""Pictures of clusters and cities by the rules of the dashboard's page: cells of nodes, and maps of sites and users.

The page draws on canvases (`autoscaler/dashboard/web/src/draw.ts` and `city.ts`); here the same is drawn with Pillow,
for files and for `render_mode="rgb_array"`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT, LINE, ACCENT = "#ffffff", "#1d2329", "#59636e", "#c9d1d9", "#0b62c4"
STATES = ("#8b949e", "#d9c2f0", "#c7dcf2", "#1f77b4", "#f2c14e", "#c8342b", "#d0a3a0", "#5f7f9f")
"""Colours of `schema.NODE_STATES`."""
CONTAINERS = {"busy": "#1f77b4", "warm": "#c7dcf2", "starting": "#f2c14e", "pulling": "#d9c2f0"}
LINKS = ((20.0, "#7fb2e5"), (50.0, "#e0b27f"), (np.inf, "#e59a95"))
"""Latency in ms below which a link has a colour: those of the page, paled as it pales them."""
CARBON = ((53, 151, 143), (128, 205, 193), (223, 194, 125), (191, 129, 45), (140, 81, 10))
"""From little carbon to much (after ColorBrewer's BrBG)."""

OFF, BOOTING, IDLE, BUSY, DRAINING, FAILED, GONE, SUSPENDED = range(len(STATES))
LABEL, LARGEST, SMALLEST = 18, 26, 5
SITE_RADIUS = 9
BAR_WIDTH, BAR_HEIGHT, BAR_DISTANCE = 4, 20, 5
DOT_SIZE, DOT_DISTANCE, MOST_DOTS = 4, 5, 8
AROUND = (SITE_RADIUS + 3, 14, SITE_RADIUS + 3 * BAR_DISTANCE + 7, SITE_RADIUS + DOT_SIZE + 6)
"""Pixels left of, above, right of and below the outermost sites: bars are at the right, containers below."""


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all texts."""
    return ImageFont.load_default(size)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A pool of N nodes.

    Attributes:
        label: the line above.
        states: [N] uint8, numbers of `schema.NODE_STATES`.
        levels: [N] float64, share of the GPUs of each that work.
    """

    label: str
    states: NDArray[np.uint8]
    levels: NDArray[np.float64]


def cell_size(nodes: Sequence[int], width: int, height: int) -> int:
    """The largest cells with which pools of so many nodes fit.

    Args:
        nodes: of each pool.
        width: pixels.
        height: pixels, labels included.
    """
    for cell in range(LARGEST, SMALLEST, -1):
        if sum(LABEL + -(-count // max(1, width // cell)) * cell for count in nodes) <= height:
            return cell
    return SMALLEST


def draw_cells(image: Image.Image, pools: Sequence[Cells], box: tuple[int, int, int, int]) -> None:
    """Draw nodes as cells: colour and mark say the state, the filled part how many of the GPUs work.

    Args:
        image: drawn on.
        pools: the pools.
        box: left, top, width and height of the place, pixels.
    """
    left, top, width, height = box
    draw = ImageDraw.Draw(image)
    cell = cell_size([len(pool.states) for pool in pools], width, height)
    across = max(1, width // cell)
    size = cell - (2 if cell > 8 else 1) - 1
    for pool in pools:
        draw.text((left, top), pool.label, INK, font(12))
        top += LABEL
        for place, (state, level) in enumerate(zip(pool.states.tolist(), pool.levels.tolist(), strict=True)):
            x, y = left + place % across * cell, top + place // across * cell
            _draw_cell(draw, x, y, size, state, level)
        top += -(-len(pool.states) // across) * cell


def _draw_cell(draw: ImageDraw.ImageDraw, x: int, y: int, size: int, state: int, level: float) -> None:
    corners = (x, y, x + size, y + size)
    if state in (OFF, SUSPENDED):
        draw.rectangle(corners, outline=STATES[state])
        return
    draw.rectangle(corners, fill=STATES[IDLE if state == BUSY else state])
    if state == BUSY:
        draw.rectangle((x, y + size - round(size * min(level, 1.0)), x + size, y + size), fill=STATES[BUSY])
    elif state == BOOTING:
        draw.rectangle((x + size // 3, y + size // 3, x + 2 * size // 3, y + 2 * size // 3), fill=INK)
    elif state in (DRAINING, FAILED, GONE):
        draw.line((x, y + size // 2, x + size, y + size // 2), INK)
        if state != DRAINING:
            draw.line((x + size // 2, y, x + size // 2, y + size), INK)


def carbon_colour(grams: float, most: float) -> tuple[int, int, int]:
    """The colour of a carbon intensity; grey where it is not known."""
    if not np.isfinite(grams) or most <= 0.0:
        return 128, 128, 128
    place = min(max(grams / most, 0.0), 1.0) * (len(CARBON) - 1)
    low = min(int(place), len(CARBON) - 2)
    mixed = [round(a + (place - low) * (b - a)) for a, b in zip(CARBON[low], CARBON[low + 1], strict=True)]
    return mixed[0], mixed[1], mixed[2]


@dataclass(frozen=True, slots=True, eq=False)
class City:
    """A city of S sites and U users at one moment; metres.

    Attributes:
        roads: [R, 4] float64: from x, y to x, y.
        sites: [S, 2] float64.
        is_on: [S] bool.
        grams_per_kwh: [S] float64, carbon intensity of the zone of each; NaN: not known.
        most_grams: the carbon intensity that has the darkest colour.
        used: [S, 3] float64, shares of CPU, memory and GPUs in use; NaN: it has none.
        containers: [S, 4] int64: busy, warm, starting, pulling.
        users: [U, 2] float64; NaN: away.
        served_by: [U] int64, -1: nobody.
        latency_ms: [U] float64.
    """

    roads: NDArray[np.float64]
    sites: NDArray[np.float64]
    is_on: NDArray[np.bool_]
    grams_per_kwh: NDArray[np.float64]
    most_grams: float
    used: NDArray[np.float64]
    containers: NDArray[np.int64]
    users: NDArray[np.float64]
    served_by: NDArray[np.int64]
    latency_ms: NDArray[np.float64]


def draw_city(image: Image.Image, city: City, box: tuple[int, int, int, int]) -> None:
    """Draw a map: roads, sites with their resources and containers, users, and who serves whom.

    Args:
        image: drawn on.
        city: what is there.
        box: left, top, width and height of the place, pixels.
    """
    draw = ImageDraw.Draw(image)
    left, top, width, height = box
    points = np.concatenate([city.roads.reshape(-1, 2), city.sites])
    low, high = points.min(axis=0), points.max(axis=0)
    inside = np.array([width - AROUND[0] - AROUND[2], height - AROUND[1] - AROUND[3]])
    scale = (inside / np.maximum(high - low, 1.0)).min()
    middle = (low + high) / 2.0

    def place(where: NDArray[np.float64]) -> NDArray[np.float64]:
        centre = np.array([left + AROUND[0], top + AROUND[1]]) + inside / 2.0
        return np.asarray(centre + (where - middle) * scale * (1.0, -1.0), np.float64)

    for row in np.concatenate([place(city.roads[:, :2]), place(city.roads[:, 2:])], axis=1).tolist():
        draw.line(row, LINE)
    sites, users = place(city.sites), place(city.users)
    for user in np.flatnonzero(~np.isnan(city.users[:, 0])).tolist():
        site, (x, y) = int(city.served_by[user]), users[user].tolist()
        if 0 <= site < len(sites):
            colour = next(colour for most, colour in LINKS if city.latency_ms[user] < most or most == np.inf)
            draw.line((x, y, *sites[site].tolist()), colour)
        draw.rectangle((x - 1, y - 1, x + 1, y + 1), fill=INK if site >= 0 else STATES[FAILED])
    for site, (x, y) in enumerate(sites.tolist()):
        _draw_site(draw, city, site, x, y)


def _draw_site(draw: ImageDraw.ImageDraw, city: City, site: int, x: float, y: float) -> None:
    on = bool(city.is_on[site])
    fill = carbon_colour(float(city.grams_per_kwh[site]), city.most_grams) if on else PAPER
    draw.ellipse((x - SITE_RADIUS, y - SITE_RADIUS, x + SITE_RADIUS, y + SITE_RADIUS), fill=fill, outline=INK)
    if not on:
        return
    for index, used in enumerate(city.used[site].tolist()):
        if np.isfinite(used):
            bar, low = x + SITE_RADIUS + 3 + BAR_DISTANCE * index, y + BAR_HEIGHT / 2
            draw.rectangle((bar, low - BAR_HEIGHT, bar + BAR_WIDTH - 1, low), fill=LINE)
            draw.rectangle((bar, low - BAR_HEIGHT * min(used, 1.0), bar + BAR_WIDTH - 1, low), fill=STATES[BUSY])
    shown = [colour for count, colour in zip(city.containers[site].tolist(), CONTAINERS.values(), strict=True)
             for _ in range(count)]  # fmt: skip
    for index, colour in enumerate(shown[:MOST_DOTS]):
        dot, top = x - SITE_RADIUS + DOT_DISTANCE * index, y + SITE_RADIUS + 4
        draw.rectangle((dot, top, dot + DOT_SIZE - 1, top + DOT_SIZE - 1), fill=colour)
