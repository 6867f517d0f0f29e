"""Lanes: what each node of a cluster did in a span of time, worked out from the event log."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from autoscaler.evaluation.timeline import USED, Timeline
from envs.gpu_cluster.simulator.problem import Problem

OFF, BOOTING, ON = range(3)
NODE_STATES = {
    "node_order": BOOTING,
    "node_ready": ON,
    **dict.fromkeys(("node_off", "node_boot_fail", "node_fail", "node_gone"), OFF),
}
"""What an event of the log makes of its node."""

MOST_LANES = 48
HOUR_MS = 3_600_000
SPAN_MS = 24 * HOUR_MS
STRETCH_MS = 300_000
"""Five minutes: a day has two of them for each pixel of a small screen."""


@dataclass(frozen=True, slots=True, eq=False)
class Lanes:
    """What L nodes did in each of B stretches of time.

    Attributes:
        edges_ms: [B + 1] float64, where the stretches begin and end.
        names: [L], pool and number of each node.
        nodes: how many nodes were on at some time; L are shown, evenly chosen from them.
        booting: [L, B] float64, the part of the stretch that the node booted.
        idle: [L, B] float64, that it was on and ran nothing.
        busy: [L, B] float64, that it ran something.
        used: [L, B] float64, the share of its GPUs that worked while it did.
        moves: [M, 2] float64, when a job came from another node, ms, and the lane of the node that it came to.
        preemptions: [K, 2] float64, likewise, of the nodes where a job was stopped.
        hours: node-hours of all nodes: busy, idle and booting.
        events: how often each kind of event happened.
    """

    edges_ms: NDArray[np.float64]
    names: tuple[str, ...]
    nodes: int
    booting: NDArray[np.float64]
    idle: NDArray[np.float64]
    busy: NDArray[np.float64]
    used: NDArray[np.float64]
    moves: NDArray[np.float64]
    preemptions: NDArray[np.float64]
    hours: dict[str, float]
    events: dict[str, int]


def busiest_span(timeline: Timeline, start_ms: int, end_ms: int, length_ms: int = SPAN_MS) -> tuple[int, int]:
    """The span of a window in which most GPUs work; it begins on a full hour of the window.

    Args:
        timeline: of the window.
        start_ms: where the window begins.
        end_ms: where it ends.
        length_ms: of the span; a window that is shorter is the span.
    """
    if end_ms - start_ms <= length_ms:
        return start_ms, end_ms
    starts = np.arange(start_ms, end_ms - length_ms + 1, HOUR_MS)
    moments = (starts, starts + length_ms)
    before, after = (timeline.resample(times.astype(np.float64))[0][:, :, USED].sum(axis=1) for times in moments)
    start = int(starts[int((after - before).argmax())])
    return start, start + length_ms


@dataclass(slots=True)
class _Node:
    """The changes of one node: when, to which state, and the thousandths of its GPUs that work from then on."""

    times: list[int] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    used: list[int] = field(default_factory=list)

    def change(self, time: int, state: int | None = None, more: int = 0) -> None:
        state = (self.states[-1] if self.states else OFF) if state is None else state
        used = (self.used[-1] if self.used else 0) + more
        if self.times and self.times[-1] == time:
            self.states[-1], self.used[-1] = state, used
        else:
            self.times.append(time)
            self.states.append(state)
            self.used.append(used)

    def means(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """[4, B] float64: the parts of each stretch booting, idle and busy, and the mean thousandths at work."""
        times = np.array([*self.times, max(edges[-1], self.times[-1])], np.float64)
        states, used = np.array(self.states), np.array(self.used, np.float64)
        is_busy = (states == ON) & (used > 0)
        rows = [states == BOOTING, (states == ON) & ~is_busy, is_busy, used]
        integrals = [np.concatenate([[0.0], np.cumsum(np.diff(times) * row)]) for row in rows]
        return np.stack([np.diff(np.interp(edges, times, integral)) / np.diff(edges) for integral in integrals])


@dataclass(slots=True)
class _Story:
    """All nodes, and what every running job has of them."""

    nodes: dict[int, _Node] = field(default_factory=lambda: defaultdict(_Node))
    held: dict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    marks: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def tell(self, time: int, event: str, job: int | None, node: int | None, value: int) -> None:
        """Follow one row of the log."""
        if node is None:
            return
        if job is None:
            if event in NODE_STATES:
                self.nodes[node].change(time, NODE_STATES[event])
            return
        held = self.held[job]
        if event in ("job_move", "job_preempt"):
            self.marks[event].append((time, node))
        if event == "job_move":  # the part that moved is the only one of its size: the others are whole nodes
            old = next(other for other, milli in held.items() if milli == value)
            self.nodes[old].change(time, more=-held.pop(old))
        is_gone = event in ("job_end", "job_preempt", "job_suspend")
        self.nodes[node].change(time, more=(0 if is_gone else value) - held.pop(node, 0))
        if not is_gone:
            held[node] = value


def lanes_of(log: pa.Table, problem: Problem, start_ms: int, end_ms: int, most: int = MOST_LANES) -> Lanes:
    """Work out the lanes of a span.

    Args:
        log: of `envs.gpu_cluster.simulator.EVENT_SCHEMA`, from the reset of the cluster to the end of the span.
        problem: the inputs of the simulator.
        start_ms: where the span begins.
        end_ms: where it ends.
        most: lanes that are kept.
    """
    story = _Story()
    columns = [log[name].to_pylist() for name in ("time_ms", "event", "job", "node", "value")]
    for row in zip(*columns, strict=True):
        story.tell(*row)
    edges = np.linspace(start_ms, end_ms, max(1, round((end_ms - start_ms) / STRETCH_MS)) + 1)
    means = {number: node.means(edges) for number, node in sorted(story.nodes.items())}
    were_on = [number for number, parts in means.items() if parts[:3].any()]
    places = np.linspace(0, len(were_on) - 1, min(most, len(were_on))).round().astype(np.int64)
    chosen = [were_on[at] for at in places]
    offsets = problem.node_offsets
    pools = {number: int(np.searchsorted(offsets, number, side="right")) - 1 for number in chosen}
    parts = np.stack([means[number] for number in chosen]) if chosen else np.zeros((0, 4, len(edges) - 1))
    gpus = np.array([1000.0 * problem.cluster.pools[pools[number]].gpus_per_node for number in chosen])[:, None]
    totals = sum((means[number][:3].mean(axis=1) for number in were_on), np.zeros(3)) * (end_ms - start_ms) / HOUR_MS
    in_span = np.array(columns[0]) >= start_ms
    kinds, counts = np.unique(np.array(columns[1])[in_span], return_counts=True)
    return Lanes(
        edges_ms=edges,
        names=tuple(f"{problem.cluster.pools[pools[n]].name} {n - offsets[pools[n]]}" for n in chosen),
        nodes=len(were_on),
        booting=parts[:, 0],
        idle=parts[:, 1],
        busy=parts[:, 2],
        used=np.divide(parts[:, 3], gpus * parts[:, 2], out=np.zeros_like(parts[:, 3]), where=parts[:, 2] > 0.0),
        moves=_marks(story.marks["job_move"], chosen, start_ms),
        preemptions=_marks(story.marks["job_preempt"], chosen, start_ms),
        hours={"busy": float(totals[2]), "idle": float(totals[1]), "booting": float(totals[0])},
        events={str(kind): int(count) for kind, count in zip(kinds, counts, strict=True)},
    )


def _marks(marks: list[tuple[int, int]], chosen: list[int], start_ms: int) -> NDArray[np.float64]:
    lane = {number: at for at, number in enumerate(chosen)}
    rows = [(time, lane[node]) for time, node in marks if time >= start_ms and node in lane]
    return np.array(rows, np.float64).reshape(-1, 2)
