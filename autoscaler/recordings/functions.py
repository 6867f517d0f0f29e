"""Records a window of Serverless-v0 under policies: the nodes of the pool, and the containers of functions by state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from autoscaler.evaluation.provenance import provenance
from autoscaler.recordings.event_log import BOOTING, BUSY, IDLE, OFF
from autoscaler.recordings.simulated import track_name
from envs.containers import state as st
from envs.containers.problem import UJ_PER_KWH
from envs.recording import Head, RecordingWriter, Track
from envs.scores import Actor
from envs.serverless.problem import ServerlessProblem
from envs.serverless.simulator import ServerlessSimulator

SAMPLE_MS = 60_000
PULLING, STARTING, WARM, WORKING = 1, 2, 3, 4
"""States of a container in the table `containers`; 0: gone."""


def record_functions(
    folder: str | Path,
    problem: ServerlessProblem,
    policies: Mapping[str, Actor],
    window_ms: tuple[int, int],
    title: str,
) -> None:
    """Record a window under policies; the first one is the reference.

    What changed is written at each decision, so a container that lives between two decisions only is not there.

    Args:
        folder: of the recording; it must be empty or missing.
        problem: the workload, the pool and the settings.
        policies: who decides, by name.
        window_ms: begin and end.
        title: one line.

    Raises:
        RecordingError: the folder is not empty.
        OutputFileError: it cannot be written.
    """
    tracks = tuple(Track(track_name(name, number), name, number == 0) for number, name in enumerate(policies))
    with RecordingWriter(folder, _head(problem, tracks, window_ms, title)) as writer:
        count = len(problem.containers.node)
        names = [f"node-{number}" for number in range(count)]
        writer.add("nodes", {"node": range(count), "pool": [0] * count, "name": names})
        writer.add("signals", _signals(problem, window_ms))
        for track, actor in zip(tracks, policies.values(), strict=True):
            _Sampler(writer, track.name, problem).play(actor, window_ms)
            writer.flush()
        writer.close(end_seconds=window_ms[1] / 1000.0)


def _head(problem: ServerlessProblem, tracks: tuple[Track, ...], window_ms: tuple[int, int], title: str) -> Head:
    made, nodes = provenance(), problem.containers.node
    pool = {
        "name": "pool", "gpu_model": "", "gpus_per_node": 1, "min_nodes": 0, "max_nodes": len(nodes),
        "boot_seconds": float(nodes[:, st.BOOT_MS].max()) / 1000.0, "zone": 0,
    }  # fmt: skip
    return Head(
        "functions", title, tracks, start_seconds=window_ms[0] / 1000.0, zones=("pool",), pools=(pool,),
        source={"command": made["command"], "version": made["version"]},
        services=problem.function_names,
    )  # fmt: skip


def _signals(problem: ServerlessProblem, window_ms: tuple[int, int]) -> dict[str, Any]:
    containers = problem.containers
    first = max(int(np.searchsorted(containers.edges_ms, window_ms[0], side="right")) - 1, 0)
    pieces = np.arange(first, max(int(np.searchsorted(containers.edges_ms, window_ms[1])), first + 1))
    return {
        "time_seconds": np.maximum(containers.edges_ms[pieces], window_ms[0]) / 1000.0,
        "zone": np.zeros(len(pieces)),
        "grams_per_kwh": containers.g_per_uj[pieces, 0] * UJ_PER_KWH,
        "usd_per_kwh": containers.usd_per_uj[pieces, 0] * UJ_PER_KWH,
    }


class _Sampler:
    """Plays a window under one policy and writes what changed since the decision before."""

    def __init__(self, writer: RecordingWriter, track: str, problem: ServerlessProblem) -> None:
        self._writer, self._track, self._problem = writer, track, problem
        self._simulator = ServerlessSimulator(problem, 1, threads=1)
        slots, nodes = self._simulator.world.container.shape[1], len(problem.containers.node)
        self._container = np.zeros((slots, 4), np.int64)  # number, node, function and state of each slot
        self._node = np.zeros((nodes, 2))
        self._next_sample_ms = 0

    def play(self, actor: Actor, window_ms: tuple[int, int]) -> None:
        """Play it to its end."""
        simulator = self._simulator
        simulator.begin(0, *window_ms)
        actor.reset(1)
        self._look()
        while not simulator.done[0]:
            simulator.step(np.asarray(actor.act(simulator.observations, None), np.int64))
            self._look()
        self._next_sample_ms = 0
        self._sample(self._now_ms)

    @property
    def _now_ms(self) -> int:
        return int(self._simulator.world.clock[0, st.NOW])

    def _add(self, table: str, now_ms: int, columns: Mapping[str, Any]) -> None:
        count = len(next(iter(columns.values())))
        if count:
            self._writer.add(table, {"time_seconds": np.full(count, now_ms / 1000.0), **columns}, self._track)

    def _look(self) -> None:
        now_ms = self._now_ms
        self._containers(now_ms)
        self._nodes(now_ms)
        self._sample(now_ms)
        self._writer.flush_soon()

    def _containers(self, now_ms: int) -> None:
        rows, before = self._simulator.world.container[0], self._container
        state = np.zeros(len(rows), np.int64)
        is_pulling = rows[:, st.PULLED_MS] > now_ms
        kinds = rows[:, st.STATE]
        state[kinds == st.STARTED] = STARTING
        state[(kinds == st.STARTED) & is_pulling] = PULLING
        state[kinds == st.WARM], state[kinds == st.BUSY] = WARM, WORKING
        now = np.column_stack([rows[:, st.SERIAL], rows[:, st.NODE], rows[:, st.KEY], state])
        is_other = now[:, 0] != before[:, 0]
        gone = before[(before[:, 3] > 0) & ((state == 0) | is_other)]
        gone[:, 3] = 0
        changed = now[(state > 0) & (is_other | (state != before[:, 3]))]
        self._container = now
        found = np.vstack([gone, changed])
        names = ("container", "site", "service", "state")
        self._add("containers", now_ms, dict(zip(names, found.T, strict=True)))

    def _nodes(self, now_ms: int) -> None:
        world, memory = self._simulator.world.node[0], self._problem.containers.node[:, st.NODE_MEMORY]
        held = (memory - world[:, st.FREE_MEMORY]) / memory
        is_on = world[:, st.NODE_STATE] == st.ON
        state = np.where(is_on, np.where(world[:, st.NODE_CONTAINERS] > 0, BUSY, IDLE), OFF)
        state[world[:, st.NODE_STATE] == st.BOOTING] = BOOTING
        now = np.column_stack([state, held])
        changed = np.flatnonzero((now != self._node).any(axis=1))
        self._node = now
        columns = {"node": changed, "state": state[changed], "used_gpus": held[changed]}
        self._add("node_states", now_ms, columns)

    def _sample(self, now_ms: int) -> None:
        if now_ms < self._next_sample_ms:
            return
        self._next_sample_ms = now_ms + SAMPLE_MS
        world, results = self._simulator.world, self._simulator.results()
        key, gpus = world.key[0], self._problem.containers.function[:, st.GPU] / 1000.0
        waited_hours = results.total("waited_ms") / 3.6e6
        columns: dict[str, float] = {
            "kwh": float(results.energy_kwh.sum()), "grams": float(results.carbon_g.sum()),
            "usd": results.usd(self._problem.config.prices), "waited_gpu_hours": waited_hours,
            "mean_wait_seconds": 3600.0 * waited_hours / max(results.total("requests"), 1),
            "watts": float(world.rate[0, :, : st.ENERGIES].sum()) / 1000.0,
            "used_gpus": float(key[:, st.RUNNING] @ gpus), "waiting_gpus": float(key[:, st.QUEUED] @ gpus),
            "waiting": int(key[:, st.QUEUED].sum()), "running": int(key[:, st.RUNNING].sum()),
            "finished": results.total("finished"), "slo_missed": results.total("late"),
        }  # fmt: skip
        self._add("samples", now_ms, {name: np.array([value]) for name, value in columns.items()})
