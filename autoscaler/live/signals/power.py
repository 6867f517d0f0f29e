"""Measured energy of GPUs, from the DCGM exporter through Prometheus; what is odd in its series is dropped and counted.

The exporter has one series for each GPU, and on a GPU that is divided (MIG) one for each slice, which repeat the power
of the whole GPU. Its counter of energy starts anew with the driver, and values of replicas of the exporter mix.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from autoscaler.live.signal_config import PowerMeter
from autoscaler.live.signals.base import Clock, Problem, SourceError, field_of
from autoscaler.live.signals.prometheus import bearer, query_prometheus

_LOG = logging.getLogger(__name__)

JOULES_PER_KWH = 3.6e6
RESET_SHARE = 0.5
"""A counter that falls below this share of its last value began anew; one that falls less is a stray value."""

MAX_WINDOW_SECONDS = 3600.0


class Dropped(StrEnum):
    """Why a value was not used."""

    SLICE = "slice"  # another series of the same GPU
    REPEATED = "repeated"  # a stamp that was there already
    BACKWARDS = "backwards"  # a stamp before the last one
    RESET = "reset"  # the counter began anew
    NEGATIVE = "negative"  # less energy than before, or a negative power
    SPIKE = "spike"  # more than a GPU can draw
    GAP = "gap"  # too long after the last value
    UNREADABLE = "unreadable"  # no number, or without the labels that name its GPU


class Sample(NamedTuple):
    """A value of a series.

    Attributes:
        seconds: its stamp.
        value: mJ so far, or W.
    """

    seconds: float
    value: float


class NodePower(NamedTuple):
    """Mean power of the GPUs of a node over the last read.

    Attributes:
        watts: of all its GPUs with a value.
        since_seconds: from when on it was measured; of several GPUs the first.
    """

    watts: float
    since_seconds: float


@dataclass(slots=True)
class _Last:
    sample: Sample
    spikes: int = 0


class EnergyCounter:
    """Adds up the energy of GPUs from the values of their series.

    Args:
        settings: what the series are, and what is a spike or a gap.

    Attributes:
        power: what each node drew over the last call of `add`, by name; not one of which a value was dropped.
    """

    def __init__(self, settings: PowerMeter) -> None:
        self.power: dict[str, NodePower] = {}
        self._settings = settings
        self._last: dict[tuple[str, ...], _Last] = {}

    def add(self, series: Iterable[Mapping[str, Any]], nodes: frozenset[str] | None) -> tuple[float, Counter[Dropped]]:
        """Take in what a range selector gave.

        Args:
            series: of Prometheus: `metric` has the labels, `values` pairs of a stamp and a text.
            nodes: nodes that count; None: all.

        Returns:
            Joules since the last call, and how many values were dropped, by reason.
        """
        dropped: Counter[Dropped] = Counter()
        joules, seen = 0.0, set()
        power: dict[str, NodePower | None] = {}
        for each in series:
            labels, values = each.get("metric"), each.get("values")
            if not isinstance(labels, Mapping) or not isinstance(values, list):
                dropped[Dropped.UNREADABLE] += 1
                continue
            gpu = tuple(str(labels.get(name, "")) for name in self._settings.gpu_labels)
            if not any(gpu):
                dropped[Dropped.UNREADABLE] += len(values)
                continue
            if nodes is not None and labels.get(self._settings.node_label) not in nodes:
                continue
            if gpu in seen:
                dropped[Dropped.SLICE] += len(values)
                continue
            seen.add(gpu)
            begun, odd = self._last.get(gpu), _odd(dropped)
            since = None if begun is None else begun.sample.seconds
            used = sum(self._step(gpu, value, dropped) for value in values)
            joules += used
            if since is not None:
                more = None if _odd(dropped) > odd else self._mean(gpu, used, since)
                node = str(labels.get(self._settings.node_label, ""))
                power[node] = _together(power.get(node, NO_POWER), more)
        self.power = {node: each for node, each in power.items() if each is not None}
        return joules, dropped

    def _mean(self, gpu: tuple[str, ...], joules: float, since_seconds: float) -> NodePower | None:
        """Power of a GPU since a stamp; None: no value came after it."""
        seconds = self._last[gpu].sample.seconds - since_seconds
        return NodePower(joules / seconds, since_seconds) if seconds > 0.0 else None

    def _step(self, gpu: tuple[str, ...], pair: Any, dropped: Counter[Dropped]) -> float:
        """Joules from the last value of a GPU to this one."""
        sample, last = _sample(pair), self._last.get(gpu)
        fault = self._fault(sample, last)
        if fault is not None:
            dropped[fault] += 1
        if sample is None or fault is not None:
            return 0.0
        if last is None:
            self._last[gpu] = _Last(sample)
            return 0.0
        seconds = sample.seconds - last.sample.seconds
        if self._settings.kind == "energy":
            return self._counted(last, sample, seconds, dropped)
        before, last.sample = last.sample, sample
        if seconds > self._settings.max_gap_seconds:
            dropped[Dropped.GAP] += 1
            return 0.0
        return 0.5 * (before.value + sample.value) * seconds

    def _fault(self, sample: Sample | None, last: _Last | None) -> Dropped | None:
        """Why a value cannot be used whatever the one before was; None: it can."""
        if sample is None:
            return Dropped.UNREADABLE
        if sample.value < 0.0:
            return Dropped.NEGATIVE
        if self._settings.kind == "power" and sample.value > self._settings.max_watts:
            return Dropped.SPIKE
        if last is None or sample.seconds > last.sample.seconds:
            return None
        return Dropped.REPEATED if sample.seconds == last.sample.seconds else Dropped.BACKWARDS

    def _counted(self, last: _Last, sample: Sample, seconds: float, dropped: Counter[Dropped]) -> float:
        joules = (sample.value - last.sample.value) / 1000.0
        if joules < 0.0:
            if sample.value < RESET_SHARE * last.sample.value:
                dropped[Dropped.RESET] += 1
                last.sample = sample
            else:
                dropped[Dropped.NEGATIVE] += 1
            return 0.0
        if joules > self._settings.max_watts * seconds:
            dropped[Dropped.SPIKE] += 1
            last.spikes += 1
            if last.spikes > 1:  # no stray value: the counter goes on from there
                last.sample, last.spikes = sample, 0
            return 0.0
        last.sample, last.spikes = sample, 0
        return joules


NO_POWER = NodePower(0.0, math.inf)
"""Of a node none of whose GPUs was looked at yet."""


def _together(first: NodePower | None, second: NodePower | None) -> NodePower | None:
    """Power of GPUs of one node; of a node of which one GPU is not known nothing is."""
    if first is None or second is None:
        return None
    return NodePower(first.watts + second.watts, min(first.since_seconds, second.since_seconds))


def _odd(dropped: Counter[Dropped]) -> int:
    """Values that were dropped and leave a hole; those that come twice do not."""
    return dropped.total() - dropped[Dropped.SLICE] - dropped[Dropped.REPEATED] - dropped[Dropped.BACKWARDS]


def _sample(pair: Any) -> Sample | None:
    if not isinstance(pair, list) or len(pair) != 2:
        return None
    try:
        sample = Sample(float(pair[0]), float(pair[1]))
    except (TypeError, ValueError):
        return None
    return sample if math.isfinite(sample.seconds) and math.isfinite(sample.value) else None


class PowerFeed:
    """Reads the energy of GPUs now and then, in a thread of its own.

    Args:
        settings: where from.
        now: the time.
        on_read: called after each read with `ok` or why it failed, and with what was dropped.
    """

    def __init__(self, settings: PowerMeter, now: Clock, on_read: Callable[[str, Counter[Dropped]], None]) -> None:
        self._settings, self._now, self._on_read = settings, now, on_read
        self._token = bearer(settings.token_env, settings.token_file)
        self._counter = EnergyCounter(settings)
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._joules, self._good_seconds, self._asked = 0.0, -math.inf, -math.inf
        self._nodes: frozenset[str] = frozenset()
        self._power: dict[str, NodePower] = {}
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="signal-power", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End; a read in hand is not waited for."""
        self._stop.set()

    def know_nodes(self, names: Iterable[str]) -> None:
        """GPUs of these nodes count."""
        self._nodes = frozenset(names)

    @property
    def is_good(self) -> bool:
        """Whether the last read is not too old."""
        return self._now() - self._good_seconds <= self._settings.max_gap_seconds

    @property
    def power(self) -> dict[str, NodePower]:
        """What each node drew over the last read, by name; empty where that is too old."""
        with self._lock:
            return self._power if self.is_good else {}

    def take_kwh(self) -> float:
        """KWh that were measured since the last call."""
        with self._lock:
            joules, self._joules = self._joules, 0.0
        return joules / JOULES_PER_KWH

    def read_once(self) -> None:
        """Read what came since the last read."""
        settings, now = self._settings, self._now()
        window = min(max(now - self._asked, settings.poll_seconds), MAX_WINDOW_SECONDS)
        query = {"query": f"{settings.query}[{math.ceil(window)}s]", "time": repr(now)}
        try:
            series = query_prometheus(settings.url, "query", query, self._token, settings.timeout_seconds)
            if not series:
                raise SourceError(Problem.MISSING, f"{settings.url}: {settings.query} has no series")
            for each in series:
                field_of(each, "values", settings.url)
        except SourceError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                _LOG.warning("GPU power cannot be read", extra={"problem": self._problem})
            self._on_read(str(error.problem), Counter())
            return
        joules, dropped = self._counter.add(series, self._nodes)
        with self._lock:
            self._joules += joules
            self._power = self._counter.power
        self._asked, self._good_seconds = now, now
        if self._problem:
            self._problem = ""
            _LOG.info("GPU power is read again")
        self._on_read("ok", dropped)

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            self.read_once()
            pause = self._settings.poll_seconds
