"""Generated road networks: streets of a grid, by the name of a preset."""

from dataclasses import dataclass, field, replace

import numpy as np

from configs.checks import check_number
from configs.errors import did_you_mean
from traces.errors import TraceURIError
from traces.format import Format
from traces.geography import Projection
from traces.roads.graph import RoadGraph

MOST_NODES = 250_000
AVENUE_EVERY = 4
"""Each so many streets one is an avenue, which is quicker."""
STREET_KMH, AVENUE_KMH = 30.0, 50.0


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid of streets around a place.

    Attributes:
        latitude: of its middle, degrees.
        longitude: of its middle, degrees.
        columns: streets that run along.
        rows: streets that run across.
        block_meters: distance between streets that run along.
        row_meters: distance between streets that run across.
        bearing_degrees: by which it is turned, counter-clockwise from east.
    """

    latitude: float
    longitude: float
    columns: int
    rows: int
    block_meters: float
    row_meters: float
    bearing_degrees: float = 0.0


PRESETS = {
    "village": Grid(0.0, 0.0, 9, 7, 150.0, 150.0),
    "town": Grid(0.0, 0.0, 25, 21, 160.0, 120.0),
    "melbourne-cbd": Grid(-37.8133, 144.9636, 21, 25, 120.0, 110.0, 20.0),
}
"""`melbourne-cbd` covers the sites and users of the EUA data set with streets as dense and turned as those of the
Hoddle Grid; they are generated, not mapped."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of grid-roads; what is not given is the preset's."""

    latitude: float | None = field(default=None, metadata={"help": "of the middle, degrees"})
    longitude: float | None = field(default=None, metadata={"help": "of the middle, degrees"})
    columns: int | None = field(default=None, metadata={"help": "streets that run along"})
    rows: int | None = field(default=None, metadata={"help": "streets that run across"})
    block_meters: float | None = field(default=None, metadata={"help": "distance between streets that run along"})
    row_meters: float | None = field(default=None, metadata={"help": "distance between streets that run across"})
    bearing_degrees: float | None = field(default=None, metadata={"help": "turned counter-clockwise from east"})

    def __post_init__(self) -> None:
        check_number("latitude", self.latitude, TraceURIError, low=-85, high=85)
        check_number("longitude", self.longitude, TraceURIError, low=-180, high=180)
        for name in ("columns", "rows"):
            check_number(name, getattr(self, name), TraceURIError, low=2, high=2000)
        for name in ("block_meters", "row_meters"):
            check_number(name, getattr(self, name), TraceURIError, low=1, high=10_000)
        check_number("bearing_degrees", self.bearing_degrees, TraceURIError, low=-360, high=360)


def load(path: str, options: Options) -> RoadGraph:
    """The grid of a preset, with two-way streets and an avenue every few of them.

    Raises:
        TraceURIError: the preset is unknown, or there would be too many nodes.
    """
    if path not in PRESETS:
        raise TraceURIError(f"{FORMAT.name}: there is no preset {path!r}{did_you_mean(path, PRESETS)}")
    given = {name: value for name in Options.__slots__ if (value := getattr(options, name)) is not None}
    grid = replace(PRESETS[path], **given)
    if grid.columns * grid.rows > MOST_NODES:
        raise TraceURIError(
            f"{FORMAT.name}:{path}: {grid.columns} x {grid.rows} streets are more than {MOST_NODES:,} crossings; "
            "choose fewer columns or rows"
        )
    return _make(grid, f"{FORMAT.name}:{path}")


def _make(grid: Grid, name: str) -> RoadGraph:
    column, row = (each.ravel() for each in np.meshgrid(np.arange(grid.columns), np.arange(grid.rows)))
    x = (column - (grid.columns - 1) / 2) * grid.block_meters
    y = (row - (grid.rows - 1) / 2) * grid.row_meters
    angle = np.radians(grid.bearing_degrees)
    turned = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], axis=1)
    latitude, longitude = Projection(grid.latitude, grid.longitude).to_degrees(turned)
    node = np.arange(len(x)).reshape(grid.rows, grid.columns)
    across, along = (node[:, :-1].ravel(), node[:, 1:].ravel()), (node[:-1].ravel(), node[1:].ravel())
    start, end = np.concatenate([across[0], along[0]]), np.concatenate([across[1], along[1]])
    runs_across = np.arange(len(start)) < len(across[0])
    length = np.where(runs_across, grid.block_meters, grid.row_meters)
    street = np.where(runs_across, row[start], column[start])
    speed = np.where(street % AVENUE_EVERY == AVENUE_EVERY // 2, AVENUE_KMH, STREET_KMH) / 3.6
    ends = np.concatenate([start, end]), np.concatenate([end, start])
    edges = (*ends, np.tile(length, 2), np.tile(speed, 2))
    names = tuple(f"{a}-{b}" for a, b in zip(column.tolist(), row.tolist(), strict=True))
    return RoadGraph.from_arrays(names, latitude, longitude, edges, name=name, licence=FORMAT.licence)


FORMAT = Format(
    name="grid-roads",
    kind="roads",
    description=f"generated grid of streets, by preset: {', '.join(PRESETS)}",
    options=Options,
    load=load,
    licence="Apache-2.0",
    citation="",
    example="grid-roads:town?columns=30",
)
