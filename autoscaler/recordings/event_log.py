"""An event log of the simulator as rows of a recording: states of nodes, events of jobs, and decisions."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.recording import JOB_EVENTS, NODE_STATES

OFF, BOOTING, IDLE, BUSY, DRAINING, FAILED, GONE, _ = range(len(NODE_STATES))
SUBMIT, START, END, PREEMPT, SUSPEND, _, RESIZE, _ = range(len(JOB_EVENTS))

Rows = list[tuple[Any, ...]]

_NODE_EVENTS = {
    "node_order": BOOTING,
    "node_ready": IDLE,
    "node_off": OFF,
    "node_boot_fail": OFF,
    "node_fail": FAILED,
    "node_reclaim": DRAINING,
    "node_gone": GONE,
    "node_return": OFF,
}
"""Event of the log -> the state that the node has then."""


MOST_EXPLAINED = 32
"""Jobs, of those that wait, whose reason is told: the first ones."""

WAITS = "waits"
"""The rule of reasons of jobs."""


@dataclass(slots=True)
class _Node:
    state: int = OFF
    milli: int = 0
    counted: int = 0
    parts: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class PoolNodes:
    """What the nodes of a pool do.

    Attributes:
        on: nodes that boot, are idle or busy.
        busy: those of them that have jobs.
        booting: those of them that boot.
        away: nodes that drain, failed or were taken back: none can be ordered in their place.
        used: thousandths of GPUs in use -> idle and busy nodes with so many.
        seen_on: `on` before the present moment.
        seen_busy: `busy`, likewise.
        target: what the last decision aimed at; -1: there was none.
    """

    on: int = 0
    busy: int = 0
    booting: int = 0
    away: int = 0
    used: Counter[int] = field(default_factory=Counter)
    seen_on: int = 0
    seen_busy: int = 0
    target: int = -1

    def count(self, state: int, milli: int, nodes: int) -> None:
        """Count so many nodes more of a state, with so many thousandths of their GPUs in use."""
        self.on += nodes * (state in (BOOTING, IDLE, BUSY))
        self.busy += nodes * (state == BUSY)
        self.booting += nodes * (state == BOOTING)
        self.away += nodes * (state in (DRAINING, FAILED, GONE))
        if state in (IDLE, BUSY):
            self.used[milli] += nodes

    def fits(self, milli: int, size: int) -> bool:
        """Whether a job fits on idle and busy nodes; a share of a GPU where a whole one is free.

        Args:
            milli: thousandths of a GPU that it requests.
            size: thousandths of all GPUs of a node.
        """
        whole, rest = divmod(max(milli, 1000), size)
        if self.used[0] < whole:
            return False
        return (
            not rest
            or self.used[0] > whole
            or any(nodes > 0 and 0 < used <= size - rest for used, nodes in self.used.items())
        )


class Why(Protocol):
    """Says why jobs wait, see `autoscaler.recordings.waiting.WaitReasons`."""

    def use(self, job: int, milli: int) -> None: ...  # noqa: D102 (there)

    def reason(self, job: int, milli: int, nodes: Mapping[int, PoolNodes]) -> str: ...  # noqa: D102


@dataclass(slots=True)
class LogRows:
    """Rows of a recording that an event log comes down to; columns as in `envs.recording.TABLES`."""

    node_states: Rows = field(default_factory=list)
    jobs: Rows = field(default_factory=list)
    decisions: Rows = field(default_factory=list)
    reasons: Rows = field(default_factory=list)

    def since(self, seconds: float) -> LogRows:
        """The rows after a moment, and before them those that still hold then.

        These are the last one of each node, of each pool's target and of why each job waits, and all of jobs that have
        not ended.
        """
        early_nodes, nodes = _split(self.node_states, seconds)
        early_jobs, jobs = _split(self.jobs, seconds)
        early_decisions, decisions = _split(self.decisions, seconds)
        early_reasons, reasons = _split(self.reasons, seconds)
        events = {job: event for _, job, event, *_ in early_jobs}
        return LogRows(
            _last_of_each(early_nodes) + nodes,
            [row for row in early_jobs if events[row[1]] != END] + jobs,
            _last_of_each(early_decisions) + decisions,
            [row for row in _last_of_each(early_reasons, 2) if row[-1]] + reasons,
        )


def _split(rows: Rows, seconds: float) -> tuple[Rows, Rows]:
    """The rows up to a moment, and those after it."""
    count = bisect_right(rows, seconds, key=itemgetter(0))
    return rows[:count], rows[count:]


def _last_of_each(rows: Rows, subject: int = 1) -> Rows:
    """The last row of each subject, which is in that column, in order of time."""
    return sorted({row[subject]: row for row in rows}.values(), key=itemgetter(0))


class LogReader:
    """Follows an event log row by row.

    Args:
        submits: [J, 3] float64: time in s, number of the job and the GPUs that it requests, in order of time; None: not
            known, nor who waits.
        why: says why jobs wait; None: nothing is said.
    """

    def __init__(self, submits: NDArray[np.float64] | None = None, why: Why | None = None) -> None:
        self._rows, self._why = LogRows(), why
        self._knows_waiting = submits is not None
        self._submits = np.zeros((0, 3)) if submits is None else submits
        self._next = 0
        self._nodes: dict[int, _Node] = {}
        self._pools: dict[int, PoolNodes] = {}
        self._waiting: dict[int, float] = {}
        self._suspended: dict[int, float] = {}
        self._places: dict[int, set[int]] = {}
        self._emptied, self._now, self._is_decided = -1, float("-inf"), False
        self._told: dict[int, str] = {}

    @property
    def now_seconds(self) -> float:
        """The time of the last row: rows to come say nothing of what was before."""
        return self._now

    def read(self, log: pa.Table) -> LogRows:
        """What further rows of a log, a table of `envs.gpu_cluster.simulator.EVENT_SCHEMA`, come down to."""
        columns = [log.column(name).to_pylist() for name in ("time_ms", "event", "pool", "job", "node", "value")]
        handlers: dict[str, Callable[..., None]] = {
            "job_start": self._start,
            "job_end": self._stop,
            "job_preempt": self._stop,
            "job_move": self._move,
            "job_resize": self._resize,
            "job_suspend": self._suspend,
            "job_resume": self._resume,
            "decision": self._decide,
        }
        for time_ms, event, pool, job, node, value in zip(*columns, strict=True):
            time = time_ms / 1000.0
            if time > self._now:  # the log has what a decision orders before the decision itself
                self._explain()
                self._now = time
                for counts in self._pools.values():
                    counts.seen_on, counts.seen_busy = counts.on, counts.busy
            self._submit_until(time)
            if event != "job_move":
                self._emptied = -1
            handlers.get(event, self._change)(time, event, pool, job, node, value)
        rows, self._rows = self._rows, LogRows()
        return rows

    def _submit_until(self, time: float) -> None:
        while self._next < len(self._submits) and self._submits[self._next, 0] <= time:
            at, job, gpus = self._submits[self._next].tolist()
            self._rows.jobs.append((at, int(job), SUBMIT, -1, gpus))
            self._waiting[int(job)] = gpus
            self._next += 1

    def _explain(self) -> None:
        """Say of the jobs that the last decision left waiting why that is, where it is something else than before."""
        if self._why is None or not self._is_decided:
            return
        self._is_decided = False
        for job, gpus in islice(self._waiting.items(), MOST_EXPLAINED):
            self._tell(self._now, job, self._why.reason(job, round(1000.0 * gpus), self._pools))

    def _tell(self, time: float, job: int, text: str) -> None:
        if self._why is not None and self._told.get(job, "") != text:
            self._told[job] = text
            self._rows.reasons.append((time, "job", job, WAITS, text))

    def _change(self, time: float, event: str, pool: int, job: int, node: int, value: int) -> None:
        self._set(time, pool, node, _NODE_EVENTS[event])

    def _set(self, time: float, pool: int, node: int, state: int) -> None:
        own, counts = self._nodes.setdefault(node, _Node()), self._pools.setdefault(pool, PoolNodes())
        counts.count(own.state, own.counted, -1)
        counts.count(state, own.milli, 1)
        own.state, own.counted = state, own.milli
        self._rows.node_states.append((time, node, state, own.milli / 1000.0))

    def _hold(self, time: float, pool: int, job: int, node: int, milli: int) -> None:
        """Let a job have so many thousandths of a node's GPUs from now on."""
        own = self._nodes.setdefault(node, _Node())
        more = milli - own.parts.pop(job, 0)
        own.milli += more
        if self._why is not None:
            self._why.use(job, more)
        places = self._places.setdefault(job, set())
        places.discard(node)
        if milli:
            own.parts[job] = milli
            places.add(node)
        stays = own.state not in (IDLE, BUSY)  # one that drains or failed does so until the log says otherwise
        self._set(time, pool, node, own.state if stays else BUSY if own.milli else IDLE)

    def _start(self, time: float, event: str, pool: int, job: int, node: int, value: int) -> None:
        self._waiting.pop(job, None)
        self._tell(time, job, "")
        self._rows.jobs.append((time, job, START, node, value / 1000.0))
        self._hold(time, pool, job, node, value)

    def _stop(self, time: float, event: str, pool: int, job: int, node: int, value: int) -> None:
        ends = event == "job_end"
        if not ends:
            self._waiting[job] = self._waiting.get(job, 0.0) + value / 1000.0
        self._rows.jobs.append((time, job, END if ends else PREEMPT, node, value / 1000.0))
        self._hold(time, pool, job, node, 0)

    def _suspend(self, time: float, event: str, pool: int, job: int, node: int, value: int) -> None:
        self._suspended[job] = self._suspended.get(job, 0.0) + value / 1000.0
        self._rows.jobs.append((time, job, SUSPEND, node, value / 1000.0))
        self._tell(time, job, "it is suspended")
        self._hold(time, pool, job, node, 0)

    def _resume(self, time: float, event: str, pool: int, job: int, node: int, value: int) -> None:
        """It waits from now on; its start has rows of its own."""
        self._waiting[job] = self._suspended.pop(job, 0.0)

    def _move(self, time: float, event: str, pool: int, job: int, node: int, value: int) -> None:
        """The log names the new node only; the parts of one node move together, so it is left by all of them."""
        sources = [place for place in self._places.get(job, ()) if place != node]
        same = [place for place in sources if self._nodes[place].parts[job] == value] or sources
        if same:
            source = self._emptied if self._emptied in same else min(same, key=lambda place: self._nodes[place].milli)
            self._emptied = source
            self._rows.jobs.append((time, job, END, source, value / 1000.0))
            self._hold(time, pool, job, source, 0)
        held = self._nodes.setdefault(node, _Node()).parts.get(job, 0)
        self._rows.jobs.append((time, job, START, node, (held + value) / 1000.0))
        self._hold(time, pool, job, node, held + value)

    def _resize(self, time: float, event: str, pool: int, job: int, node: int, value: int) -> None:
        self._rows.jobs.append((time, job, RESIZE, node, value / 1000.0))
        self._hold(time, pool, job, node, value)

    def _decide(self, time: float, event: str, pool: int, job: int, node: int, value: int) -> None:
        self._is_decided = True
        counts = self._pools.setdefault(pool, PoolNodes())
        if value == counts.target:
            return
        count, gpus = len(self._waiting), sum(self._waiting.values())
        jobs = "job waits" if count == 1 else "jobs wait"
        waiting = f"{count:,} {jobs} for {gpus:,.4g} {'GPU' if gpus == 1 else 'GPUs'}" if count else "no job waits"
        reason = f"{counts.seen_busy} of {counts.seen_on} nodes that are on are busy"
        reason += f"; {waiting}" if self._knows_waiting else ""
        before = counts.seen_on if counts.target < 0 else counts.target
        self._rows.decisions.append((time, pool, before, value, reason))
        counts.target = value


def columns_of(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> dict[str, Any]:
    """Rows as columns by name; empty ones where there are no rows."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return dict(zip(names, map(list, columns), strict=True))
