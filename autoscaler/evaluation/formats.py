"""Numbers as people read them, for tables and reports."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

UNKNOWN = "–"
MS_PER_DAY = 86_400_000.0


def duration(seconds: float) -> str:
    """Seconds in the largest unit that gives at least 1: `90` as `1.5 min`."""
    if not math.isfinite(seconds):
        return UNKNOWN
    for unit, size in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if abs(seconds) >= size:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds)} s"


def number(value: float) -> str:
    """A number with about four digits, thousands separated."""
    if not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    if size >= 100 or value == 0:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:,.1f}"
    return f"{value:,.2f}" if size >= 1 else f"{value:.3g}"


def percent(share: float, signed: bool = False) -> str:
    """A share as per cent, with two or three digits: `0.0213` as `2.1 %`, `0.0021` as `0.21 %`."""
    if not math.isfinite(share):
        return UNKNOWN
    digits = next((digits for least, digits in ((1.0, 0), (0.01, 1), (0.001, 2)) if abs(share) >= least), 3)
    value = round(100 * share, digits) or 0.0
    text = f"{value:{'+' if signed and value else ''},.{digits if value else 0}f}"
    return f"{text.replace('-', '−')} %"


def moment_text(start_time: datetime | None, time_ms: float, clock: bool = False) -> str:
    """A moment of a trace for people: `3 Oct 2017`, or `day 12`.

    Args:
        start_time: local time of second 0 of the trace, None where unknown.
        time_ms: the moment.
        clock: with hours and minutes.
    """
    if start_time is None:
        day = time_ms / MS_PER_DAY
        return f"day {day:.1f}" if clock and day % 1 else f"day {day:.0f}"
    when = start_time + timedelta(milliseconds=time_ms)
    return f"{when.day} {when:%b %Y}" + (f" {when:%H:%M}" if clock else "")
