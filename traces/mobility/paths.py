"""Positions of users over time: each moves in straight lines, at even speed, between the moments that are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from traces.errors import TraceValueError
from traces.geography import Numbers, Projection, outside

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MobilitySummary:
    """Statistics of positions.

    Attributes:
        source: the data set.
        licence: of the data.
        users: who is seen.
        points: known positions.
        start_time: local wall-clock time of second 0, ISO 8601; "" where it is not known.
        span_seconds: from second 0 to the last point.
        kilometers: that all users travel.
        moving_share: share of the time in which a user moves, of the time between first and last point.
        width_meters: extent from west to east.
        height_meters: extent from south to north.
    """

    source: str
    licence: str
    users: int
    points: int
    start_time: str
    span_seconds: float
    kilometers: float
    moving_share: float
    width_meters: float
    height_meters: float

    def rows(self) -> list[tuple[str, str]]:
        """For humans: names and texts."""
        return [
            ("source", f"{self.source}; licence: {self.licence}"),
            ("second 0", self.start_time or "local time not known"),
            ("users", f"{self.users:,}, {self.points:,} positions"),
            ("span", f"{self.span_seconds / 3600:.2f} h"),
            ("travelled", f"{self.kilometers:,.1f} km, moving {self.moving_share:.1%} of the time"),
            ("extent", f"{self.width_meters / 1000:.2f} km by {self.height_meters / 1000:.2f} km"),
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Mobility:
    """Positions of users. Build one with `traces.load_mobility(uri)` or `Mobility.from_points`.

    Before its first point a user stands there, and after the last one there.

    Attributes:
        user_id: name of each user.
        first: [users + 1] int64, where the points of each user begin.
        time_seconds: [points] float64, seconds from second 0, not descending within a user.
        latitude: [points] float64, degrees, WGS 84.
        longitude: [points] float64, degrees.
        start_time: local wall-clock time of second 0; None: not known.
        source: the data set.
        licence: of the data.
    """

    user_id: tuple[str, ...]
    first: Integers
    time_seconds: Numbers
    latitude: Numbers
    longitude: Numbers
    start_time: datetime | None = None
    source: str = "unknown"
    licence: str = "unknown"

    @classmethod
    def from_points(
        cls,
        user: Sequence[str],
        time_seconds: Numbers,
        latitude: Numbers,
        longitude: Numbers,
        *,
        source: str,
        licence: str = "unknown",
        start_time: datetime | None = None,
        row: str = "row",
    ) -> "Mobility":
        """Checked positions from points in the order of a file, users in any mixture.

        Args:
            user: who is at each point.
            time_seconds: [points].
            latitude: [points], degrees.
            longitude: [points], degrees.
            source: the file, for messages.
            licence: of the data.
            start_time: see the class.
            row: what the file calls a point, for messages.

        Raises:
            TraceValueError: there is no point, one lies nowhere, or the times of a user go backwards: names the row.
        """
        if not len(user):
            raise TraceValueError(f"{source}: holds no position; check that it is the right file")
        bad = outside(latitude, longitude) | ~np.isfinite(time_seconds)
        if bad.any():
            index = int(bad.argmax())
            point = f"({latitude[index]}, {longitude[index]}) at {time_seconds[index]} s"
            raise TraceValueError(f"{source}: {row} {index + 1}: user {user[index]} is at {point}, which is no place")
        names, codes = np.unique(np.asarray(user, dtype=np.str_), return_inverse=True)
        order = np.argsort(codes, kind="stable")
        times = np.asarray(time_seconds, np.float64)[order]
        backwards = (np.diff(times) < 0) & (np.diff(codes[order]) == 0)
        if backwards.any():
            # The first such row in the file, whichever user it is of.
            index = min(int(order[place + 1]) for place in np.flatnonzero(backwards))
            before = times[int(np.flatnonzero(order == index)[0]) - 1]
            raise TraceValueError(
                f"{source}: {row} {index + 1}: user {user[index]} is there at {time_seconds[index]:.10g} s, after "
                f"{before:.10g} s: the times of a user must not go backwards; sort the file by time"
            )
        first = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(names)))]).astype(np.int64)
        places = latitude[order], longitude[order]
        return cls(tuple(names.tolist()), first, times, *places, start_time, source, licence)

    @property
    def num_users(self) -> int:
        """Who is seen."""
        return len(self.user_id)

    @property
    def span_seconds(self) -> float:
        """From second 0 to the last point."""
        return float(self.time_seconds.max())

    @property
    def projection(self) -> Projection:
        """The plane around the middle of all points."""
        return Projection.around(self.latitude, self.longitude)

    def of(self, user: Integers, seconds: Numbers) -> tuple[Numbers, Numbers]:
        """Latitude and longitude of users at moments of their own, [K] float64 each.

        Args:
            user: [K] int64, numbers of users, in any order.
            seconds: [K] float64, a moment for each.
        """
        owner = np.repeat(np.arange(self.num_users), np.diff(self.first))
        # One search over all users: a user's number in front of each moment keeps them apart.
        scale = max(float(self.time_seconds.max()), float(seconds.max(initial=0.0))) + 1.0
        after = np.searchsorted(owner * scale + self.time_seconds, user * scale + seconds, side="right")
        return self._between(after, user, seconds)

    def at(self, seconds: float) -> tuple[Numbers, Numbers]:
        """Latitude and longitude of every user at a moment, [users] float64 each."""
        after = np.array(
            [
                start + np.searchsorted(self.time_seconds[start:end], seconds, side="right")
                for start, end in zip(self.first[:-1], self.first[1:], strict=True)
            ]
        )
        return self._between(after, np.arange(self.num_users), np.full(self.num_users, seconds))

    def _between(self, after: Integers, user: Integers, seconds: Numbers) -> tuple[Numbers, Numbers]:
        """Places of users on the way to the points that come next."""
        first, end = self.first[user], self.first[user + 1]
        right = np.clip(after, first, end - 1)
        left = np.maximum(after - 1, first)
        length = self.time_seconds[right] - self.time_seconds[left]
        passed = np.clip(seconds - self.time_seconds[left], 0.0, None)
        share = np.divide(passed, length, out=np.zeros_like(length), where=length > 0)
        latitude, longitude = (
            values[left] + np.minimum(share, 1.0) * (values[right] - values[left])
            for values in (self.latitude, self.longitude)
        )
        return latitude, longitude

    def summary(self) -> MobilitySummary:
        """Its statistics."""
        meters = self.projection.to_meters(self.latitude, self.longitude)
        inside = np.ones(len(meters) - 1, np.bool_)
        inside[self.first[1:-1] - 1] = False
        lengths = np.hypot(*np.diff(meters, axis=0).T)[inside]
        spans = np.diff(self.time_seconds)[inside]
        width, height = np.ptp(meters, axis=0).tolist()
        return MobilitySummary(
            source=self.source,
            licence=self.licence,
            users=self.num_users,
            points=len(self.time_seconds),
            start_time="" if self.start_time is None else self.start_time.isoformat(),
            span_seconds=self.span_seconds,
            kilometers=float(lengths.sum()) / 1000,
            moving_share=float(spans[lengths > 0].sum() / max(float(spans.sum()), 1e-9)),
            width_meters=width,
            height_meters=height,
        )
