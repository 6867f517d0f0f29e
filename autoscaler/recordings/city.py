"""Records an episode of a city under policies: map, sites, containers, users and which site serves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscaler.evaluation.provenance import provenance
from autoscaler.recordings.simulated import track_name
from envs.containers import log
from envs.containers import state as st
from envs.containers.objective import MS_PER_HOUR
from envs.containers.problem import UJ_PER_KWH
from envs.edge.batch import CityBatch
from envs.edge.city import City
from envs.edge.evaluation import CityResult, play
from envs.edge.places import (
    STATE_COLUMNS,
    place_capacities,
    place_meters,
    place_states,
    road_lines,
    serving_places,
)
from envs.edge.tables import CENTER, CLOUD, HUB, LEAST_LOADED, OWN, ROUTES
from envs.recording import Head, RecordingWriter, Track
from envs.scores import Actor

USER_STEP_SECONDS = 60.0
LOG_ROWS = 1 << 18
"""Events of a step, and of the warm-up."""
ROAD_KINDS_KMH = (80.0, 60.0, 45.0, 35.0)
"""Speeds from which a road is of kind 0, 1, 2 and 3 of the schema; slower ones are residential, 4."""


def record_city(
    folder: str | Path, city: City, policies: Mapping[str, Actor], start_ms: int, title: str
) -> dict[str, CityResult]:
    """Record the episode that begins at a moment under policies; the first one is the reference.

    Raises:
        RecordingError: the folder is not empty.
        OutputFileError: it cannot be written.
    """
    tracks = tuple(Track(track_name(name, number), name, number == 0) for number, name in enumerate(policies))
    end = start_ms / 1000 + city.config.episode_seconds
    results = {}
    with RecordingWriter(folder, _head(city, tracks, start_ms, title)) as writer:
        writer.add("roads", _roads(city))
        writer.add("sites", _sites(city))
        writer.add("users", _users(city, start_ms / 1000, end))
        writer.add("signals", _signals(city, start_ms, round(1000 * end)))
        for track, (name, actor) in zip(tracks, policies.items(), strict=True):
            sampler = _Sampler(writer, track.name, city)
            results[name] = play(city, actor, [start_ms], sampler.sample, LOG_ROWS)[0]
            writer.flush()
        writer.close(end_seconds=end)
    return results


def _head(city: City, tracks: Sequence[Track], start_ms: int, title: str) -> Head:
    plane, start = city.projection, city.users.start_time
    real = not city.config.roads.startswith("grid-roads:")
    osm = ("© OpenStreetMap contributors",) if real else ()
    return Head(
        "city",
        title,
        tuple(tracks),
        start_seconds=start_ms / 1000,
        start_time=None if start is None else start.isoformat(),
        source={"trace": city.config.users, "version": provenance()["version"], "note": _note(city)},
        zones=("city", "cloud") if city.config.cloud_nodes else ("city",),
        services=tuple(function.name for function in city.config.functions),
        map={"longitude": plane.longitude, "latitude": plane.latitude},
        attribution=osm,
    )


def _note(city: City) -> str:
    roads = "generated" if city.config.roads.startswith("grid-roads:") else "real"
    sites = "real" if isinstance(city.config.sites, str) else "generated"
    users = "generated" if city.config.users.startswith("trips:") else "recorded"
    return f"roads {roads}, sites {sites}, users {users}, calls generated"


def _roads(city: City) -> dict[str, Any]:
    lines, edges = road_lines(city)
    kinds = (city.roads.speed[:, None] * 3.6 < np.array(ROAD_KINDS_KMH)).sum(axis=1)
    return {**dict(zip(("x1", "y1", "x2", "y2"), lines.T, strict=True)), "kind": kinds[edges]}


def _sites(city: City) -> dict[str, Any]:
    meters, totals, sites = place_meters(city), place_capacities(city), city.num_sites
    clouds = len(meters) - sites
    return {
        "site": np.arange(len(meters)),
        "name": [*(str(name) for name in city.sites.site_id), *["cloud"] * clouds],
        "x": meters[:, 0],
        "y": meters[:, 1],
        "zone": [*[0] * sites, *[1] * clouds],
        "cpu_cores": totals[:, 0],
        "memory_gb": totals[:, 1],
        "gpus": totals[:, 2],
    }


def _users(city: City, start: float, end: float) -> dict[str, Any]:
    """Positions each minute of those that moved since."""
    rows: dict[str, list[NDArray[Any]]] = {"time_seconds": [], "user": [], "x": [], "y": []}
    last = np.full((city.users.num_users, 2), np.nan)
    for moment in np.arange(start, end + USER_STEP_SECONDS, USER_STEP_SECONDS):
        meters = city.projection.to_meters(*city.users.at(float(moment)))
        moved = np.flatnonzero(~(np.abs(meters - last) < 1.0).all(axis=1))
        last[moved] = meters[moved]
        for name, column in zip(
            rows, (np.full(len(moved), moment), moved, meters[moved, 0], meters[moved, 1]), strict=True
        ):
            rows[name].append(column)
    return {name: np.concatenate(columns) for name, columns in rows.items()}


def _signals(city: City, start_ms: int, end_ms: int) -> dict[str, Any]:
    """Carbon of sites and cloud: as the episode begins, and where it changes."""
    problem, zones = city.problem, [0] if not city.config.cloud_nodes else [0, city.num_sites]
    edges = problem.edges_ms
    first = max(int(np.searchsorted(edges, start_ms, side="right")) - 1, 0)
    pieces = np.arange(first, max(int(np.searchsorted(edges, end_ms)), first + 1))
    times = np.repeat(np.maximum(edges[pieces], start_ms) / 1000, len(zones))
    return {
        "time_seconds": times,
        "zone": np.tile(np.arange(len(zones)), len(pieces)),
        "grams_per_kwh": (problem.g_per_uj[pieces][:, zones] * UJ_PER_KWH).ravel(),
        "usd_per_kwh": (problem.usd_per_uj[pieces][:, zones] * UJ_PER_KWH).ravel(),
    }


class _Sampler:
    """Writes what changed since the last decision; what `play` calls."""

    def __init__(self, writer: RecordingWriter, track: str, city: City) -> None:
        self._writer, self._track, self._city = writer, track, city
        self._states: NDArray[np.float64] | None = None
        self._links: NDArray[np.int64] | None = None
        self._routes: NDArray[np.int64] | None = None
        self._explained = dict[tuple[str, int], str]()

    def sample(self, batch: CityBatch) -> None:
        """Write the moment that the first world of a batch is at."""
        now_ms = int(batch.time_ms[0])
        self._site_states(batch, now_ms)
        self._serving(batch, now_ms)
        self._decisions(batch, now_ms)
        self._hand_overs(batch, now_ms)
        self._samples(batch, now_ms)
        self._writer.flush_soon()

    def _add(self, table: str, now_ms: int, columns: dict[str, Any]) -> None:
        count = len(next(iter(columns.values())))
        if count:
            times = np.full(count, now_ms / 1000)
            self._writer.add(table, {"time_seconds": times, **columns}, track=self._track)

    def _site_states(self, batch: CityBatch, now_ms: int) -> None:
        found = place_states(batch)
        changed = np.arange(len(found))
        if self._states is not None:
            changed = np.flatnonzero((found != self._states).any(axis=1))
        self._states = found
        self._add("site_states", now_ms, {"site": changed, **dict(zip(STATE_COLUMNS, found[changed].T, strict=True))})

    def _serving(self, batch: CityBatch, now_ms: int) -> None:
        """Which place serves each user: where its zone is routed to, for the first function."""
        place, latency = serving_places(batch)
        changed = np.arange(len(place)) if self._links is None else np.flatnonzero(place != self._links)
        self._links = place
        self._add("links", now_ms, {"user": changed, "site": place[changed], "latency_ms": latency[changed]})

    def _decisions(self, batch: CityBatch, now_ms: int) -> None:
        """Where a zone's interactive requests go, where that changed."""
        route = batch.world.route[0, :, 0].copy()
        if self._routes is not None:
            changed = np.flatnonzero(route != self._routes)
            names = [_route_name(self._city, int(zone), int(route[zone])) for zone in changed]
            columns = {"pool": changed, "before": self._routes[changed], "target": route[changed], "reason": names}
            self._add("decisions", now_ms, columns)
        self._routes = route

    def _hand_overs(self, batch: CityBatch, now_ms: int) -> None:
        """Which requests that waited went on with their users since the last decision, as reasons."""
        city, places = self._city, len(self._city.problem.place)
        event = batch.take_events()
        event = event[event[:, 1] == log.HAND_OVER]
        user, left = city.problem.request[event[:, 5], st.USER], event[:, 2] % places
        now = dict[tuple[str, int], str]()
        for place, count in zip(*np.unique(left, return_counts=True), strict=True):
            now["site", int(place)] = f"{count} waiting requests went on with users who left its zone"
        for number, place in zip(user.tolist(), left.tolist(), strict=True):
            name = "the cloud" if place == city.num_sites else city.sites.site_id[place]
            now["user", number] = f"its request waited at {name} and went on with it"
        changed = {**dict.fromkeys(self._explained, ""), **now}
        changed = {key: text for key, text in changed.items() if self._explained.get(key) != text}
        self._explained = now
        subjects, numbers = [key[0] for key in changed], [key[1] for key in changed]
        rules = ["hand_over"] * len(changed)
        columns = {"subject": subjects, "id": numbers, "rule": rules, "text": list(changed.values())}
        self._add("reasons", now_ms, columns)

    def _samples(self, batch: CityBatch, now_ms: int) -> None:
        world, totals = batch.world, batch.totals()
        waited = (world.counts[0, :, st.WAITED_MS]).sum() / MS_PER_HOUR
        gpu = self._city.problem.function[:, st.GPU] / 1000
        running, queued = (
            world.key[0, :, column].reshape(len(gpu), -1).sum(axis=1) for column in (st.RUNNING, st.QUEUED)
        )
        columns = {
            "kwh": totals.energy_kwh, "grams": totals.carbon_g, "usd": totals.usd, "waited_gpu_hours": waited,
            "mean_wait_seconds": 3600 * waited / max(totals.requests, 1),
            "watts": world.rate[0, :, : st.ENERGIES].sum() / 1000.0, "used_gpus": float((running * gpu).sum()),
            "waiting_gpus": float((queued * gpu).sum()), "waiting": int(queued.sum()), "running": int(running.sum()),
            "finished": totals.finished, "slo_missed": round(totals.late_share * totals.finished),
        }  # fmt: skip
        self._add("samples", now_ms, {name: np.array([value]) for name, value in columns.items()})


def _route_name(city: City, zone: int, place: int) -> str:
    """What a place is for a zone, in words."""
    if place == zone:
        return f"requests go to its {ROUTES[OWN]}"
    if place == city.num_sites:
        return f"requests go to the {ROUTES[CLOUD]}"
    if place == int(city.tables.routes[zone, CENTER]) != int(city.tables.routes[zone, HUB]):
        return f"requests go to the {ROUTES[CENTER]}, {city.sites.site_id[place]}"
    if place == int(city.tables.routes[zone, HUB]):
        return f"requests go to the {ROUTES[HUB]}, {city.sites.site_id[place]}"
    return f"requests go to {city.sites.site_id[place]}, the {ROUTES[LEAST_LOADED]}"
