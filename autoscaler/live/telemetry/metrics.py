"""The metrics of one process, for Prometheus. Names, labels and help stand in `autoscaler.live.names`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from autoscaler.live.names import METRIC_DURATION, NAMES, Name, metric

BUCKETS_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

# A second series `<name>_created` for each counter is of no use to Prometheus.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """All metrics of one process; thread-safe."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._metrics = {name.value: self._collector(name) for name in NAMES if name.kind == "metric"}

    def _collector(self, name: Name) -> Any:
        if name.metric_type == "histogram":
            return Histogram(name.value, name.meaning, name.labels, registry=self._registry, buckets=BUCKETS_SECONDS)
        kind = Counter if name.metric_type == "counter" else Gauge
        return kind(name.value, name.meaning, name.labels, registry=self._registry)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge.

        Args:
            name: a constant `METRIC_...` of `autoscaler.live.names`.
            value: its value.
            labels: values of its labels, in their order.

        Raises:
            KeyError: there is no such metric.
            ValueError: the number of labels is not that of the metric.
        """
        self._child(name, labels).set(value)

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Raise a counter; see `set`."""
        self._child(name, labels).inc(amount)

    def value(self, name: str, *labels: str) -> float:
        """The value of a counter or gauge, 0 where it was never set; see `set`."""
        pairs = dict(zip(metric(name).labels, labels, strict=True))
        return self._registry.get_sample_value(name, pairs) or 0.0

    @contextmanager
    def timed(self, function: str) -> Iterator[None]:
        """Measure how long a block takes, in `function_duration_seconds`."""
        with self._child(METRIC_DURATION, (function,)).time():
            yield

    def render(self) -> str:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry).decode()

    def _child(self, name: str, labels: tuple[str, ...]) -> Any:
        known = self._metrics[name]
        return known.labels(*labels) if labels else known
