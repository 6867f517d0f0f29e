"""Places on the Earth: checks of coordinates, and metres on a plane around a city."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_METERS = 6_371_008.8
"""Mean radius. Source: WGS 84."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Projection:
    """A plane that touches the Earth at a point: x to the east and y to the north, metres.

    Within 50 km of the point, distances are wrong by less than 1 %: enough for a city.

    Attributes:
        latitude: of the point, degrees.
        longitude: of the point, degrees.
    """

    latitude: float
    longitude: float

    @classmethod
    def around(cls, latitude: Numbers, longitude: Numbers) -> "Projection":
        """The plane in the middle of some places, degrees."""
        middle = [float(values.min() + values.max()) / 2 for values in (latitude, longitude)]
        return cls(*middle)

    def to_meters(self, latitude: Numbers, longitude: Numbers) -> Numbers:
        """[..., 2] float64, x and y of places in degrees."""
        scale = EARTH_RADIUS_METERS * np.pi / 180
        x = (np.asarray(longitude) - self.longitude) * scale * np.cos(np.radians(self.latitude))
        return np.stack([x, (np.asarray(latitude) - self.latitude) * scale], axis=-1)

    def to_degrees(self, meters: Numbers) -> tuple[Numbers, Numbers]:
        """Latitude and longitude of [..., 2] x and y."""
        scale = EARTH_RADIUS_METERS * np.pi / 180
        longitude = self.longitude + meters[..., 0] / (scale * np.cos(np.radians(self.latitude)))
        return self.latitude + meters[..., 1] / scale, longitude


def outside(latitude: Numbers, longitude: Numbers) -> NDArray[np.bool_]:
    """Which coordinates are none: not finite, or beyond 90 degrees of latitude or 180 of longitude."""
    good = np.isfinite(latitude) & np.isfinite(longitude) & (np.abs(latitude) <= 90) & (np.abs(longitude) <= 180)
    bad: NDArray[np.bool_] = ~good
    return bad
