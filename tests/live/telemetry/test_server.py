"""Health, metrics, logs and Events."""

import json
import logging
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from autoscaler.live import names
from autoscaler.live.model import ObjectRef
from autoscaler.live.telemetry.events import MAX_WAITING, EventRecorder
from autoscaler.live.telemetry.logs import JsonFormatter
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import Health, HealthServer

LEASE = ObjectRef("Lease", "l", "kube-system", "", "coordination.k8s.io/v1")


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def parts() -> Iterator[tuple[Health, Metrics, HealthServer]]:
    health, metrics = Health(600.0), Metrics()
    server = HealthServer("127.0.0.1", 0, health, metrics)
    yield health, metrics, server
    server.close()


def test_healthz_readyz_and_metrics_answer(parts: tuple[Health, Metrics, HealthServer]) -> None:
    health, metrics, server = parts
    assert get(server.port, "/healthz") == (200, "ok\n")
    assert get(server.port, "/readyz") == (503, "starting\n")
    health.not_ready = lambda: ""
    assert get(server.port, "/readyz?verbose") == (200, "ok\n")
    metrics.set(names.METRIC_TARGET, 3.0, "gpu")
    assert 'node_group_target_count{pool="gpu"} 3\n' in get(server.port, "/metrics")[1]
    assert get(server.port, "/")[0] == 404


def test_a_loop_that_is_silent_is_not_healthy() -> None:
    health = Health(-1.0)
    assert health.unhealthy().startswith("no activity for")


def test_metrics_are_in_the_format_of_prometheus_and_each_has_help_and_type() -> None:
    metrics = Metrics()
    metrics.add(names.METRIC_FAILED_SCALE_UPS, 1, 'odd"\\\npool', "x")
    metrics.set(names.METRIC_STALE_SECONDS, float("inf"), "pods")
    with metrics.timed("act"):
        pass
    text = metrics.render()
    sample = re.compile(r'^[a-z_]+(\{([a-z]+="(\\.|[^"\\\n])*",?)+\})? (\+Inf|-?[0-9.e+-]+)$')
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.match(line), line
    for name in names.NAMES:
        if name.kind == "metric":
            assert f"# TYPE {name.value} {name.metric_type}\n" in text
    assert 'le="+Inf"} 1' in text


def test_a_metric_without_its_labels_or_its_name_is_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        Metrics().set(names.METRIC_TARGET, 1.0)
    with pytest.raises(KeyError):
        Metrics().add("nodes", 1.0)


def test_logs_are_one_json_object_per_line() -> None:
    record = logging.makeLogRecord(
        {"name": "a", "levelname": "INFO", "msg": "said %d\nlines", "args": (2,), "pool": "g"}
    )
    entry = json.loads(JsonFormatter().format(record))
    assert (entry["message"], entry["level"], entry["pool"]) == ("said 2\nlines", "info", "g")
    assert "\n" not in JsonFormatter().format(record)


class Api:
    """Takes Events in."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.free = threading.Event()
        self.free.set()

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.free.wait(5.0)
        assert path == f"/api/v1/namespaces/{body['metadata']['namespace']}/events"
        self.bodies.append(body)
        return body


def test_events_are_written_once_with_all_that_the_api_server_asks_for() -> None:
    api, metrics = Api(), Metrics()
    recorder = EventRecorder(api, metrics, "me", LEASE)  # type: ignore[arg-type]
    for _ in range(3):
        recorder.event(ObjectRef("Node", "n", "", "u"), "Normal", names.EVENT_SCALE_DOWN, "removed")
    recorder.lease_event("Warning", names.EVENT_FALLBACK, "x" * 5000)
    recorder.close()
    node, lease = api.bodies
    assert (node["metadata"]["namespace"], node["involvedObject"]["namespace"]) == ("default", "")
    assert lease["metadata"]["namespace"] == "kube-system"
    assert len(lease["message"]) <= 1024
    assert {"reportingComponent", "reportingInstance", "eventTime", "action"} <= node.keys()


def test_a_slow_api_server_never_blocks_the_loop() -> None:
    api, metrics = Api(), Metrics()
    api.free.clear()
    recorder = EventRecorder(api, metrics, "me", LEASE)  # type: ignore[arg-type]
    for index in range(MAX_WAITING + 50):
        recorder.event(ObjectRef("Node", f"n{index}"), "Normal", names.EVENT_SCALE_DOWN, "removed")
    assert metrics.value(names.METRIC_ERRORS, "event_dropped") > 0
    api.free.set()
    recorder.close()
