"""A small recording, and a server that runs while a test needs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from autoscaler.dashboard.server import Address, DashboardServer
from autoscaler.dashboard.sources import Source, find_sources
from envs.recording import Head, RecordingWriter, Track

POOL = {
    "name": "gpu", "gpu_model": "V100", "gpus_per_node": 8, "min_nodes": 1, "max_nodes": 4, "boot_seconds": 300.0,
    "zone": 0,
}  # fmt: skip


def write_cluster(folder: Path, finished: bool = True) -> RecordingWriter:
    """A cluster of four nodes under two policies for an hour."""
    tracks = (Track("learned"), Track("reactive", "the rule", reference=True))
    head = Head("cluster", "a small cluster", tracks, end_seconds=3600.0 if finished else None, pools=(POOL,),
                zones=("DE",), start_time="2017-10-02T00:00:00")  # fmt: skip
    writer = RecordingWriter(folder, head)
    writer.add("nodes", {"node": range(4), "pool": [0] * 4, "name": [f"gpu-{node}" for node in range(4)]})
    writer.add("signals", {"time_seconds": [0.0, 1800.0], "zone": [0, 0], "grams_per_kwh": [400, 300],
                           "usd_per_kwh": [0.2, 0.1]})  # fmt: skip
    for scale, track in ((1.0, "learned"), (2.0, "reactive")):
        write_track(writer, track, scale)
    writer.flush()
    if finished:
        writer.close()
    return writer


def write_track(writer: RecordingWriter, track: str, scale: float) -> None:
    time_seconds = np.arange(0.0, 3601.0, 60.0)
    zeros = np.zeros(len(time_seconds))
    writer.add("samples", {
        "time_seconds": time_seconds, "kwh": scale * time_seconds / 360.0, "grams": time_seconds, "usd": time_seconds,
        "waited_gpu_hours": zeros, "mean_wait_seconds": zeros, "watts": zeros + 1000 * scale, "used_gpus": zeros + 6,
        "waiting_gpus": zeros + 2, "waiting": zeros + 1, "running": zeros + 1, "finished": zeros, "slo_missed": zeros,
    }, track)  # fmt: skip
    writer.add("node_states", {"time_seconds": [0.0, 0.0, 600.0, 1200.0], "node": [0, 1, 1, 2],
                               "state": [3, 2, 4, 1], "used_gpus": [6, 0, 0, 0]}, track)  # fmt: skip
    writer.add("jobs", {"time_seconds": [0.0, 0.0, 900.0], "job": [7, 7, 8], "event": [0, 1, 0], "node": [-1, 0, -1],
                        "gpus": [6, 6, 2]}, track)  # fmt: skip
    writer.add("decisions", {"time_seconds": [0.0, 1200.0], "pool": [0, 0], "before": [2, 2], "target": [2, 3],
                             "reason": ["nobody waits", "a job waits for 2 GPUs"]}, track)  # fmt: skip
    writer.add("reasons", {"time_seconds": [0.0], "subject": ["node"], "id": [1], "rule": ["min-nodes"],
                           "text": ["kept: the pool keeps at least 1 node"]}, track)  # fmt: skip


@pytest.fixture
def cluster_recording(tmp_path: Path) -> Path:
    write_cluster(tmp_path / "cluster")
    return tmp_path / "cluster"


@pytest.fixture
def start() -> Iterator[Callable[..., DashboardServer]]:
    """Starts servers, and stops them at the end."""
    running: list[tuple[DashboardServer, threading.Thread]] = []

    def run(page: Path, paths: Sequence[Path] = (), address: Address | None = None, more: Sequence[Source] = ()):
        server = DashboardServer(page, find_sources([str(path) for path in paths], more), address or Address())
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        while not server.is_started:
            time.sleep(0.01)
        return server

    yield run
    for server, thread in running:
        server.stop()
        thread.join(10)
