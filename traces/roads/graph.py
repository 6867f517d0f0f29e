"""A road network: crossings, the roads between them, and the quickest ways along these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from traces.errors import TraceValueError
from traces.geography import Numbers, Projection, outside

if TYPE_CHECKING:  # SciPy takes a second to import, and few traces are cities: functions import it
    from scipy.sparse import csr_array

NO_NODE = -9999
"""What SciPy writes as the predecessor of a node that has none."""
MAX_METERS_PER_SECOND = 100.0

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RoadSummary:
    """Statistics of a road network.

    Attributes:
        source: where it comes from.
        licence: of the data.
        nodes: crossings and ends.
        edges: directed roads; a two-way road is two.
        kilometers: length of all edges.
        speed_kmh: `p10, p50, p90` of the edges' speeds.
        width_meters: extent from west to east.
        height_meters: extent from south to north.
        shaped_edges: edges whose course between their ends is known.
        left_out_nodes: nodes that cannot be reached from the largest component and back, which were left out.
    """

    source: str
    licence: str
    nodes: int
    edges: int
    kilometers: float
    speed_kmh: Mapping[str, float]
    width_meters: float
    height_meters: float
    shaped_edges: int
    left_out_nodes: int

    def rows(self) -> list[tuple[str, str]]:
        """For humans: names and texts."""
        speeds = ", ".join(f"{name} {value:.0f} km/h" for name, value in self.speed_kmh.items())
        shown = [
            ("source", f"{self.source}; licence: {self.licence}"),
            ("nodes", f"{self.nodes:,}"),
            ("edges", f"{self.edges:,} directed, {self.kilometers:,.1f} km; {self.shaped_edges:,} with their course"),
            ("speed", speeds),
            ("extent", f"{self.width_meters / 1000:.2f} km by {self.height_meters / 1000:.2f} km"),
        ]
        left_out = f"{self.left_out_nodes:,} nodes outside of the largest connected component"
        return shown + ([("left out", left_out)] if self.left_out_nodes else [])


@dataclass(frozen=True, slots=True, eq=False)
class RoadGraph:
    """A road network. Build one with `traces.load_roads(uri)` or `RoadGraph.from_arrays`.

    Attributes:
        node_id: name of each node.
        latitude: [nodes] float64, degrees, WGS 84.
        longitude: [nodes] float64, degrees.
        source: [edges] int64, node that an edge leaves.
        target: [edges] int64, node that it leads to.
        length_meters: [edges] float64, > 0.
        speed: [edges] float64, metres per second, > 0.
        shape: edge -> [points, 2] float64, latitude and longitude between its ends, in its direction, where known.
        name: where it comes from.
        licence: of the data.
        left_out_nodes: nodes outside of the largest component, which were left out.
    """

    node_id: tuple[str, ...]
    latitude: Numbers
    longitude: Numbers
    source: Integers
    target: Integers
    length_meters: Numbers
    speed: Numbers
    shape: Mapping[int, Numbers] = field(default_factory=dict)
    name: str = "unknown"
    licence: str = "unknown"
    left_out_nodes: int = 0

    @classmethod
    def from_arrays(
        cls,
        node_id: tuple[str, ...],
        latitude: Numbers,
        longitude: Numbers,
        edges: tuple[Integers, Integers, Numbers, Numbers],
        *,
        shape: Mapping[int, Numbers] | None = None,
        name: str = "unknown",
        licence: str = "unknown",
    ) -> Self:
        """A checked graph; edges that begin where they end are left out.

        Args:
            node_id: name of each node.
            latitude: [nodes], degrees.
            longitude: [nodes], degrees.
            edges: source, target, length in metres and speed in metres per second of each.
            shape: see the class.
            name: where it comes from, for messages.
            licence: of the data.

        Raises:
            TraceValueError: there is no edge, or a coordinate, length or speed that cannot be.
        """
        bad = outside(latitude, longitude)
        if bad.any():
            index = int(bad.argmax())
            place = f"({latitude[index]}, {longitude[index]})"
            raise TraceValueError(f"{name}: node {node_id[index]} lies at {place}, which is no latitude and longitude")
        source, target, length, speed = edges
        kept = np.flatnonzero(source != target)
        if not len(kept):
            raise TraceValueError(f"{name}: holds no road between two nodes; check that it is the right file")
        for what, values, limit, unit in (
            ("length", length, 1e7, "m"),
            ("speed", speed, MAX_METERS_PER_SECOND, "m/s"),
        ):
            wrong = ~(np.isfinite(values) & (values > 0) & (values <= limit))[kept]
            if wrong.any():
                edge = int(kept[wrong.argmax()])
                ends = f"{node_id[source[edge]]} to {node_id[target[edge]]}"
                rule = f"must be above 0 and at most {limit:g} {unit}"
                raise TraceValueError(f"{name}: the road from {ends} has the {what} {values[edge]:g} {unit}; it {rule}")
        number = {int(edge): index for index, edge in enumerate(kept)}
        shapes = {number[edge]: points for edge, points in (shape or {}).items() if edge in number}
        joined, measured = (source[kept], target[kept]), (length[kept], speed[kept])
        return cls(node_id, latitude, longitude, *joined, *measured, shapes, name, licence)

    @property
    def num_nodes(self) -> int:
        """Crossings and ends."""
        return len(self.node_id)

    @property
    def num_edges(self) -> int:
        """Directed roads."""
        return len(self.source)

    @property
    def seconds(self) -> Numbers:
        """[edges] float64, time that an edge takes at its speed."""
        taken: Numbers = self.length_meters / self.speed
        return taken

    @property
    def projection(self) -> Projection:
        """The plane around its middle."""
        return Projection.around(self.latitude, self.longitude)

    def component_sizes(self) -> Integers:
        """Nodes of each strongly connected component, the largest first."""
        count, labels = self._components()
        sizes: Integers = np.sort(np.bincount(labels, minlength=count))[::-1]
        return sizes

    def connected(self, *, largest: bool) -> RoadGraph:
        """The graph, in which every node can be reached from every other.

        Args:
            largest: where it is not so, keep the largest component; else that is an error.

        Raises:
            TraceValueError: it is not connected, and `largest` is off.
        """
        count, labels = self._components()
        if count == 1:
            return self
        sizes = np.bincount(labels, minlength=count)
        most = int(sizes.argmax())
        if not largest:
            share = f"{sizes[most]:,} of {self.num_nodes:,} nodes ({sizes[most] / self.num_nodes:.1%})"
            raise TraceValueError(
                f"{self.name}: the road graph is not connected: it has {count:,} components, the largest with {share}; "
                "add the option component=largest to keep that one"
            )
        return self._part(labels == most)

    def _components(self) -> tuple[int, Integers]:
        """Strongly connected components: how many, and [nodes] the one of each node."""
        from scipy.sparse.csgraph import connected_components

        count, labels = connected_components(self._matrix(), directed=True, connection="strong")
        return int(count), np.asarray(labels, np.int64)

    def _part(self, keep: NDArray[np.bool_]) -> RoadGraph:
        number = np.cumsum(keep) - 1
        edges = np.flatnonzero(keep[self.source] & keep[self.target])
        renamed = {int(edge): index for index, edge in enumerate(edges)}
        return RoadGraph(
            tuple(name for name, kept in zip(self.node_id, keep, strict=True) if kept),
            self.latitude[keep],
            self.longitude[keep],
            number[self.source[edges]],
            number[self.target[edges]],
            self.length_meters[edges],
            self.speed[edges],
            {renamed[edge]: points for edge, points in self.shape.items() if edge in renamed},
            self.name,
            self.licence,
            int((~keep).sum()),
        )

    def nearest_nodes(self, latitude: Numbers, longitude: Numbers) -> tuple[Integers, Numbers]:
        """The nearest node of each place, [places] int64, and the distance to it, [places] float64, metres."""
        from scipy.spatial import cKDTree

        plane = self.projection
        tree = cKDTree(plane.to_meters(self.latitude, self.longitude))
        distance, node = tree.query(plane.to_meters(latitude, longitude))
        return np.asarray(node, np.int64), np.asarray(distance, np.float64)

    def quickest(self, origins: Integers) -> tuple[Numbers, Integers]:
        """The quickest ways from some nodes to all.

        Args:
            origins: [origins] int64, nodes.

        Returns:
            [origins, nodes] float64, seconds; and [origins, nodes] int64, the node before each on the way, `NO_NODE`
            for the origin itself.
        """
        from scipy.sparse.csgraph import dijkstra

        times, before = dijkstra(self._matrix(), directed=True, indices=origins, return_predecessors=True)
        return np.asarray(times, np.float64), np.asarray(before, np.int64)

    def summary(self) -> RoadSummary:
        """Its statistics."""
        meters = self.projection.to_meters(self.latitude, self.longitude)
        width, height = np.ptp(meters, axis=0).tolist()
        speeds = np.percentile(self.speed * 3.6, (10, 50, 90)).tolist()
        return RoadSummary(
            source=self.name,
            licence=self.licence,
            nodes=self.num_nodes,
            edges=self.num_edges,
            kilometers=float(self.length_meters.sum()) / 1000,
            speed_kmh=dict(zip(("p10", "p50", "p90"), speeds, strict=True)),
            width_meters=width,
            height_meters=height,
            shaped_edges=len(self.shape),
            left_out_nodes=self.left_out_nodes,
        )

    def quickest_edge(self) -> dict[tuple[int, int], int]:
        """(source, target) -> the edge that is quickest, where several roads join the same nodes."""
        order = np.argsort(-self.seconds, kind="stable")
        return dict(
            zip(zip(self.source[order].tolist(), self.target[order].tolist(), strict=True), order.tolist(), strict=True)
        )

    def _matrix(self) -> csr_array:
        """[nodes, nodes] seconds; of parallel roads the quickest, where SciPy would add them."""
        from scipy.sparse import csr_array

        order = np.lexsort((self.seconds, self.target, self.source))
        source, target = self.source[order], self.target[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = (source[1:] != source[:-1]) | (target[1:] != target[:-1])
        values = self.seconds[order][first]
        return csr_array((values, (source[first], target[first])), shape=(self.num_nodes, self.num_nodes))
