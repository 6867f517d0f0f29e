"""A batch of worlds of one city, stepped by compiled calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.compiled.threads import default_threads, share
from envs.containers import state as st
from envs.containers.problem import UJ_PER_KWH
from envs.containers.results import bin_edges_ms
from envs.containers.simulator import capacity_of
from envs.edge import kernels
from envs.edge.city import City
from envs.edge.codec import NUM_FEATURES
from envs.edge.episodes import steps_of, warm_up_steps
from envs.edge.tables import COST_TERMS, MEMORY_COLUMNS, Integers
from envs.errors import SimulatorError

CITIES_PER_THREAD = 1


@dataclass(frozen=True, slots=True)
class CityTotals:
    """What happened in an episode so far, without its warm-up.

    Attributes:
        usd: energy with its carbon, waiting and lateness.
        energy_kwh: of all places.
        carbon_g: gCO2e of it.
        requests: that reached a place.
        finished: that were answered.
        cold_share: share of the answers that waited for a container to start.
        late_share: share of the answers that came after their deadline.
        p50_ms: median response time, from the user and back, within a quarter octave.
        p95_ms: 95th percentile likewise.
        cloud_share: share of the requests that the cloud served.
        evictions: containers that made room for others.
    """

    usd: float
    energy_kwh: float
    carbon_g: float
    requests: int
    finished: int
    cold_share: float
    late_share: float
    p50_ms: float
    p95_ms: float
    cloud_share: float
    evictions: int


class CityBatch:
    """Worlds of one city, independent of each other.

    An episode begins with a warm-up, in a city where everything is off. Its steps are decided as all others are, but
    cost nothing and count for nothing: so each policy begins in the city that it makes itself.

    Args:
        city: the loaded scenario.
        num_worlds: in the batch.
        threads: how many share the worlds; None: as many as numba may use. Results do not depend on it.
        answers: whether it is kept what became of each request.
        log_rows: of the event log of each world; 0: nothing is logged.

    Attributes:
        observations: [W, S, features] float32, what every site sees.
        rewards: [W, S] float64, of the last step, USD.
        costs: [W, 3] float64, USD of the last step by `COST_TERMS`; 0 in the warm-up, as the rewards are.
        warm_up_left: [W] int64, steps of the warm-up that are still to come.
        world: the memory of the containers' worlds.
    """

    def __init__(
        self,
        city: City,
        num_worlds: int = 1,
        threads: int | None = None,
        *,
        answers: bool = False,
        log_rows: int = 0,
    ) -> None:
        self.city, self.num_worlds = city, num_worlds
        problem, sites = city.problem, city.num_sites
        size = capacity_of(problem, num_worlds, history=True, answers=answers, log_rows=log_rows)
        # An episode is shorter than all that is ever called, and memory counts: it is there once a world.
        self.world = st.allocate(size._replace(runs=min(size.runs, self._most_requests() + 1)))
        places = len(problem.place)
        self.world.node[:, :, st.SLEEP_MS] = city.sleep_ms
        self._kept = (
            np.zeros((num_worlds, sites, MEMORY_COLUMNS)),
            np.zeros((num_worlds, places, len(COST_TERMS))),
        )
        self._counts = np.zeros((num_worlds, places, st.COUNT_COLUMNS), np.int64)
        self._response = np.zeros((num_worlds, places, st.RESPONSE_BINS), np.int64)
        self.observations = np.zeros((num_worlds, sites, NUM_FEATURES), np.float32)
        self.rewards = np.zeros((num_worlds, sites))
        self.costs = np.zeros((num_worlds, len(COST_TERMS)))
        self._usd, self._carbon = np.zeros(num_worlds), np.zeros(num_worlds)
        self._energy = np.zeros(num_worlds)
        self.warm_up_left = np.zeros(num_worlds, np.int64)
        self.threads = default_threads(num_worlds, CITIES_PER_THREAD) if threads is None else min(threads, num_worlds)

    @property
    def interval_ms(self) -> int:
        """Time between decisions."""
        return int(self.city.tables.interval_ms[0])

    def _most_requests(self) -> int:
        """The most requests of an episode and its warm-up."""
        sent = self.city.problem.request[:, st.SENT_MS]
        length = (steps_of(self.city) + 1) * self.interval_ms
        return int((np.searchsorted(sent, sent + length) - np.arange(len(sent))).max())

    def begin(self, worlds: NDArray[np.int64], starts_ms: NDArray[np.int64]) -> None:
        """Begin episodes.

        Args:
            worlds: [K] int64.
            starts_ms: [K] int64, the moment from which each counts: the warm-up lies before it.
        """
        problem, steps = self.city.problem, warm_up_steps(self.city)
        begins = np.asarray(starts_ms, np.int64) - steps * self.interval_ms
        first = np.searchsorted(problem.request[:, st.SENT_MS], begins)
        episode = np.ascontiguousarray(np.stack((worlds, begins, first), axis=1), np.int64)

        self.world.answer[worlds] = 0

        def task(start: int, end: int) -> None:
            kernels.begin_cities(
                problem,
                self.world,
                self.city.tables,
                self._kept,
                np.ascontiguousarray(episode[start:end]),
                self.observations,
            )

        share(task, len(episode), min(self.threads, len(episode)))
        self.rewards[worlds], self.costs[worlds], self.warm_up_left[worlds] = 0.0, 0.0, steps
        self._count_from_here(worlds)

    def _count_from_here(self, worlds: NDArray[np.int64]) -> None:
        """Let the episodes of some worlds count from now on."""
        self._counts[worlds], self._response[worlds] = self.world.counts[worlds], self.world.response[worlds]
        self._usd[worlds] = 0.0
        self._carbon[worlds] = self.world.spent[worlds, :, 1].sum(axis=1)
        self._energy[worlds] = self.world.amount[worlds, :, : st.ENERGIES].sum(axis=(1, 2))

    def copy(self, other: CityBatch) -> None:
        """Bring every world into the state of the first one of another batch of the same city and settings."""
        mine, theirs = self._arrays(), other._arrays()
        for to, source in zip(mine, theirs, strict=True):
            to[:] = source[0]

    def _arrays(self) -> list[NDArray[Any]]:
        episode = (self._counts, self._response, self._usd, self._carbon, self._energy, self.warm_up_left)
        return [*self.world, *self._kept, *episode, self.observations, self.rewards, self.costs]

    def step(self, actions: Integers) -> None:
        """Step every world: [W, S, 6] int64, those of each site."""
        results = self.observations, self.rewards, self.costs

        def task(first: int, end: int) -> None:
            kernels.step_cities(
                self.city.problem,
                self.world,
                self.city.tables,
                self._kept,
                actions,
                results,
                first,
                end,
            )

        share(task, self.num_worlds, self.threads)
        warms_up = self.warm_up_left > 0
        if warms_up.any():
            self.rewards[warms_up], self.costs[warms_up] = 0.0, 0.0
            self.warm_up_left[warms_up] -= 1
            self._count_from_here(np.flatnonzero(warms_up))
        self._usd += self.costs.sum(axis=1)

    @property
    def time_ms(self) -> Integers:
        """[W] int64, the moment that each world is at."""
        now: Integers = self.world.clock[:, st.NOW].copy()
        return now

    def totals(self, world: int = 0) -> CityTotals:
        """What happened in a world since its episode began."""
        counts = self.world.counts[world] - self._counts[world]
        response = (self.world.response[world] - self._response[world]).sum(axis=0)
        finished, requests = int(counts[:, st.FINISHED].sum()), int(counts[:, st.REQUESTS].sum())
        sites = self.city.num_sites
        energy = self.world.amount[world, :, : st.ENERGIES].sum() - self._energy[world]
        return CityTotals(
            usd=float(self._usd[world]),
            energy_kwh=float(energy / UJ_PER_KWH),
            carbon_g=float(self.world.spent[world, :, 1].sum() - self._carbon[world]),
            requests=requests,
            finished=finished,
            cold_share=float(counts[:, st.COLD].sum()) / max(finished, 1),
            late_share=float(counts[:, st.LATE].sum()) / max(finished, 1),
            p50_ms=quantile_ms(response, 0.5),
            p95_ms=quantile_ms(response, 0.95),
            cloud_share=float(counts[sites:, st.REQUESTS].sum()) / max(requests, 1),
            evictions=int(counts[:, st.EVICTIONS].sum()),
        )

    def handed_over(self, world: int = 0) -> int:
        """Requests of the episode that waited and went on to another place as their user moved."""
        column = st.HANDED_OVER
        return int((self.world.counts[world, :, column] - self._counts[world, :, column]).sum())

    def take_events(self, world: int = 0) -> Integers:
        """[rows, LOG_COLUMNS] int64, the events since this was called last, see `envs.containers.log`.

        Raises:
            SimulatorError: there were more of them than the log has rows.
        """
        logged, rows = int(self.world.clock[world, st.LOGGED]), self.world.log.shape[1]
        if logged > rows:
            raise SimulatorError(f"the event log has {rows} rows and {logged} were needed; make it larger")
        self.world.clock[world, st.LOGGED] = 0
        events: Integers = self.world.log[world, :logged].copy()
        return events

    def describe(self, world: int = 0) -> str:
        """One line: the moment, what is on and what runs."""
        seconds = int(self.world.clock[world, st.NOW]) // 1000
        day, hour, minute = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
        key, node = self.world.key[world], self.world.node[world]
        on = int((node[:, st.NODE_STATE] == st.ON).sum())
        running, queued = int(key[:, st.RUNNING].sum()), int(key[:, st.QUEUED].sum())
        return (
            f"day {day} {hour:02}:{minute:02}, {on} of {len(node)} nodes on, {running} requests run, {queued} wait, "
            f"{self._usd[world]:.4f} USD"
        )

    def info(self, world: int = 0) -> dict[str, float]:
        """Costs of the last step, USD; the moment, seconds; and 1 where the next step is one of the warm-up, else 0."""
        found = dict(zip(COST_TERMS, self.costs[world].tolist(), strict=True))
        seconds, warms_up = self.world.clock[world, st.NOW] / 1000, self.warm_up_left[world] > 0
        return {**found, "time_seconds": float(seconds), "warms_up": float(warms_up)}


def quantile_ms(counts: Integers, quantile: float) -> float:
    """A quantile of response times that are counted by quarter octaves, ms; 0 where there are none."""
    total = counts.sum()
    if total == 0:
        return 0.0
    at = int(np.searchsorted(np.cumsum(counts), quantile * total))
    edges = bin_edges_ms()
    return float(np.sqrt(edges[at] * edges[at + 1]))
