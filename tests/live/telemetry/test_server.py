"""Health, metrics, logs and Events."""

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.live import names
from autoscaler.live.objects import ObjectRef
from autoscaler.live.telemetry.logs import JsonFormatter
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import AddressError, Health, HealthServer

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
    (sample,) = families(get(server.port, "/metrics")[1])[names.METRIC_TARGET].samples
    assert (sample.labels, sample.value) == ({"pool": "gpu"}, 3.0)
    assert get(server.port, "/")[0] == 404


def test_a_port_that_is_taken_is_one_line_with_its_key(parts: tuple[Health, Metrics, HealthServer]) -> None:
    port = parts[2].port
    with pytest.raises(AddressError, match=f"http.port {port}: Address already in use; choose another http.port"):
        HealthServer("127.0.0.1", port, *parts[:2])


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70_000)])
def test_an_address_that_there_is_not_is_one_line_too(host: str, port: int) -> None:
    with pytest.raises(AddressError, match=f"http.host {host}, http.port {port}: "):
        HealthServer(host, port, Health(1.0), Metrics())


def test_a_loop_that_is_silent_is_not_healthy() -> None:
    health = Health(-1.0)
    assert health.unhealthy().startswith("no activity for")


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_each_metric_has_its_name_type_and_help() -> None:
    found = families(Metrics().render())
    wanted = {name.value: name for name in names.NAMES if name.kind == "metric"}
    # The parser knows counters by their stem.
    assert {f"{name}_total" if each.type == "counter" else name for name, each in found.items()} == wanted.keys()
    for name, each in found.items():
        entry = wanted[f"{name}_total" if each.type == "counter" else name]
        assert (each.type, each.documentation) == (entry.metric_type, entry.meaning)


def test_values_and_labels_are_read_back_as_they_were_set() -> None:
    metrics = Metrics()
    metrics.add(names.METRIC_FAILED_SCALE_UPS, 2, 'odd"\\\npool', "x")
    metrics.set(names.METRIC_STALE_SECONDS, float("inf"), "pods")
    metrics.set(names.METRIC_LAST_ACTIVITY, 1_700_000_000.125, "main")
    with metrics.timed("act"):
        pass
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(metrics.render()).values()
        for sample in family.samples
    }
    assert found[names.METRIC_FAILED_SCALE_UPS, 'odd"\\\npool', "x"] == 2.0
    assert found[names.METRIC_STALE_SECONDS, "pods"] == float("inf")
    assert found[names.METRIC_LAST_ACTIVITY, "main"] == 1_700_000_000.125
    assert found[names.METRIC_EVICTED_PODS,] == 0.0, "a metric without labels is there from the start"
    assert found[f"{names.METRIC_DURATION}_bucket", "act", "+Inf"] == 1.0
    assert not [key for key in found if key[0].endswith("_created")]


def test_a_metric_without_its_labels_or_its_name_is_refused() -> None:
    with pytest.raises(ValueError, match="label"):
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
