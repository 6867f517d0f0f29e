"""Which zone a user is in: that of the nearest site. The moments of a change are exact, not sampled."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traces.geography import Numbers
from traces.mobility.paths import Integers, Mobility

_BLOCK = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class ZoneChanges:
    """Zones of users over time.

    Attributes:
        initial: [users] int64, zone of each user before its first change.
        time_seconds: [changes] float64, ascending.
        user: [changes] int64.
        zone: [changes] int64, the zone that the user enters.
    """

    initial: Integers
    time_seconds: Numbers
    user: Integers
    zone: Integers

    def at(self, seconds: float) -> Integers:
        """[users] int64, zone of each user at a moment."""
        zones = self.initial.copy()
        last = int(np.searchsorted(self.time_seconds, seconds, side="right"))
        zones[self.user[:last]] = self.zone[:last]  # NumPy writes in order, so the last change stays
        return zones


def zone_changes(mobility: Mobility, latitude: Numbers, longitude: Numbers) -> ZoneChanges:
    """The zones that users pass; a zone is all that is nearer to its centre than to any other.

    Centres are sites, or the middles of grid cells, whose zones are then the cells. A zone is convex, so a straight
    line whose ends are in one zone never leaves it; along the others, the squared distances to two centres differ by a
    linear function of time, so that the moment at which one becomes nearer is the root of it.

    Args:
        mobility: positions of the users.
        latitude: [zones], of the centres, degrees.
        longitude: [zones], likewise.
    """
    plane = mobility.projection
    centres = plane.to_meters(latitude, longitude)
    points = plane.to_meters(mobility.latitude, mobility.longitude)
    from scipy.spatial import cKDTree  # a second to import, and few traces are cities

    _, nearest = cKDTree(centres).query(points)
    nearest = np.asarray(nearest, np.int64)
    user = np.repeat(np.arange(mobility.num_users), np.diff(mobility.first))
    legs = np.flatnonzero((np.diff(user) == 0) & (np.diff(nearest) != 0))
    parts = [_walk(points, centres, nearest, legs[at : at + _BLOCK]) for at in range(0, len(legs), _BLOCK)]
    leg, share, zone = (np.concatenate(each) for each in zip(*parts, strict=True)) if parts else _nothing()
    times = mobility.time_seconds
    moment = times[leg] + share * (times[leg + 1] - times[leg])
    order = np.lexsort((share, leg, moment))
    return ZoneChanges(nearest[mobility.first[:-1]], moment[order], user[leg][order], zone[order])


def _nothing() -> tuple[NDArray[np.int64], Numbers, NDArray[np.int64]]:
    return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)


def _walk(points: Numbers, centres: Numbers, nearest: Integers, legs: Integers) -> tuple[Integers, Numbers, Integers]:
    """Leg, share of the leg and zone entered of every change on some legs: the lower envelope of lines, all at once."""
    start, step = points[legs], points[legs + 1] - points[legs]
    # |p + s d - q|^2 without its terms that are the same for all q: a line in s.
    height = (centres**2).sum(axis=1) - 2 * start @ centres.T
    slope = -2 * step @ centres.T
    zone, last = nearest[legs].copy(), nearest[legs + 1]
    share, row = np.zeros(len(legs)), np.arange(len(legs))
    found: list[tuple[Integers, Numbers, Integers]] = []
    while len(row):
        gap = height[row] - height[row, zone[row]][:, None]
        closing = slope[row, zone[row]][:, None] - slope[row]
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = np.where(closing > 0, gap / closing, np.inf)
        crossing = np.maximum(crossing, share[row][:, None])
        # At a corner of several zones the steepest descent is the one that stays nearest.
        least = crossing.min(axis=1)
        ties = np.where(crossing <= least[:, None] + 1e-12, closing, -np.inf)
        entered = ties.argmax(axis=1)
        inside = least <= 1.0
        late = row[~inside]  # by the last bit of a root at the end of the leg
        found.append((legs[late], np.ones(len(late)), last[late]))
        row, entered, least = row[inside], entered[inside], least[inside]
        found.append((legs[row], least, entered))
        zone[row], share[row] = entered, least
        row = row[entered != last[row]]
    leg, moment, entered = (np.concatenate(each) for each in zip(*found, strict=True))
    return leg, moment, entered
