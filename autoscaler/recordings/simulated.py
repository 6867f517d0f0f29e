"""Records simulated policies: the same window of a trace under each of them, on one clock."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from autoscaler.evaluation.provenance import provenance
from autoscaler.evaluation.rollouts import Scenario, advance_of, prepare
from autoscaler.evaluation.windows import Window
from autoscaler.recordings.event_log import LogReader, Rows, columns_of
from autoscaler.recordings.setpoints import SetpointReasons
from autoscaler.recordings.stretch import WHOLE, Stretch
from autoscaler.recordings.waiting import WaitReasons
from envs.gpu_cluster.accounting import MILLI_MS_PER_GPU_HOUR, MS_PER_HOUR, kwh_rates
from envs.gpu_cluster.simulator import NEVER, Problem
from envs.recording import TABLES, Head, RecordingError, RecordingWriter, Track, check_folder

MOST_SAMPLES = 6000
"""Of a track: 2 for each pixel of a wide screen, and four days of minutes."""

SAMPLES_PER_TURN = 50

SUMS = np.array([0, 1, 1, 1, 1, 1, 0, 0, 0, 0], bool)
"""Columns of `_Run._row` that grow evenly: energy, carbon, money, waiting, GPUs in use."""
COUNTS = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1], bool)
"""Those that grow in steps: finished jobs, missed deadlines."""

JOULES_HOURS = 1000.0 * MS_PER_HOUR
"""W per kWh/ms."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A policy to record.

    Attributes:
        name: for humans; the name of its track is made of it.
        policy: who decides.
        is_reference: whether the others are compared with it.
    """

    name: str
    policy: Policy
    is_reference: bool = False


def record_policies(
    folder: str | Path,
    scenario: Scenario,
    window: Window,
    policies: Sequence[Recorded],
    title: str,
    stretch: Stretch = WHOLE,
) -> None:
    """Record what policies do in a window, from its start until the last job of it has ended, or a stretch of that.

    The recording can be read while they run. Of a stretch the sums count from its start, before which policies run
    unrecorded.

    Args:
        folder: of the recording; it must be empty or missing.
        scenario: trace, cluster and settings.
        window: the window.
        policies: at least one.
        title: one line.
        stretch: what is recorded.

    Raises:
        RecordingError: the folder is not empty, or nothing happens in the stretch.
        OutputFileError: it cannot be written.
        PolicyFitError: the codec of a policy has fewer pools than the cluster.
        ClusterError: trace, cluster and codec do not fit together.
    """
    tracks = tuple(
        Track(track_name(each.name, number), each.name, each.is_reference) for number, each in enumerate(policies)
    )
    problem = scenario.problem()
    check_folder(folder)
    start_ms, end_ms = _moments_of(stretch, window)
    runs = [_Run(each.policy, scenario, window, start_ms, end_ms) for each in policies]
    if all(run.is_done for run in runs):
        end = max(run.now_ms for run in runs) / 1000.0
        raise RecordingError(
            f"--record-from is {start_ms / 1000.0:g}, but the run ends at {end:g} s; give an earlier one"
        )
    with RecordingWriter(folder, _head(scenario, start_ms, tracks, title)) as writer:
        writer.add("nodes", name_nodes(writer.head.pools))
        while not all(run.is_done for run in runs):
            # All of them go on together, so that who looks on sees them side by side.
            for track, run in zip(tracks, runs, strict=True):
                run.go_on(writer, track.name)
            now_ms = max(run.now_ms for run in runs)
            writer.add("signals", _signals(problem, start_ms, now_ms))
            start_ms = now_ms
            writer.flush_soon()
        writer.close(end_seconds=max(run.now_ms for run in runs) / 1000.0)


def _moments_of(stretch: Stretch, window: Window) -> tuple[int, int]:
    """Start and end of what is recorded, ms."""
    start, end = stretch.start_seconds, stretch.end_seconds
    start_ms = window.start_ms if start is None else max(window.start_ms, round(1000.0 * start))
    end_ms = int(NEVER) if end is None else round(1000.0 * end)
    if end_ms <= start_ms:
        raise RecordingError(
            f"--record-until is {end:g}, but the recording starts at {start_ms / 1000.0:g} s; give a later one"
        )
    return start_ms, end_ms


def track_name(name: str, number: int) -> str:
    """A name for the folder of a track: what of a policy's name may stand there, after its number."""
    return f"{number}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-') or 'policy'}"


class _Run:
    """A policy on its way through the window."""

    def __init__(self, policy: Policy, scenario: Scenario, window: Window, start_ms: int, end_ms: int) -> None:
        self._simulator = simulator = prepare(policy, scenario, [window], log_rows=None, end_ms=end_ms)
        policy.reset(1)
        self._advance = advance_of(policy, simulator)
        self._start_ms = start_ms
        decisions = (min(window.end_ms, end_ms) - start_ms) / 1000.0 / scenario.config.decision_interval_seconds
        self._stride = max(1, round(decisions / MOST_SAMPLES))
        jobs = simulator.job_times(0)
        order = jobs.first_job + np.arange(len(jobs.submit_ms))
        submits = np.column_stack([jobs.submit_ms / 1000.0, order, jobs.gpu_milli / 1000.0])
        self._log = LogReader(submits, WaitReasons(simulator.problem))
        self._setpoints = SetpointReasons(simulator)
        self._logged = 0
        self._samples: list[NDArray[np.float64]] = []
        self._base = np.zeros(len(SUMS))
        self.is_done = bool(simulator.done.all())
        self._skip()
        self._reasons = self._setpoints.look()

    @property
    def now_ms(self) -> int:
        """Where it has come to."""
        return int(self._simulator.time_ms[0])

    def _skip(self) -> None:
        """Run unrecorded to the start; the sums there lie between those of the decisions before and after it."""
        first_ms, decisions = self.now_ms, 0
        before = self._row()
        while not self.is_done and self.now_ms < self._start_ms:
            before = self._row()
            # Decisions follow events, so how many there are before the start is not known: nearer and nearer.
            gap_ms = (self.now_ms - first_ms) / max(decisions, 1)
            some = 1 if gap_ms == 0.0 else int((self._start_ms - self.now_ms) / (4.0 * gap_ms))
            some = min(max(some, 1), SAMPLES_PER_TURN)
            self.is_done = self._advance(some)
            decisions += some
        after = self._row()
        if after[0] > before[0]:
            share = (self._start_ms - before[0]) / (after[0] - before[0])
            at_start = np.where(SUMS, before + share * (after - before), before)
            at_start[0] = self._start_ms
            self._samples.append(at_start)
            self._base = np.where(SUMS | COUNTS, at_start, 0.0)

    def go_on(self, writer: RecordingWriter, track: str) -> None:
        """Make some more decisions, and write what followed."""
        if self.is_done:
            return
        for _ in range(SAMPLES_PER_TURN):
            self._sample()
            self.is_done = self._advance(self._stride)
            self._reasons += self._setpoints.look()
            if self.is_done:
                self._sample()
                break
        log = self._simulator.event_log()
        rows = self._log.read(log.slice(self._logged))
        if self._logged == 0:
            rows = rows.since(self._start_ms / 1000.0)
        self._logged = len(log)
        tables = {
            "node_states": rows.node_states, "jobs": rows.jobs, "decisions": rows.decisions,
            "reasons": self._take_reasons(rows.reasons),
        }  # fmt: skip
        for table, found in tables.items():
            writer.add(table, columns_of(found, list(TABLES[table])), track)
        self._write_samples(writer, track)

    def _take_reasons(self, of_jobs: Rows) -> Rows:
        """Reasons in order of time, up to the moment from which on the log may still say some."""
        self._reasons = sorted(self._reasons + of_jobs, key=itemgetter(0))
        count = len(self._reasons)
        if not self.is_done:
            count = bisect_right(self._reasons, self._log.now_seconds, key=itemgetter(0))
        ready, self._reasons = self._reasons[:count], self._reasons[count:]
        return ready

    def _write_samples(self, writer: RecordingWriter, track: str) -> None:
        jobs = self._simulator.job_times(0)
        counted = np.flatnonzero((jobs.start_ms != NEVER) & (jobs.start_ms >= self._start_ms))
        counted = counted[np.argsort(jobs.start_ms[counted], kind="stable")]
        waits = np.cumsum(jobs.start_ms[counted] - jobs.submit_ms[counted])
        columns = _samples(np.array(self._samples) - self._base, jobs.start_ms[counted], waits)
        if not self.is_done:  # what holds from the last sample on is known with the next one
            columns = {name: values[:-1] for name, values in columns.items()}
            self._samples = self._samples[-1:]
        writer.add("samples", columns, track)

    def _sample(self) -> None:
        self._samples.append(self._row())

    def _row(self) -> NDArray[np.float64]:
        """[10] float64, what a sample is made of."""
        simulator = self._simulator
        account = simulator.account(0)
        grams = account.carbon_g.total + account.embodied_g
        used = sum(pool.used_milli_ms for pool in simulator.pool_totals(0))
        return np.array(
            [
                simulator.time_ms[0], simulator.energy(0).total, grams, account.total_usd,
                simulator.waited_milli_ms[0], used, simulator.waiting_jobs[0], simulator.running_jobs[0],
                simulator.finished_jobs[0], simulator.deadline_misses[0],
            ],
            np.float64,
        )  # fmt: skip


def _samples(rows: NDArray[np.float64], started_ms: NDArray[np.int64], waits_ms: NDArray[np.int64]) -> dict[str, Any]:
    """Columns of `samples`: sums up to each moment, and means of power and GPUs until the next one.

    Args:
        rows: [S, 10] of `_Run._row`.
        started_ms: [J] when jobs started, ascending.
        waits_ms: [J] sum of the waits of these jobs, so far.
    """
    rows = rows[np.append(np.diff(rows[:, 0]) > 0, True)]
    time, kwh, waited, used = rows[:, 0], rows[:, 1], rows[:, 4], rows[:, 5]
    length = np.diff(time)

    def rate(values: NDArray[np.float64]) -> NDArray[np.float64]:
        means = np.diff(values) / length
        return np.append(means, means[-1:] if len(means) else 0.0)  # nothing follows the last row

    count = np.searchsorted(started_ms, time, side="right")
    sums = np.append(0, waits_ms)[count] / 1000.0
    return {
        "time_seconds": time / 1000.0,
        "kwh": kwh,
        "grams": rows[:, 2],
        "usd": rows[:, 3],
        "waited_gpu_hours": waited / MILLI_MS_PER_GPU_HOUR,
        "mean_wait_seconds": sums / np.maximum(count, 1),
        "watts": rate(kwh) * JOULES_HOURS,
        "used_gpus": rate(used) / 1000.0,
        "waiting_gpus": rate(waited) / 1000.0,
        "waiting": rows[:, 6],
        "running": rows[:, 7],
        "finished": rows[:, 8],
        "slo_missed": rows[:, 9],
    }


def _head(scenario: Scenario, start_ms: int, tracks: tuple[Track, ...], title: str) -> Head:
    zones = _zones(scenario.problem())
    made, started = provenance(), scenario.trace.metadata.start_time
    return Head(
        kind="cluster",
        title=title,
        tracks=tracks,
        start_seconds=start_ms / 1000.0,
        start_time=None if started is None else started.isoformat(),
        source={"command": made["command"], "version": made["version"], "trace": scenario.trace.uri},
        zones=tuple(zones),
        pools=tuple(describe_pools(scenario)),
    )


def describe_pools(scenario: Scenario) -> list[dict[str, Any]]:
    """The pools of a cluster as the head of a recording has them, and the number of the first node of each."""
    problem = scenario.problem()
    zones = list(_zones(problem))
    return [
        {
            "name": pool.name,
            "gpu_model": pool.gpu_model or "",
            "gpus_per_node": pool.gpus_per_node,
            "min_nodes": pool.min_nodes,
            "max_nodes": pool.max_nodes,
            "boot_seconds": pool.boot_seconds,
            "zone": zones.index(pool.region or zones[0]),
            "first_node": first,
        }
        for pool, first in zip(scenario.cluster.pools, problem.node_offsets.tolist(), strict=True)
    ]


def _zones(problem: Problem) -> dict[str, int]:
    """Region -> its first pool. Pools that name none are in the first region, if there is any."""
    regions = problem.config.regions
    first = regions[0].name if regions else "everywhere"
    found: dict[str, int] = {}
    for number, pool in enumerate(problem.cluster.pools):
        found.setdefault(pool.region or first, number)
    return found


def name_nodes(pools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The table of nodes of the pools of a head."""
    places = [(number, index) for number, pool in enumerate(pools) for index in range(pool["max_nodes"])]
    return {
        "node": [pools[pool]["first_node"] + index for pool, index in places],
        "pool": [pool for pool, _ in places],
        "name": [f"{pools[pool]['name']}-{index}" for pool, index in places],
    }


def _signals(problem: Problem, start_ms: int, end_ms: int) -> dict[str, Any]:
    """Price and carbon intensity of each zone, where they change between two moments."""
    tariff = problem.prices.tariff
    rows: list[tuple[float, int, float, float]] = []
    first = int(np.searchsorted(tariff.edges_ms, start_ms, side="right")) - 1
    last = int(np.searchsorted(tariff.edges_ms, end_ms, side="right"))
    for zone, pool in enumerate(_zones(problem).values()):
        rates = kwh_rates(problem.cluster.pools[pool])
        amount = int(rates.argmax())
        for piece in range(first, last):
            usd, grams, kwh = tariff.spending_rates[piece, pool, amount]
            rows.append((max(int(tariff.edges_ms[piece]), start_ms) / 1000.0, zone, grams / kwh, usd / kwh))
    rows.sort()
    return columns_of(rows, list(TABLES["signals"]))
