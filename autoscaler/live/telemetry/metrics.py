"""Counters, gauges and histograms in Prometheus' text format. Every metric stands in `autoscaler.live.names`.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

from autoscaler.live.names import METRIC_DURATION, NAMES, Name, metric

BUCKETS_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Metrics:
    """All metrics of one process; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, dict[tuple[str, ...], float]] = {}
        self._histograms: dict[tuple[str, ...], list[float]] = {}

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge.

        Raises:
            KeyError: no such metric.
            ValueError: the labels do not fit it.
        """
        self._check(name, labels)
        with self._lock:
            self._values.setdefault(name, {})[labels] = value

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Raise a counter; see `set`."""
        self._check(name, labels)
        with self._lock:
            values = self._values.setdefault(name, {})
            values[labels] = values.get(labels, 0.0) + amount

    def value(self, name: str, *labels: str) -> float:
        """The value of a counter or gauge, 0 when it was never set; see `set`."""
        self._check(name, labels)
        with self._lock:
            return self._values.get(name, {}).get(labels, 0.0)

    @contextmanager
    def timed(self, function: str) -> Iterator[None]:
        """Measure how long a block takes, in `function_duration_seconds`."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._observe(function, time.monotonic() - started)

    def render(self) -> str:
        """All metrics as Prometheus reads them."""
        with self._lock:
            return "".join(self._render(name) for name in NAMES if name.kind == "metric")

    def _observe(self, function: str, seconds: float) -> None:
        with self._lock:
            cells = self._histograms.setdefault((function,), [0.0] * (len(BUCKETS_SECONDS) + 2))
            cells[bisect_left(BUCKETS_SECONDS, seconds)] += 1.0
            cells[-1] += seconds

    def _check(self, name: str, labels: tuple[str, ...]) -> None:
        expected = metric(name).labels
        if len(labels) != len(expected):
            raise ValueError(f"metric {name} has the labels {expected}, got {labels}")

    def _render(self, name: Name) -> str:
        lines = [f"# HELP {name.value} {name.meaning}", f"# TYPE {name.value} {name.metric_type}"]
        if name.value == METRIC_DURATION:
            for labels, cells in sorted(self._histograms.items()):
                lines += _histogram(name, labels, cells)
        else:
            values = self._values.get(name.value) or ({} if name.labels else {(): 0.0})
            for labels, value in sorted(values.items()):
                lines.append(f"{name.value}{_labels(name.labels, labels)} {_number(value)}")
        return "\n".join(lines) + "\n"


def _histogram(name: Name, labels: tuple[str, ...], cells: list[float]) -> Iterator[str]:
    total = 0.0
    for edge, count in zip((*BUCKETS_SECONDS, float("inf")), cells, strict=False):
        total += count
        yield f"{name.value}_bucket{_labels((*name.labels, 'le'), (*labels, _number(edge)))} {_number(total)}"
    yield f"{name.value}_sum{_labels(name.labels, labels)} {_number(cells[-1])}"
    yield f"{name.value}_count{_labels(name.labels, labels)} {_number(total)}"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
