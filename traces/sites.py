"""Places where servers stand at the edge of a network, such as base stations."""

from collections.abc import Sequence
from dataclasses import dataclass

from traces.errors import TraceValueError
from traces.geography import Numbers, Projection, outside
from traces.roads.graph import RoadGraph

OFF_MAP_METERS = 500.0
"""A site that is farther than that from every road node is not on the map."""


@dataclass(frozen=True, slots=True)
class SiteSummary:
    """Statistics of sites.

    Attributes:
        source: the data set.
        licence: of the data.
        sites: their number.
        width_meters: extent from west to east.
        height_meters: extent from south to north.
        spacing_meters: median distance of a site to the nearest other one.
    """

    source: str
    licence: str
    sites: int
    width_meters: float
    height_meters: float
    spacing_meters: float

    def rows(self) -> list[tuple[str, str]]:
        """For humans: names and texts."""
        return [
            ("source", f"{self.source}; licence: {self.licence}"),
            ("sites", f"{self.sites:,}"),
            ("extent", f"{self.width_meters / 1000:.2f} km by {self.height_meters / 1000:.2f} km"),
            ("spacing", f"{self.spacing_meters:,.0f} m to the nearest other site (median)"),
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """Edge sites. Build one with `traces.load_sites(uri)` or `Sites.from_places`.

    Attributes:
        site_id: name of each site.
        latitude: [sites] float64, degrees, WGS 84.
        longitude: [sites] float64, degrees.
        source: the data set.
        licence: of the data.
    """

    site_id: tuple[str, ...]
    latitude: Numbers
    longitude: Numbers
    source: str = "unknown"
    licence: str = "unknown"

    @classmethod
    def from_places(
        cls, site_id: Sequence[str], latitude: Numbers, longitude: Numbers, *, source: str, licence: str = "unknown"
    ) -> "Sites":
        """Checked sites.

        Raises:
            TraceValueError: there is none, two have the same name, or one lies nowhere.
        """
        if not len(site_id):
            raise TraceValueError(f"{source}: holds no site; check that it is the right file")
        bad = outside(latitude, longitude)
        if bad.any():
            row = int(bad.argmax())
            place = f"({latitude[row]}, {longitude[row]})"
            raise TraceValueError(f"{source}: row {row + 1}: site {site_id[row]} lies at {place}, which is no place")
        first: dict[str, int] = {}
        for row, name in enumerate(site_id):
            if first.setdefault(name, row) != row:
                raise TraceValueError(f"{source}: row {row + 1}: site {name} is in row {first[name] + 1} too; keep one")
        return cls(tuple(site_id), latitude, longitude, source, licence)

    @property
    def num_sites(self) -> int:
        """Their number."""
        return len(self.site_id)

    def check_on(self, roads: RoadGraph, limit_meters: float = OFF_MAP_METERS) -> None:
        """Refuse a site that is off the map.

        Args:
            roads: the map.
            limit_meters: how far a site may be from the nearest node.

        Raises:
            TraceValueError: names the first such site, and how many there are.
        """
        _, distance = roads.nearest_nodes(self.latitude, self.longitude)
        off = distance > limit_meters
        if off.any():
            site = int(off.argmax())
            raise TraceValueError(
                f"{self.source}: site {self.site_id[site]} is {distance[site]:,.0f} m from the nearest road of "
                f"{roads.name}, more than {limit_meters:g} m ({int(off.sum())} of {self.num_sites} sites are off the "
                "map); choose the road graph of this city"
            )

    def within(self, roads: RoadGraph, limit_meters: float = OFF_MAP_METERS) -> "Sites":
        """The sites that are on the map.

        Raises:
            TraceValueError: none is.
        """
        _, distance = roads.nearest_nodes(self.latitude, self.longitude)
        kept = [int(site) for site in (distance <= limit_meters).nonzero()[0]]
        names = [self.site_id[site] for site in kept]
        return Sites.from_places(
            names, self.latitude[kept], self.longitude[kept], source=self.source, licence=self.licence
        )

    def summary(self) -> SiteSummary:
        """Its statistics."""
        meters = Projection.around(self.latitude, self.longitude).to_meters(self.latitude, self.longitude)
        width, height = (meters.max(axis=0) - meters.min(axis=0)).tolist()
        spacing = 0.0
        if self.num_sites > 1:
            from scipy.spatial import cKDTree  # a second to import, and few traces are cities

            distance, _ = cKDTree(meters).query(meters, k=2)
            spacing = float(sorted(distance[:, 1])[self.num_sites // 2])
        return SiteSummary(self.source, self.licence, self.num_sites, width, height, spacing)
