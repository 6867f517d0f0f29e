"""Numbers as people read them, for tables and reports."""

from __future__ import annotations

import math

UNKNOWN = "–"


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
