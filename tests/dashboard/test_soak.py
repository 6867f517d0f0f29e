"""A page that follows an autoscaler for long needs no more memory for it.

In some seconds it hears of days: the autoscaler decides many times a second, and the page keeps an hour of its clock.
`AUTOSCALER_SOAK_MINUTES=30 python -m pytest tests/dashboard/test_soak.py --log-cli-level INFO` follows for half an
hour, after ten minutes to warm up, a decision each five seconds, keeps all of it as a page does for a day, and tells
what it found.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from autoscaler.dashboard.live import KEEP_SECONDS, LiveSource
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import Health, HealthServer
from autoscaler.live.telemetry.stream import RecordRing
from tests.dashboard.conftest import Start, Visit
from tests.dashboard.test_live import Deployed
from tests.live import raw

_LOG = logging.getLogger(__name__)

SOAK_MINUTES = float(os.environ.get("AUTOSCALER_SOAK_MINUTES", "0"))
WARM_UP_MINUTES = 10
"""The browser compiles the page's code bit by bit, the more often it runs; that is no memory of what was followed."""
KEPT_DECISIONS = 60
DECISION_SECONDS = 60.0
"""Of the autoscaler's clock, between two decisions."""
NODES = 8
MOST_GROWTH = 0.10

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1200 + 120 * SOAK_MINUTES)]


class Traffic:
    """An autoscaler that decides again and again about jobs that come, wait, run for some minutes, and go."""

    def __init__(self, ring: RecordRing, pause_seconds: float) -> None:
        self.decisions = 0
        self._pause_seconds = pause_seconds
        self._deployed = Deployed(None, ring)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(self._pause_seconds):
            number = self.decisions
            nodes = [raw.node(f"n{index}") for index in range(NODES) if (number // 20 + index) % NODES < NODES - 2]
            names = [node["metadata"]["name"] for node in nodes]
            pods = [
                raw.pod(f"job-{job}", node_name=names[job % len(names)]) for job in range(max(number - 5, 0), number)
            ]
            self._deployed.reconcile(nodes, [*pods, raw.pod(f"job-{number}")])
            self.decisions += 1


@contextmanager
def live(pause_seconds: float, keep_seconds: float) -> Iterator[tuple[Traffic, LiveSource]]:
    health = Health(600.0)
    health.ring = RecordRing()
    server = HealthServer("127.0.0.1", 0, health, Metrics())
    traffic = Traffic(health.ring, pause_seconds)
    yield traffic, LiveSource(f"http://127.0.0.1:{server.port}", keep_seconds)
    traffic.close()
    server.close()


def heap_bytes(page: Page) -> int:
    """What the page holds once its garbage is gone, which one collection may leave: objects and typed arrays."""
    session = page.context.new_cdp_session(page)
    found = []
    for _ in range(4):
        session.send("HeapProfiler.collectGarbage")
        usage = session.send("Runtime.getHeapUsage")
        found.append(sum(usage.get(name, 0) for name in ("usedSize", "embedderHeapUsedSize", "backingStorageSize")))
        page.wait_for_timeout(300.0)
    session.detach()
    return int(min(found))


def follow(page: Page, traffic: Traffic, decisions: int) -> int:
    """Memory of the page once the autoscaler has decided so often again."""
    end = traffic.decisions + decisions
    while traffic.decisions < end:
        page.wait_for_timeout(200.0)
    expect(page.get_by_role("status")).to_have_text("following")
    return heap_bytes(page)


def test_following_for_long_needs_no_more_memory(built: Path, start: Start, visit: Callable[..., Visit]) -> None:
    with live(0.02, KEPT_DECISIONS * DECISION_SECONDS) as (traffic, source):
        page = visit(start(built, more=[source]).url).page
        before = follow(page, traffic, 12 * KEPT_DECISIONS)
        after = follow(page, traffic, 12 * KEPT_DECISIONS)
        shown = page.get_by_role("slider", name="moment").evaluate("(each) => each.max - each.min")
    _LOG.info("heap %.2f -> %.2f MB, %+.1f%%", before / 1e6, after / 1e6, 100 * (after / before - 1))
    assert KEPT_DECISIONS * DECISION_SECONDS <= shown < 1.3 * KEPT_DECISIONS * DECISION_SECONDS
    assert after < (1.0 + MOST_GROWTH) * before


@pytest.mark.skipif(SOAK_MINUTES == 0, reason="takes long: set AUTOSCALER_SOAK_MINUTES")
def test_following_for_half_an_hour_needs_no_more_memory(
    built: Path, start: Start, visit: Callable[..., Visit]
) -> None:
    with live(5.0, KEEP_SECONDS) as (traffic, source):
        page = visit(start(built, more=[source]).url).page
        before = follow(page, traffic, 12 * WARM_UP_MINUTES)
        after = follow(page, traffic, round(12 * SOAK_MINUTES))
    _LOG.info("heap %.2f -> %.2f MB, %+.1f%%", before / 1e6, after / 1e6, 100 * (after / before - 1))
    assert after < (1.0 + MOST_GROWTH) * before
