"""Time axes: dates where the trace says when it was recorded, else days since its start."""

from __future__ import annotations

from datetime import datetime, timedelta

from matplotlib.axes import Axes

from autoscaler.evaluation.formats import MS_PER_DAY

STEPS_DAYS = (1 / 24, 1 / 8, 1 / 4, 1 / 2, 1, 2, 5, 7, 14, 30, 60, 120)
MOST_TICKS = 8

STEPS_SECONDS = tuple(
    count * unit
    for unit, counts in ((1, (1, 2, 5, 10, 15, 30)), (60, (1, 2, 5, 10, 15, 30)), (3600, (1, 2, 3, 6, 12)))
    for count in counts
)
MOST_DURATIONS = 6
DURATION_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))

DURATION_TICKS = {
    0.001: "1 ms",
    0.01: "10 ms",
    0.1: "0.1 s",
    1.0: "1 s",
    10.0: "10 s",
    60.0: "1 min",
    600.0: "10 min",
    3600.0: "1 h",
    36_000.0: "10 h",
    86_400.0: "1 d",
    864_000.0: "10 d",
}
"""Round durations for logarithmic axes, seconds."""


def set_time_axis(axes: Axes, start_time: datetime | None, start_ms: float, end_ms: float) -> None:
    """Label an axis in ms with dates or days at round moments.

    Args:
        axes: its x axis is labelled.
        start_time: local time of second 0 of the trace, None where unknown.
        start_ms: left end.
        end_ms: right end.
    """
    days = (end_ms - start_ms) / MS_PER_DAY
    step = next((step for step in STEPS_DAYS if days / step <= MOST_TICKS), STEPS_DAYS[-1]) * MS_PER_DAY
    offset = 0.0
    if start_time is not None:
        midnight = start_time.replace(hour=0, minute=0, second=0, microsecond=0)
        offset = (start_time - midnight).total_seconds() * 1000.0
    first = -(-(start_ms + offset) // step)
    ticks = [tick * step - offset for tick in range(int(first), int((end_ms + offset) // step) + 1)]
    axes.set_xticks(ticks, [_tick_text(start_time, tick, step) for tick in ticks])
    axes.set_xlim(start_ms, end_ms)
    axes.set_xlabel("local time" if start_time is not None else "days since the start of the trace")


def _tick_text(start_time: datetime | None, time_ms: float, step_ms: float) -> str:
    if start_time is None:
        return f"{time_ms / MS_PER_DAY:g}" if step_ms >= MS_PER_DAY else f"{time_ms / MS_PER_DAY:.2f}"
    when = start_time + timedelta(milliseconds=time_ms)
    day = f"{when.day} {when:%b}"
    return day if step_ms >= MS_PER_DAY or when.hour == 0 else f"{when:%H:%M}"


def set_duration_axis(axes: Axes, highest_seconds: float) -> None:
    """Label a y axis in seconds from 0 with round durations."""
    step = next((step for step in STEPS_SECONDS if highest_seconds / step <= MOST_DURATIONS), None)
    if step is None:
        step = 86_400 * max(1, round(highest_seconds / 86_400 / MOST_DURATIONS))
    unit, size = next((unit, size) for unit, size in DURATION_UNITS if step >= size)
    ticks = range(0, int(highest_seconds) + 1, step)
    axes.set_yticks(list(ticks), [f"{tick / size:g} {unit}" if tick else "0" for tick in ticks])
    axes.set_ylim(0.0, highest_seconds)
