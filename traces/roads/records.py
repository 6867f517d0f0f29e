"""What files of road networks have in common: attributes of nodes and edges as texts or numbers, made into a graph."""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from configs.checks import check_number
from traces.errors import TraceURIError, TraceValueError
from traces.geography import EARTH_RADIUS_METERS, Numbers, outside
from traces.roads.graph import RoadGraph

KILOMETERS_PER_MILE = 1.609344
SHORTEST_METERS = 0.1
"""Roads are at least that long: mapping noise has some of length 0."""
USUAL_KMH = {
    "motorway": 90.0,
    "trunk": 70.0,
    "primary": 50.0,
    "secondary": 45.0,
    "tertiary": 40.0,
    "residential": 30.0,
    "living_street": 10.0,
    "service": 15.0,
    "footway": 5.0,
    "pedestrian": 5.0,
    "path": 5.0,
    "steps": 2.0,
}
"""Class of a road in OpenStreetMap -> its speed where the file names none; links count as their class."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LINE = re.compile(r"LINESTRING\s*\((.*)\)", re.IGNORECASE)

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RoadOptions:
    """Options that every file of roads takes."""

    component: Literal["all", "largest"] = field(
        default="all",
        metadata={"help": "largest: keep the largest connected component; all: that there are others is an error"},
    )
    speed_kmh: float = field(default=30.0, metadata={"help": "speed of roads that say nothing of it, km/h"})

    def __post_init__(self) -> None:
        check_number("speed_kmh", self.speed_kmh, TraceURIError, above=0, high=300)


def make_roads(
    where: str,
    nodes: Mapping[str, Attributes],
    edges: Sequence[tuple[str, str, Attributes]],
    options: RoadOptions,
    *,
    directed: bool,
    licence: str,
) -> RoadGraph:
    """The graph of nodes and edges with OSMnx's names of attributes.

    Args:
        where: the file, for messages.
        nodes: name -> attributes: `x` and `y` as longitude and latitude, else `lon` and `lat`.
        edges: source, target and attributes: `length` (m), `speed_kph`, `maxspeed` or `highway`, `geometry`.
        options: of the URI.
        directed: whether an edge leads one way only.
        licence: of the data.

    Raises:
        TraceValueError: a node has no place, an edge an end that is no node, or the graph is not connected.
    """
    if not nodes:
        raise TraceValueError(f"{where}: holds no node of a road network; check that it is the right file")
    latitude, longitude, to_degrees = _places(where, nodes)
    index = {name: number for number, name in enumerate(nodes)}
    ends: list[tuple[int, int]] = []
    lengths: list[float] = []
    speeds: list[float] = []
    shapes: dict[int, Numbers] = {}
    for source, target, attributes in edges:
        for name in (source, target):
            if name not in index:
                raise TraceValueError(f"{where}: a road from {source} to {target}: there is no node {name}")
        a, b = index[source], index[target]
        length, speed = _length(where, attributes, latitude[[a, b]], longitude[[a, b]]), _speed(attributes, options)
        start = np.array([latitude[a], longitude[a]])
        points = _shape(attributes.get("geometry"), to_degrees, start)
        for pair, course in (((a, b), points), ((b, a), points[::-1]))[: 1 if directed else 2]:
            if len(course):
                shapes[len(ends)] = course
            ends.append(pair)
            lengths.append(length)
            speeds.append(speed)
    pairs = np.array(ends, np.int64).reshape(-1, 2)
    arrays = pairs[:, 0], pairs[:, 1], np.array(lengths, np.float64), np.array(speeds, np.float64)
    graph = RoadGraph.from_arrays(tuple(nodes), latitude, longitude, arrays, shape=shapes, name=where, licence=licence)
    return graph.connected(largest=options.component == "largest")


def _places(where: str, nodes: Mapping[str, Attributes]) -> tuple[Numbers, Numbers, Numbers]:
    """Latitude and longitude of the nodes, and [3, 2] what makes degrees of the x, y and 1 of a course.

    Projected files (OSMnx's `project_graph`) have metres in `x` and `y`, and keep `lat` and `lon`. Their projection
    is not computed: on the extent of a city it is an affine map to within metres, which the nodes themselves show.
    """
    x, y = (_column(where, nodes, name) for name in ("x", "y"))
    if not outside(y, x).any():
        return y, x, np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    if not all("lat" in each and "lon" in each for each in nodes.values()):
        raise TraceValueError(
            f"{where}: x and y of its nodes are no longitude and latitude; write the file again from "
            "osmnx.project_graph(G, to_latlong=True)"
        )
    latitude, longitude = (_column(where, nodes, name) for name in ("lat", "lon"))
    rows = np.stack([x, y, np.ones_like(x)], axis=1)
    shift = np.array([x.mean(), y.mean(), 0.0])
    found, *_ = np.linalg.lstsq(rows - shift, np.stack([latitude, longitude], axis=1), rcond=None)
    found[2] -= shift[:2] @ found[:2]
    return latitude, longitude, found


def _column(where: str, nodes: Mapping[str, Attributes], name: str) -> Numbers:
    values = np.empty(len(nodes))
    for index, (node, attributes) in enumerate(nodes.items()):
        try:
            values[index] = float(attributes[name])
        except (KeyError, TypeError, ValueError) as error:
            raise TraceValueError(f"{where}: node {node} has no number {name}; is it a road graph of OSMnx?") from error
    return values


def _length(where: str, attributes: Attributes, latitude: Numbers, longitude: Numbers) -> float:
    if attributes.get("length") in (None, ""):
        return max(great_circle_meters(latitude, longitude), SHORTEST_METERS)
    try:
        length = float(attributes["length"])
    except (TypeError, ValueError) as error:
        raise TraceValueError(f"{where}: a road has the length {attributes['length']!r}, which is no number") from error
    return SHORTEST_METERS if length == 0 else length


def great_circle_meters(latitude: Numbers, longitude: Numbers) -> float:
    """Distance of two places on a sphere (haversine), [2] degrees each."""
    a, b = np.radians(latitude)
    half = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(np.radians(longitude[1] - longitude[0]) / 2) ** 2
    return float(2 * EARTH_RADIUS_METERS * np.arcsin(np.sqrt(min(half, 1.0))))


def _speed(attributes: Attributes, options: RoadOptions) -> float:
    """Metres per second, from the first attribute that says something."""
    for name in ("speed_kph", "speed_kmph", "maxspeed"):
        found = [_kmh(text) for text in _texts(attributes.get(name))]
        known = [value for value in found if value > 0]
        if known:
            return sum(known) / len(known) / 3.6
    for kind in _texts(attributes.get("highway")):
        if kind.removesuffix("_link") in USUAL_KMH:
            return USUAL_KMH[kind.removesuffix("_link")] / 3.6
    return options.speed_kmh / 3.6


def _texts(value: Any) -> list[str]:
    """An attribute as a list: OSMnx writes several values of a merged road as a list, in GraphML as its text."""
    if value in (None, ""):
        return []
    if isinstance(value, str) and value.startswith("["):
        try:
            value = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            return [str(value)]
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _kmh(text: str) -> float:
    match = _NUMBER.search(text)
    if match is None:
        return 0.0
    return float(match[0]) * (KILOMETERS_PER_MILE if "mph" in text else 1.0)


def _shape(geometry: Any, to_degrees: Numbers, start: Numbers) -> Numbers:
    """[points, 2] latitude and longitude between the ends of a course, in WKT or GeoJSON; no points where unknown.

    The course of an undirected edge may be written from its target to its source; it is turned, so that it begins at
    `start`, [2] latitude and longitude.
    """
    points: list[list[float]] = []
    if isinstance(geometry, Mapping) and geometry.get("type") == "LineString":
        points = [[float(value) for value in point[:2]] for point in geometry.get("coordinates", [])]
    elif isinstance(geometry, str) and (match := _LINE.match(geometry.strip())):
        points = [[float(value) for value in pair.split()[:2]] for pair in match[1].split(",")]
    if len(points) < 3:  # nothing between the ends
        return np.zeros((0, 2))
    degrees: Numbers = np.column_stack([np.array(points, np.float64), np.ones(len(points))]) @ to_degrees
    first, last = (float(np.hypot(*(degrees[end] - start))) for end in (0, -1))
    return degrees[1:-1] if first <= last else degrees[-2:0:-1]
