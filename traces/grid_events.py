"""Grid events: times in which a grid operator lets a site draw no more than so much power, each told in advance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from traces.errors import TraceValueError
from traces.signals.signal import utc_text

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GridEventSummary:
    """Statistics of grid events.

    Attributes:
        source: the data set.
        licence: of the data.
        events: their number.
        first: start of the first, UTC.
        last: end of the last, UTC.
        hours: all of them together.
        least_power_kw: the lowest budget in kW; NaN: all are fractions.
        least_fraction: the lowest budget as a fraction of the peak; NaN: all are kW.
    """

    source: str
    licence: str
    events: int
    first: str
    last: str
    hours: float
    least_power_kw: float
    least_fraction: float

    def rows(self) -> list[tuple[str, str]]:
        """For humans: names and texts."""
        lowest = [] if np.isnan(self.least_power_kw) else [f"{self.least_power_kw:,.6g} kW"]
        lowest += [] if np.isnan(self.least_fraction) else [f"{self.least_fraction:.0%} of the peak"]
        return [
            ("source", f"{self.source}; licence: {self.licence}"),
            ("events", f"{self.events:,}, {self.hours:,.4g} h together"),
            ("from", self.first),
            ("until", self.last),
            ("lowest budget", ", ".join(lowest)),
        ]


@dataclass(frozen=True, slots=True, eq=False)
class GridEvents:
    """Events in order of time that do not overlap. Build one with `traces.load_grid_events(uri)` or `from_rows`.

    Attributes:
        start_seconds: [E] float64, seconds since the Unix epoch.
        end_seconds: [E] float64, likewise.
        power_kw: [E] float64, the budget, kW; NaN where `fraction` gives it.
        fraction: [E] float64, the budget as a fraction of the peak power; NaN where `power_kw` gives it.
        notice_seconds: [E] float64, so long before its start an event is known.
        source: the data set.
        licence: of the data.
    """

    start_seconds: Numbers
    end_seconds: Numbers
    power_kw: Numbers
    fraction: Numbers
    notice_seconds: Numbers
    source: str = "unknown"
    licence: str = "unknown"

    @classmethod
    def from_rows(cls, columns: Sequence[Numbers], *, source: str, licence: str = "unknown") -> "GridEvents":
        """Checked events, sorted.

        Args:
            columns: the five columns in the order of the attributes, [E] float64 each.
            source: the file, for messages.
            licence: of the data.

        Raises:
            TraceValueError: there is none, one ends before it starts, has not exactly one budget, or a negative number,
                or two overlap: names the row.
        """
        start, end = columns[:2]
        if not len(start):
            raise TraceValueError(f"{source}: holds no event; check that it is the right file")
        for row in range(len(start)):
            _check_row(f"{source}: row {row + 1}", *(float(column[row]) for column in columns))
        order = np.argsort(start, kind="stable")
        for before, after in pairwise(order.tolist()):
            if start[after] < end[before]:
                raise TraceValueError(
                    f"{source}: row {after + 1}: starts at {utc_text(start[after])}, before the event of row "
                    f"{before + 1} ends at {utc_text(end[before])}; merge them"
                )
        start, end, power, fraction, notice = (column[order] for column in columns)
        return cls(start, end, power, fraction, notice, source, licence)

    @property
    def num_events(self) -> int:
        """Their number."""
        return len(self.start_seconds)

    def summary(self) -> GridEventSummary:
        """Their statistics."""

        def least(values: Numbers) -> float:
            return float(np.nanmin(values)) if np.isfinite(values).any() else float("nan")

        return GridEventSummary(
            self.source,
            self.licence,
            self.num_events,
            utc_text(float(self.start_seconds[0])),
            utc_text(float(self.end_seconds[-1])),
            float((self.end_seconds - self.start_seconds).sum()) / 3600.0,
            least(self.power_kw),
            least(self.fraction),
        )


def _check_row(where: str, start: float, end: float, power_kw: float, fraction: float, notice: float) -> None:
    if not end > start:
        raise TraceValueError(
            f"{where}: ends at {utc_text(end)}, not after its start at {utc_text(start)}; fix or remove it"
        )
    if np.isnan(power_kw) == np.isnan(fraction):
        raise TraceValueError(f"{where}: power is {power_kw:g} kW and fraction is {fraction:g}; give one of them")
    if power_kw < 0.0 or not 0.0 <= (0.0 if np.isnan(fraction) else fraction) <= 1.0:
        raise TraceValueError(
            f"{where}: power is {power_kw:g} kW and fraction is {fraction:g}; power must be at least 0, fraction 0 to 1"
        )
    if not notice >= 0.0:
        raise TraceValueError(f"{where}: notice is {notice:g} s; it must be at least 0")
