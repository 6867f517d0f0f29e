"""From a scenario to what the kernels read: the map, zones, latencies, hubs, calls and the containers' problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

import traces
from envs.containers import state as st
from envs.containers.config import PlaceConfig
from envs.containers.objective import MS_PER_HOUR
from envs.containers.problem import Tariff, constant_tariff, make_problem, make_requests, sleep_ms
from envs.containers.state import Problem
from envs.edge.calls import DAY_SECONDS, Calls, make_calls, moves_of, request_classes, zones_at
from envs.edge.config import CityConfig
from envs.edge.hazard import hazard_prices
from envs.edge.tables import CENTER, CLOUD, HUB, LEAST_LOADED, NEIGHBOURS, OWN, CityTables, Integers, Numbers
from envs.errors import EnvironmentConfigError
from traces.formats.trips import trips_on
from traces.geography import Projection
from traces.mobility import Mobility, ZoneChanges, zone_changes
from traces.roads import RoadGraph
from traces.signals import align
from traces.sites import Sites
from traces.uri import TraceURI

USERS_STEP_MS = 300_000
"""Users of each zone are counted so often."""


@dataclass(frozen=True, eq=False)
class City:
    """A scenario that was loaded and checked.

    Attributes:
        config: the scenario.
        roads: the road network.
        sites: the edge sites; each is the centre of a zone.
        users: positions.
        changes: zones of the users over time.
        calls: who calls what when.
        hubs: [hubs] int64, sites that are hubs.
        problem: of the containers; its last place is the cloud, where there is one.
        sleep_ms: [N] int64, idle time-out of the nodes as configured.
        tables: what the city's own kernels read.
        starts_ms: [windows, 2] int64, between which moments of each day an episode may begin.
    """

    config: CityConfig
    roads: RoadGraph
    sites: Sites
    users: Mobility
    changes: ZoneChanges
    calls: Calls
    hubs: Integers
    problem: Problem
    sleep_ms: Integers
    tables: CityTables
    starts_ms: Integers

    @property
    def num_sites(self) -> int:
        """Edge sites, and so zones."""
        return self.sites.num_sites

    @property
    def num_days(self) -> int:
        """Days that positions cover, the last one perhaps in part."""
        return int(np.ceil(_span_days(self.users)))

    @property
    def projection(self) -> Projection:
        """The plane in which distances are measured."""
        return self.roads.projection


def load_city(config: CityConfig) -> City:
    """Load a scenario.

    Raises:
        TraceError: roads, sites or positions cannot be read, the roads are not connected, a site is off the map, or a
            user's time goes backwards.
        EnvironmentConfigError: a function fits no node or names an unknown layer; nothing is called; no episode fits.
    """
    roads = traces.load_roads(config.roads)
    sites = _sites(config, roads)
    is_here = TraceURI.parse(config.users).path == "*"
    users = trips_on(roads, config.users) if is_here else traces.load_mobility(config.users)
    changes = zone_changes(users, sites.latitude, sites.longitude)
    span_days = _span_days(users)
    calls = make_calls(config, users.num_users, span_days, np.random.default_rng([config.seed, 1]))
    hubs = _hubs(config, roads, sites)
    problem, sleeps = _problem(config, roads, sites, users, changes, calls)
    tables = _tables(config, roads, sites, users, changes, hubs, problem)
    starts = _starts(config, span_days)
    return City(config, roads, sites, users, changes, calls, hubs, problem, sleeps, tables, starts)


def _span_days(users: Mobility) -> float:
    """Days that calls are made for: whole ones where positions cover most of one, as last trips end before or after it.

    Users that stand still are there for a day.
    """
    days = users.span_seconds / DAY_SECONDS
    return float(round(days)) if days > 0.5 else days or 1.0


def _sites(config: CityConfig, roads: RoadGraph) -> Sites:
    if isinstance(config.sites, str):
        sites = traces.load_sites(config.sites)
        if config.off_map == "leave_out":
            return sites.within(roads)
        sites.check_on(roads)
        return sites
    if config.sites > roads.num_nodes:
        raise EnvironmentConfigError(
            f"sites is {config.sites}; {roads.name} has {roads.num_nodes} nodes to build them at, choose fewer"
        )
    meters = roads.projection.to_meters(roads.latitude, roads.longitude)
    chosen = spread(meters, config.sites, int(np.random.default_rng([config.seed, 0]).integers(len(meters))))
    names = [f"site-{number}" for number in range(len(chosen))]
    places = roads.latitude[chosen], roads.longitude[chosen]
    return Sites.from_places(names, *places, source=f"{config.sites} generated sites", licence=roads.licence)


def spread(meters: Numbers, count: int, first: int) -> Integers:
    """[count] int64, places that lie far from each other: each is the farthest from those before it.

    Args:
        meters: [places, 2].
        count: how many are chosen.
        first: the first one.

    Source: Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985.
    """
    chosen = [first]
    distance = np.hypot(*(meters - meters[first]).T)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.hypot(*(meters - meters[chosen[-1]]).T))
    return np.array(chosen, np.int64)


def _hubs(config: CityConfig, roads: RoadGraph, sites: Sites) -> Integers:
    meters = roads.projection.to_meters(sites.latitude, sites.longitude)
    middle = int(np.hypot(*(meters - meters.mean(axis=0)).T).argmin())
    count = max(1, round(sites.num_sites / config.sites_per_hub))
    return np.sort(spread(meters, count, middle))


def _problem(
    config: CityConfig, roads: RoadGraph, sites: Sites, users: Mobility, changes: ZoneChanges, calls: Calls
) -> tuple[Problem, Integers]:
    links = config.links
    places = [PlaceConfig(name, tuple(config.site_nodes), links.site_mib_per_second) for name in sites.site_id]
    if config.cloud_nodes:
        places.append(PlaceConfig("cloud", tuple(config.cloud_nodes), links.cloud_mib_per_second))
    latency = _latency(config, roads, sites, len(places))
    origin = zones_at(changes, calls.user, calls.sent_ms)
    up_ms, down_ms = _link_ms(config, sites, users, calls, origin)
    request = make_requests(
        calls.sent_ms, calls.function, calls.run_ms, origin, calls.user, up_ms=up_ms, down_ms=down_ms
    )
    problem = make_problem(
        config.functions,
        config.layers,
        places,
        request,
        _tariff(config, users, len(places)),
        latency_ms=latency,
        moves=moves_of(changes),
        hand_over=config.hand_over,
        usd_per_tonne=config.prices.usd_per_tonne,
    )
    return problem, sleep_ms(places)


def _link_ms(
    config: CityConfig, sites: Sites, users: Mobility, calls: Calls, origin: Integers
) -> tuple[Integers, Integers]:
    """[I] ms each: how long a request and its answer take the link of its zone, see `LinkConfig`.

    The rate is that of where the user is as it sends.
    """
    rate = config.links.access_mib_per_second
    if rate is None:
        nothing = np.zeros(len(origin), np.int64)
        return nothing, nothing
    plane = users.projection
    place = plane.to_meters(*users.of(calls.user, calls.sent_ms / 1000))
    distance = np.hypot(*(place - plane.to_meters(sites.latitude, sites.longitude)[origin]).T)
    ms_per_kib = (1.0 + (distance / config.links.half_rate_meters) ** 2) * 1000.0 / (1024.0 * rate)
    kib = np.array([(function.request_kib, function.answer_kib) for function in config.functions])[calls.function]
    up, down = np.ceil(kib * ms_per_kib[:, None]).astype(np.int64).T
    return np.ascontiguousarray(up), np.ascontiguousarray(down)


def _latency(config: CityConfig, roads: RoadGraph, sites: Sites, places: int) -> Integers:
    """[S, P] int64 ms, one way, from a user in a zone to a place."""
    links = config.links
    meters = roads.projection.to_meters(sites.latitude, sites.longitude)
    distance = np.hypot(*(meters[:, None] - meters[None]).transpose(2, 0, 1)) / 1000
    latency = np.full((sites.num_sites, places), links.access_ms + links.cloud_ms)
    latency[:, : sites.num_sites] = links.access_ms + links.hop_ms + links.ms_per_km * distance
    latency[np.arange(sites.num_sites), np.arange(sites.num_sites)] = links.access_ms
    return np.round(latency).astype(np.int64)


def _tariff(config: CityConfig, users: Mobility, places: int) -> Tariff:
    prices = config.prices
    if config.carbon is None:
        return constant_tariff(prices.usd_per_kwh, prices.carbon_g_per_kwh, places)
    signal = traces.load_signal(config.carbon)
    if signal.quantity != "carbon":
        raise EnvironmentConfigError(f"carbon is {config.carbon!r}, a signal of {signal.quantity}, not of carbon")
    zero = signal.first_seconds  # of positions without dates
    if users.start_time is not None:
        span = (0.0, max(users.span_seconds, DAY_SECONDS))
        zero = align(signal, trace_start=users.start_time, span_seconds=span).zero_seconds
    edges = np.round(1000 * (signal.start_seconds - zero)).astype(np.int64)
    shape = (len(edges), places)
    grams = np.broadcast_to(signal.values[:, None], shape).copy()
    return Tariff(edges, np.full(shape, prices.usd_per_kwh), grams)


def _tables(
    config: CityConfig,
    roads: RoadGraph,
    sites: Sites,
    users: Mobility,
    changes: ZoneChanges,
    hubs: Integers,
    problem: Problem,
) -> CityTables:
    count = sites.num_sites
    meters = roads.projection.to_meters(sites.latitude, sites.longitude)
    nearest = min(NEIGHBOURS, count)
    _, neighbours = cKDTree(meters).query(meters, k=list(range(1, nearest + 1)))
    rows = np.concatenate([neighbours, np.repeat(neighbours[:, :1], NEIGHBOURS - nearest, axis=1)], axis=1)
    rows[:, 0] = np.arange(count)  # sites may share a place
    _, hub = cKDTree(meters[hubs]).query(meters)
    routes = np.zeros((count, 5), np.int64)
    routes[:, OWN] = routes[:, LEAST_LOADED] = np.arange(count)
    routes[:, HUB] = hubs[hub]
    routes[:, CENTER] = hubs[np.hypot(*(meters[hubs] - meters.mean(axis=0)).T).argmin()]
    routes[:, CLOUD] = len(problem.place) - 1 if config.cloud_nodes else hubs[hub]
    is_hub = np.zeros(count, np.int64)
    is_hub[hubs] = 1
    cold, keep = hazard_prices(config, problem)
    prices = config.prices
    return CityTables(
        routes=routes,
        neighbours=np.ascontiguousarray(rows, np.int64),
        is_hub=is_hub,
        request_class=request_classes(config.functions, config.loose_deadline_seconds),
        first_member=np.concatenate([[0], np.cumsum(np.bincount(hub, minlength=len(hubs)))]).astype(np.int64),
        member=np.argsort(hub, kind="stable").astype(np.int64),
        capacity=_capacity(problem),
        users=_users_by_zone(users, changes, count),
        users_ms=np.array([0, USERS_STEP_MS], np.int64),
        cold_usd=cold,
        keep_mw=keep,
        prices=np.array([prices.usd_per_waited_hour / MS_PER_HOUR, prices.usd_per_late]),
        interval_ms=np.array([round(1000 * config.decision_interval_seconds)], np.int64),
    )


def _capacity(problem: Problem) -> Integers:
    """[P] int64, containers of the function that needs the most which a place holds, at least 1."""
    wanted = problem.function[:, [st.MEMORY, st.CPU, st.GPU]].max(axis=0)
    there = problem.node[:, [st.NODE_MEMORY, st.NODE_CPU, st.NODE_GPU]]
    fits = np.min(there // np.maximum(wanted, 1)[None] + (wanted == 0)[None] * (1 << 30), axis=1)
    found = np.zeros(len(problem.place), np.int64)
    np.add.at(found, problem.node[:, st.PLACE], fits)
    return np.maximum(found, 1)


def _users_by_zone(users: Mobility, changes: ZoneChanges, zones: int) -> NDArray[np.int32]:
    """[moments, S] int32."""
    moments = np.arange(0, max(users.span_seconds, 1.0) * 1000 + USERS_STEP_MS, USERS_STEP_MS)
    counts = np.zeros((len(moments), zones), np.int64)
    counts[0] = np.bincount(changes.initial, minlength=zones)
    if len(changes.user):
        order = np.lexsort((changes.time_seconds, changes.user))
        user, zone = changes.user[order], changes.zone[order]
        before = np.concatenate([[0], zone[:-1]])
        before = np.where(np.concatenate([[True], user[1:] != user[:-1]]), changes.initial[user], before)
        at = np.minimum((changes.time_seconds[order] * 1000 // USERS_STEP_MS).astype(np.int64) + 1, len(moments) - 1)
        np.add.at(counts, (at, zone), 1)
        np.add.at(counts, (at, before), -1)
    return np.cumsum(counts, axis=0).astype(np.int32)


def _starts(config: CityConfig, span_days: float) -> Integers:
    """[days, 2] int64 ms, the first and the last moment at which an episode of each day may begin."""
    first, end = config.days or (0, int(np.ceil(span_days)))
    hour_ms, day_ms = int(MS_PER_HOUR), round(1000 * DAY_SECONDS)
    length = round(1000 * config.episode_seconds)
    low, high = (round(hour * hour_ms) for hour in config.day_hours)
    if low == 0 and high == day_ms:  # days follow each other
        rows = [[first * day_ms, end * day_ms - length]]
    else:
        rows = [[day * day_ms + low, day * day_ms + high - length] for day in range(first, end)]
    last = round(span_days * day_ms) - length
    rows = [[begin, min(latest, last)] for begin, latest in rows]
    if rows[0][1] < rows[0][0]:
        hours = (rows[0][1] + length - rows[0][0]) / hour_ms
        raise EnvironmentConfigError(
            f"episode_seconds is {config.episode_seconds:g}; calls are made for {hours:g} hours on end, choose at most "
            f"{hours * 3600:g}"
        )
    return np.array(rows, np.int64)
