"""Generated users of a city: trips along a road network, whose URI is the path."""

from dataclasses import dataclass, field, fields

import numpy as np

from configs.errors import did_you_mean
from traces.errors import TraceURIError
from traces.format import Format
from traces.mobility.paths import Integers, Mobility
from traces.mobility.trips import TripModel, generate_trips
from traces.options import parse
from traces.roads.graph import RoadGraph
from traces.sites import OFF_MAP_METERS
from traces.uri import TraceURI

_MODEL = TripModel()


@dataclass(frozen=True, slots=True)
class Options:
    """Options of trips."""

    users: int | None = field(
        default=None, metadata={"help": f"how many; else {_MODEL.users}, or as many as live at homes"}
    )
    days: float = field(default=_MODEL.days, metadata={"help": "length, days; day 0 is a Monday"})
    seed: int = field(default=0, metadata={"help": "the same seed gives the same users"})
    homes: str | None = field(
        default=None, metadata={"help": "URI of positions: each user lives at the first one of a user there, in turn"}
    )
    places: int = field(default=_MODEL.places, metadata={"help": "nodes at which homes, work and errands are"})
    workers: float = field(default=_MODEL.workers, metadata={"help": "share of users who commute on working days"})
    leave_hour: float = field(default=_MODEL.leave_hour, metadata={"help": "mean hour of leaving home for work"})
    return_hour: float = field(default=_MODEL.return_hour, metadata={"help": "mean hour of leaving work"})
    spread_hours: float = field(default=_MODEL.spread_hours, metadata={"help": "standard deviation of both, hours"})
    errands_per_day: float = field(default=_MODEL.errands_per_day, metadata={"help": "expected errands of a user"})
    errand_minutes: float = field(default=_MODEL.errand_minutes, metadata={"help": "mean stay at an errand"})
    pace_spread: float = field(default=_MODEL.pace_spread, metadata={"help": "spread of speeds among users, log"})
    component: str = field(default="all", metadata={"help": "of the road graph: all or largest, as its own option"})


def load(path: str, options: Options) -> Mobility:
    """Users who move along the roads of another URI, such as `trips:json-roads:manhattan_network.json.gz?users=500`.

    Raises:
        TraceError: the road network cannot be read, an option is out of range, or a home is off the map.
    """
    from traces.registry import load_roads

    suffix = "" if options.component == "all" else f"?component={options.component}"
    return _generate(load_roads(f"{path}{suffix}"), options)


def trips_on(roads: RoadGraph, uri: str) -> Mobility:
    """Users on a road network that is loaded already, whatever the path of the URI is.

    Raises:
        TraceError: an option is unknown or out of range, or a home is off the map.
    """
    parsed, known = TraceURI.parse(uri), [item.name for item in fields(Options)]
    for name in parsed.options:
        if name not in known:
            raise TraceURIError(f"{uri}: trips has no option {name!r}{did_you_mean(name, known)}")
    return _generate(roads, parse(Options, parsed.options, uri))


def _generate(roads: RoadGraph, options: Options) -> Mobility:
    from traces.registry import load_mobility

    homes = None if options.homes is None else _homes(roads, load_mobility(options.homes))
    users = options.users or (_MODEL.users if homes is None else len(homes))
    shared = {name: getattr(options, name) for name in TripModel.__slots__ if name != "users"}
    model = TripModel(users=users, **shared)
    living = None if homes is None else np.resize(homes, users)
    generator = np.random.default_rng(options.seed)
    return generate_trips(roads, model, generator, living, source=f"generated trips on {roads.name}")


def _homes(roads: RoadGraph, people: Mobility) -> Integers:
    latitude, longitude = (values[people.first[:-1]] for values in (people.latitude, people.longitude))
    node, distance = roads.nearest_nodes(latitude, longitude)
    off = distance > OFF_MAP_METERS
    if off.any():
        user = int(off.argmax())
        raise TraceURIError(
            f"{people.source}: user {people.user_id[user]} lives {distance[user]:,.0f} m from the nearest road of "
            f"{roads.name}, more than {OFF_MAP_METERS:g} m; choose the road graph of this city"
        )
    return node


FORMAT = Format(
    name="trips",
    kind="mobility",
    description="generated users: trips along the roads of another URI",
    options=Options,
    load=load,
    licence="Apache-2.0; places as the road network",
    citation="",
    example="trips:grid-roads:town?users=500&days=2&seed=1",
)
