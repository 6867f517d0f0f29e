"""Users who live in a city: trips along its roads between home, work and errands, in the rhythm of the day.

The shape is the usual one of travel surveys: two peaks of commuting on working days, errands in between and at the
weekend. Its numbers are assumptions, each a field of `TripModel`.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from configs.checks import check_number
from traces.errors import TraceURIError
from traces.geography import Numbers
from traces.mobility.paths import Integers, Mobility
from traces.roads.graph import NO_NODE, RoadGraph

DAY_SECONDS = 86_400.0
WORKING_DAYS = 5
MOST_USERS, MOST_PLACES = 200_000, 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TripModel:
    """How users move.

    Attributes:
        users: how many.
        days: length; day 0 is a Monday.
        places: nodes at which homes, workplaces and errands are, drawn among all.
        workers: share of users who commute on working days.
        leave_hour: mean hour of leaving home for work.
        return_hour: mean hour of leaving work.
        spread_hours: standard deviation of both.
        errands_per_day: expected errands a user and day; an errand is a trip there and one back.
        errand_minutes: mean stay there.
        pace_spread: standard deviation of the logarithm of a user's speed as a factor of the road's.
    """

    users: int = 200
    days: float = 1.0
    places: int = 120
    workers: float = 0.7
    leave_hour: float = 8.0
    return_hour: float = 17.5
    spread_hours: float = 0.8
    errands_per_day: float = 1.0
    errand_minutes: float = 40.0
    pace_spread: float = 0.15

    def __post_init__(self) -> None:
        """Refuse numbers without meaning.

        Raises:
            TraceURIError: names the field.
        """
        check_number("users", self.users, TraceURIError, low=1, high=MOST_USERS)
        check_number("days", self.days, TraceURIError, above=0, high=366)
        check_number("places", self.places, TraceURIError, low=2, high=MOST_PLACES)
        check_number("workers", self.workers, TraceURIError, low=0, high=1)
        for name in ("leave_hour", "return_hour"):
            check_number(name, getattr(self, name), TraceURIError, low=0, high=24)
        check_number("spread_hours", self.spread_hours, TraceURIError, low=0, high=12)
        check_number("errands_per_day", self.errands_per_day, TraceURIError, low=0, high=100)
        check_number("errand_minutes", self.errand_minutes, TraceURIError, above=0, high=1440)
        check_number("pace_spread", self.pace_spread, TraceURIError, low=0, high=1)


def generate_trips(
    roads: RoadGraph,
    model: TripModel,
    generator: np.random.Generator,
    homes: Integers | None = None,
    *,
    source: str = "generated trips",
) -> Mobility:
    """Positions of generated users.

    Args:
        roads: a connected road graph.
        model: how they move.
        generator: of all random numbers.
        homes: [users] int64, node at which each lives; None: drawn.
        source: what messages call it.
    """
    places = np.unique(generator.choice(roads.num_nodes, min(model.places, roads.num_nodes), replace=False))
    home = generator.choice(places, model.users) if homes is None else homes
    stops = np.unique(np.concatenate([places, home]))
    _, before = roads.quickest(stops)
    ways = _Ways(roads, stops, before)
    work = generator.choice(places, model.users)
    works = generator.random(model.users) < model.workers
    pace = np.exp(model.pace_spread * generator.standard_normal(model.users))
    times, points, counts = [], [], []
    for user in range(model.users):
        visits = _visits(model, generator, int(home[user]), int(work[user]), bool(works[user]), places)
        time, place = _track(ways, visits, int(home[user]), float(pace[user]))
        times.append(time)
        points.append(place)
        counts.append(len(time))
    place = np.concatenate(points)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    names = tuple(f"user-{user}" for user in range(model.users))
    return Mobility(names, first, np.concatenate(times), place[:, 0], place[:, 1], source=source, licence=roads.licence)


def _visits(
    model: TripModel, generator: np.random.Generator, home: int, work: int, works: bool, places: Integers
) -> list[tuple[float, int]]:
    """(second of departure, node that the user goes to), in order."""
    found: list[tuple[float, int]] = []
    for day in range(int(np.ceil(model.days))):
        midnight = day * DAY_SECONDS
        if works and day % 7 < WORKING_DAYS:
            leave, back = generator.normal((model.leave_hour, model.return_hour), model.spread_hours)
            leave = float(np.clip(leave, 0.0, 23.0))
            found.append((midnight + leave * 3600, work))
            found.append((midnight + float(np.clip(back, leave + 0.5, 23.9)) * 3600, home))
        for _ in range(int(generator.poisson(model.errands_per_day))):
            start = midnight + float(np.clip(generator.normal(14.0, 3.5), 6.0, 22.0)) * 3600
            stay = 60.0 * float(generator.exponential(model.errand_minutes))
            found.append((start, int(generator.choice(places))))
            found.append((start + stay, home))
    end = model.days * DAY_SECONDS
    return sorted(visit for visit in found if visit[0] < end)


class _Ways:
    """The course of each quickest way, as places and seconds."""

    def __init__(self, roads: RoadGraph, stops: Integers, before: Integers) -> None:
        self._roads, self._before = roads, before
        self._row = {int(node): row for row, node in enumerate(stops)}
        self._edge = roads.quickest_edge()
        self._nodes = np.stack([roads.latitude, roads.longitude], axis=1)
        self._known: dict[tuple[int, int], tuple[Numbers, Numbers]] = {}

    def place(self, node: int) -> Numbers:
        """[2] latitude and longitude."""
        place: Numbers = self._nodes[node]
        return place

    def way(self, start: int, end: int) -> tuple[Numbers, Numbers]:
        """[points] seconds from the start at the roads' speeds, and [points, 2] places."""
        if (start, end) not in self._known:
            self._known[start, end] = self._find(start, end)
        return self._known[start, end]

    def _find(self, start: int, end: int) -> tuple[Numbers, Numbers]:
        before = self._before[self._row[start]]
        nodes = [end]
        while before[nodes[-1]] != NO_NODE:
            nodes.append(int(before[nodes[-1]]))
        nodes.reverse()
        seconds, places = [np.zeros(1)], [self._nodes[nodes[:1]]]
        now = 0.0
        for pair in pairwise(nodes):
            edge = self._edge[pair]
            taken = float(self._roads.length_meters[edge] / self._roads.speed[edge])
            course = np.vstack([places[-1][-1:], self._roads.shape.get(edge, _NO_POINTS), self._nodes[[pair[1]]]])
            lengths = np.hypot(*np.diff(course, axis=0).T)
            share = np.cumsum(lengths) / max(float(lengths.sum()), 1e-12)
            seconds.append(now + taken * share)
            places.append(course[1:])
            now += taken
        return np.concatenate(seconds), np.concatenate(places)


_NO_POINTS = np.zeros((0, 2))


def _track(ways: _Ways, visits: list[tuple[float, int]], home: int, pace: float) -> tuple[Numbers, NDArray[np.float64]]:
    """The points of a user, who leaves for the next visit late where the last trip took longer."""
    times, places = [np.zeros(1)], [ways.place(home)[None]]
    now, at = 0.0, home
    for departure, goal in visits:
        if goal == at:
            continue
        seconds, points = ways.way(at, goal)
        leave = max(departure, now)
        times.append(leave + seconds / pace)
        places.append(points)
        now, at = float(times[-1][-1]), goal
    return np.concatenate(times), np.concatenate(places)
