"""Grid events: times in which a cluster may draw no more than a budget of power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import pairwise

import numpy as np

import traces
from configs.checks import check_number
from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.moments import moment_of
from traces.signals.signal import utc_text
from traces.trace import Trace

MAX_SECONDS = 4e9
"""Latest time of an event, as of a job."""


@dataclass(frozen=True, slots=True)
class GridEventConfig:
    """A time in which the cluster may draw no more than a budget of power, PUE included.

    Attributes:
        start_seconds: when it starts, in the trace's time.
        duration_seconds: for how long.
        power_kw: the budget, kW; None: `fraction` gives it.
        fraction: the budget as a fraction of the peak, which is all nodes on with all their GPUs at work.
        notice_seconds: so long before its start it is known.
        ramp_seconds: so long after its start the budget binds; at least `settle_seconds`.
    """

    start_seconds: float
    duration_seconds: float
    power_kw: float | None = None
    fraction: float | None = None
    notice_seconds: float = 3600.0
    ramp_seconds: float = 300.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a number is out of range, or there is not exactly one budget.
        """
        check_number("grid_events: start_seconds", self.start_seconds, EnvironmentConfigError, low=0, high=MAX_SECONDS)
        for name in ("notice_seconds", "ramp_seconds"):
            check_number(f"grid_events: {name}", getattr(self, name), EnvironmentConfigError, low=0, high=MAX_SECONDS)
        length, ramp = self.duration_seconds, self.ramp_seconds
        check_number("grid_events: duration_seconds", length, EnvironmentConfigError, above=ramp, high=MAX_SECONDS)
        check_number("grid_events: power_kw", self.power_kw, EnvironmentConfigError, low=0.0, high=1e6)
        check_number("grid_events: fraction", self.fraction, EnvironmentConfigError, low=0.0, high=1.0)
        if (self.power_kw is None) == (self.fraction is None):
            raise EnvironmentConfigError(
                f"grid_events: power_kw is {self.power_kw} and fraction is {self.fraction}; give one of them"
            )

    @property
    def end_seconds(self) -> float:
        """When it ends."""
        return self.start_seconds + self.duration_seconds


def check_grid_events(events: Sequence[GridEventConfig], settle_seconds: float) -> None:
    """Refuse events that do not follow each other, or that bind before a decision can meet them.

    Raises:
        EnvironmentConfigError: as above.
    """
    for before, event in pairwise(events):
        if event.start_seconds < before.end_seconds:
            raise EnvironmentConfigError(
                f"grid_events: one starts at {event.start_seconds:g} s, before the one in front of it ends at "
                f"{before.end_seconds:g} s; list them in order of time, and merge those that overlap"
            )
    for event in events:
        if event.ramp_seconds < settle_seconds:
            raise EnvironmentConfigError(
                f"grid_events: ramp_seconds is {event.ramp_seconds:g}, and decisions are up to settle_seconds "
                f"({settle_seconds:g}) apart; raise it to that, or lower settle_seconds"
            )


@dataclass(frozen=True, slots=True)
class GridEventSource:
    """Grid events of a file, in place of a list of them.

    Attributes:
        uri: the events, such as `csv-grid-events:events.csv?power_kw=budget_kw`.
        start: the moment of the file that is second 0 of the trace: ISO 8601, UTC; None: the date of the trace.
        utc_offset_hours: of the trace's local time, where its date counts.
        ramp_seconds: so long after its start a budget binds; at least `settle_seconds`.
    """

    uri: str
    start: str | None = None
    utc_offset_hours: float = 0.0
    ramp_seconds: float = 300.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a number is out of range, or the start is no time.
        """
        check_number("grid_events: ramp_seconds", self.ramp_seconds, EnvironmentConfigError, low=0, high=MAX_SECONDS)
        offset = self.utc_offset_hours
        check_number("grid_events: utc_offset_hours", offset, EnvironmentConfigError, low=-14.0, high=14.0)
        if self.start is not None:
            moment_of(self.start, "grid_events")

    def load(self, trace: Trace) -> tuple[GridEventConfig, ...]:
        """The events that a trace meets, in its time; one that is on when the trace begins counts from then on.

        Raises:
            EnvironmentConfigError: nothing says when the trace begins, or it meets no event.
            TraceError: the events cannot be read.
        """
        events, zero = traces.load_grid_events(self.uri), self._zero_seconds(trace)
        last = float((trace.submit_milliseconds + trace.duration_milliseconds).max()) / 1000.0
        starts, ends = np.maximum(events.start_seconds - zero, 0.0), events.end_seconds - zero
        met = np.flatnonzero((ends - starts > self.ramp_seconds) & (starts <= last))
        if not met.size:
            raise EnvironmentConfigError(
                f"grid_events: {self.uri} has events from {utc_text(events.start_seconds[0])} to "
                f"{utc_text(events.end_seconds[-1])}, and the trace runs from {utc_text(zero)} to "
                f"{utc_text(zero + last)}: no event is longer than its ramp there; choose another start"
            )
        return tuple(
            GridEventConfig(
                start_seconds=float(starts[row]),
                duration_seconds=float(ends[row] - starts[row]),
                power_kw=None if np.isnan(events.power_kw[row]) else float(events.power_kw[row]),
                fraction=None if np.isnan(events.fraction[row]) else float(events.fraction[row]),
                notice_seconds=float(events.notice_seconds[row]),
                ramp_seconds=self.ramp_seconds,
            )
            for row in met.tolist()
        )

    def _zero_seconds(self, trace: Trace) -> float:
        if self.start is not None:
            return moment_of(self.start, "grid_events").timestamp()
        begin = trace.metadata.start_time
        if begin is None:
            raise EnvironmentConfigError(
                f"grid_events: {self.uri}: the trace has no dates, so nothing says when it begins; give a start"
            )
        return begin.replace(tzinfo=UTC).timestamp() - 3600.0 * self.utc_offset_hours
