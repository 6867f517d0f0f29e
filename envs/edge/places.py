"""What lies where in a city, and how it stands: roads and places as metres, and each place at a moment."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.containers import state as st
from envs.containers.problem import UJ_PER_KWH
from envs.edge.batch import CityBatch
from envs.edge.calls import zones_at
from envs.edge.city import City

MIB_PER_GB = 953.674
STATE_COLUMNS = (
    *("on", "cpu_cores", "memory_gb", "gpus", "watts", "pulling", "starting", "warm", "busy"),
    "queue",
)
"""What `place_states` tells: how much is in use, the power, containers by state, and requests that wait."""


def road_lines(city: City) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The streets, each once: [R, 4] float64 lines from x, y to x, y in metres, and [R] int64 the edge of each."""
    roads, plane = city.roads, city.projection
    nodes = plane.to_meters(roads.latitude, roads.longitude)
    lines: list[tuple[float, float, float, float]] = []
    edges: list[int] = []
    drawn: set[tuple[int, int]] = set()
    for edge in range(roads.num_edges):
        source, target = int(roads.source[edge]), int(roads.target[edge])
        if (target, source) in drawn:
            continue  # the other direction of the same street
        drawn.add((source, target))
        course = nodes[[source, target]]
        if edge in roads.shape:
            points = roads.shape[edge]
            course = np.vstack([course[:1], plane.to_meters(points[:, 0], points[:, 1]), course[1:]])
        for start, end in pairwise(course):
            lines.append((*start, *end))
            edges.append(edge)
    return np.array(lines, np.float64).reshape(-1, 4), np.array(edges, np.int64)


def place_meters(city: City) -> NDArray[np.float64]:
    """[P, 2] float64: where sites are, metres; the cloud, if there is one, stands beside the map."""
    meters = city.projection.to_meters(city.sites.latitude, city.sites.longitude)
    if len(city.problem.place) > city.num_sites:
        low, high = meters.min(axis=0), meters.max(axis=0)
        meters = np.vstack([meters, [high[0] + 0.15 * (high[0] - low[0]) + 100.0, high[1]]])
    return np.asarray(meters, np.float64)


def place_capacities(city: City) -> NDArray[np.float64]:
    """[P, 3] float64: CPU cores, memory in GB and GPUs of each place."""
    problem = city.problem
    totals = np.zeros((len(problem.place), 3))
    columns = [st.NODE_CPU, st.NODE_MEMORY, st.NODE_GPU]
    np.add.at(totals, problem.node[:, st.PLACE], problem.node[:, columns].astype(np.float64))
    return totals / [1000.0, MIB_PER_GB, 1000.0]


def place_states(batch: CityBatch, world: int = 0) -> NDArray[np.float64]:
    """[P, 10] float64: how each place of a world stands; columns as in `STATE_COLUMNS`."""
    memory, problem, now_ms = batch.world, batch.city.problem, int(batch.time_ms[world])
    places = len(problem.place)
    found = np.zeros((places, len(STATE_COLUMNS)))
    node, place = memory.node[world], problem.node[:, st.PLACE]
    np.maximum.at(found[:, 0], place, (node[:, st.NODE_STATE] == st.ON).astype(np.float64))
    for column, free, there, scale in (
        (1, st.FREE_CPU, st.NODE_CPU, 1000.0),
        (2, st.FREE_MEMORY, st.NODE_MEMORY, MIB_PER_GB),
        (3, st.FREE_GPU, st.NODE_GPU, 1000.0),
    ):
        np.add.at(found[:, column], place, (problem.node[:, there] - node[:, free]) / scale)
    found[:, 4] = memory.rate[world, :, : st.ENERGIES].sum(axis=1) / 1000.0
    container = memory.container[world]
    live = container[container[:, st.STATE] != st.ABSENT]
    at, state = problem.node[live[:, st.NODE], st.PLACE], live[:, st.STATE]
    pulls = (state == st.STARTED) & (live[:, st.PULLED_MS] > now_ms)
    kinds = (pulls, (state == st.STARTED) & ~pulls, state == st.WARM, state == st.BUSY)
    for column, kind in enumerate(kinds, 5):
        np.add.at(found[:, column], at[kind], 1)
    found[:, 9] = memory.key[world, :, st.QUEUED].reshape(-1, places).sum(axis=0)
    return found


def serving_places(batch: CityBatch, world: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where the zone of each user is routed to for the first function.

    Returns:
        [U] int64, the place; [U] float64, the way there and back, ms.
    """
    city = batch.city
    user = np.arange(city.users.num_users)
    zone = zones_at(city.changes, user, np.full(len(user), int(batch.time_ms[world])))
    place = batch.world.route[world, zone, 0]
    return place, 2.0 * city.problem.latency_ms[zone, place]


def place_grams_per_kwh(city: City, time_ms: int) -> NDArray[Any]:
    """[P] float64: carbon intensity of each place at a moment."""
    problem = city.problem
    piece = max(int(np.searchsorted(problem.edges_ms, time_ms, side="right")) - 1, 0)
    return np.asarray(problem.g_per_uj[piece] * UJ_PER_KWH, np.float64)
