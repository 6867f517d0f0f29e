"""A page that follows an autoscaler for long needs no more memory for it.

`AUTOSCALER_SOAK_MINUTES=30 python -m pytest tests/dashboard/test_soak.py --log-cli-level INFO` follows for half an hour
and tells what it found; without the variable some seconds have to do.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import CDPSession, expect

from autoscaler.dashboard.live import LiveSource
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import Health, HealthServer
from autoscaler.live.telemetry.stream import RecordRing
from tests.dashboard.conftest import Start, Visit
from tests.dashboard.test_live import Deployed
from tests.live import raw

_LOG = logging.getLogger(__name__)

MINUTES = float(os.environ.get("AUTOSCALER_SOAK_MINUTES", "0.3"))
WARM_UP_SECONDS = 5.0
RECONCILE_SECONDS = 5.0
"""Between two decisions that the page hears of, a twelfth of what is usual; the page keeps all, about 1 kB each."""
NODES = 8
MOST_GROWTH = 0.10

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300 + 60 * MINUTES)]


class Traffic:
    """An autoscaler that decides again and again about jobs that come, wait, run for some minutes, and go."""

    def __init__(self, ring: RecordRing) -> None:
        self.decisions = 0
        self._deployed = Deployed(None, ring)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(RECONCILE_SECONDS):
            number = self.decisions
            nodes = [raw.node(f"n{index}") for index in range(NODES) if (number // 20 + index) % NODES < NODES - 2]
            names = [node["metadata"]["name"] for node in nodes]
            pods = [
                raw.pod(f"job-{job}", node_name=names[job % len(names)]) for job in range(max(number - 5, 0), number)
            ]
            self._deployed.reconcile(nodes, [*pods, raw.pod(f"job-{number}")])
            self.decisions += 1


@pytest.fixture
def live() -> Iterator[tuple[Traffic, LiveSource]]:
    health = Health(600.0)
    health.ring = RecordRing()
    server = HealthServer("127.0.0.1", 0, health, Metrics())
    traffic = Traffic(health.ring)
    yield traffic, LiveSource(f"http://127.0.0.1:{server.port}")
    traffic.close()
    server.close()


def heap_bytes(session: CDPSession) -> int:
    """What the page holds once its garbage is gone: objects, and the memory of its typed arrays."""
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    usage = session.send("Runtime.getHeapUsage")
    return int(sum(usage.get(name, 0) for name in ("usedSize", "embedderHeapUsedSize", "backingStorageSize")))


def test_following_for_long_needs_no_more_memory(
    built: Path,
    start: Start,
    visit: Callable[..., Visit],
    live: tuple[Traffic, LiveSource],
) -> None:
    traffic, source = live
    page = visit(start(built, more=[source]).url).page
    expect(page.get_by_role("status")).to_have_text("following")
    page.wait_for_timeout(1000.0 * WARM_UP_SECONDS)
    session = page.context.new_cdp_session(page)
    before, decided = heap_bytes(session), traffic.decisions
    page.wait_for_timeout(60_000.0 * MINUTES)
    after = heap_bytes(session)
    decisions = traffic.decisions - decided
    found = f"heap {before / 1e6:.2f} -> {after / 1e6:.2f} MB, {after / before - 1:+.1%}"
    _LOG.info("%s, in %g min and %d decisions", found, MINUTES, decisions)
    expect(page.get_by_role("status")).to_have_text("following")
    assert decisions > 6.0 * MINUTES
    assert after < (1.0 + MOST_GROWTH) * before
