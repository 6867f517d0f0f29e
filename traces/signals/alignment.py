"""Which moment of a signal belongs to a moment of a trace: an explicit rule that is printed and kept with a run.

A trace counts seconds from its own start; that start has a wall-clock time (or none), often years away from the
signal's.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from configs.errors import did_you_mean
from traces.errors import TraceValueError
from traces.signals.signal import Signal, utc_text

Rule = Literal["date", "season", "offset"]
"""date: the trace's own date. season: the same weekday nearest to the same day of the year. offset: a given start."""

DAY_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where second 0 of a trace lies in a signal.

    Attributes:
        rule: how it was found.
        zero_seconds: second 0 of the trace, in seconds since the Unix epoch on the signal's clock.
        shift_days: how far that is from the trace's own date; None: the trace has no date.
    """

    rule: Rule
    zero_seconds: float
    shift_days: float | None

    def describe(self) -> str:
        """One line for humans."""
        moved = "" if not self.shift_days else f", moved by {self.shift_days:+.0f} days"
        return f"second 0 of the trace is {utc_text(self.zero_seconds)} of the signal (rule {self.rule}{moved})"

    def to_dict(self) -> dict[str, str | float | None]:
        """What a run keeps."""
        return {"rule": self.rule, "zero_seconds": self.zero_seconds, "shift_days": self.shift_days}


def align(
    signal: Signal,
    *,
    trace_start: datetime | None,
    span_seconds: tuple[float, float],
    rule: Rule | None = None,
    start: datetime | None = None,
    utc_offset_hours: float = 0.0,
) -> Alignment:
    """Lay a trace over a signal.

    Args:
        signal: the signal.
        trace_start: local wall-clock time of second 0 of the trace; None: the data set does not say.
        span_seconds: first and last moment of the trace that the signal must cover, in the trace's seconds.
        rule: how; None: `date` where the signal covers the trace's own dates, else `season`; `offset` where `start` is
            given.
        start: for `offset`: the moment of the signal (UTC) that is second 0 of the trace.
        utc_offset_hours: of the trace's local time.

    Raises:
        TraceValueError: the rule has no meaning here, or the signal does not cover the trace; says which part.
    """
    if rule is not None and rule not in get_args(Rule):
        raise TraceValueError(f"there is no alignment {rule!r}{did_you_mean(rule, get_args(Rule))}")
    if not -14.0 <= utc_offset_hours <= 14.0:
        raise TraceValueError(f"utc_offset_hours is {utc_offset_hours}; it must be -14 to 14")
    own = None if trace_start is None else trace_start.replace(tzinfo=UTC).timestamp() - utc_offset_hours * 3600.0
    chosen = rule or ("offset" if start is not None else _best(signal, own, span_seconds))
    if chosen == "offset":
        if start is None:
            raise TraceValueError("alignment offset needs a start: which moment of the signal is second 0 of the trace")
        zero = (start if start.tzinfo else start.replace(tzinfo=UTC)).timestamp()
    elif own is None:
        raise TraceValueError(f"alignment {chosen} needs a trace with dates; this one has none: use offset and a start")
    else:
        zero = own if chosen == "date" else _same_season(signal, own, span_seconds)
    signal.check_covers(zero + span_seconds[0], zero + span_seconds[1])
    return Alignment(chosen, zero, None if own is None else round((zero - own) / DAY_SECONDS, 6))


def _best(signal: Signal, own: float | None, span_seconds: tuple[float, float]) -> Rule:
    if own is None:
        raise TraceValueError(
            f"{signal.name}: the trace has no dates, so nothing says when it begins; give a start (alignment offset)"
        )
    covered = signal.first_seconds <= own + span_seconds[0] and own + span_seconds[1] <= signal.end_seconds
    return "date" if covered else "season"


def _same_season(signal: Signal, own: float, span_seconds: tuple[float, float]) -> float:
    """Second 0 moved by whole weeks to the day of the year nearest to the trace's, where the signal covers it all.

    Where no year of the signal covers the span from there, the nearest whole week that does is taken.
    """
    date = datetime.fromtimestamp(own, UTC)
    week = 7 * DAY_SECONDS
    lowest = signal.first_seconds - span_seconds[0]
    highest = signal.end_seconds - span_seconds[1]
    candidates = []
    for year in range(datetime.fromtimestamp(signal.first_seconds, UTC).year - 1, _year(signal.end_seconds) + 1):
        same_day = datetime(year, 1, 1, tzinfo=UTC) + timedelta(seconds=_second_of_year(date))
        weeks = round((same_day.timestamp() - own) / week)
        target = own + weeks * week
        zero = min(max(target, own + week * _ceil((lowest - own) / week)), own + week * ((highest - own) // week))
        if lowest <= zero <= highest:
            candidates.append((abs(zero - same_day.timestamp()), zero))
    if not candidates:
        signal.check_covers(lowest + span_seconds[0], lowest + span_seconds[1])
        raise TraceValueError(f"{signal.name}: no whole week of it covers the trace; give a start (alignment offset)")
    return min(candidates)[1]


def _ceil(value: float) -> float:
    return -((-value) // 1)


def _year(seconds: float) -> int:
    return datetime.fromtimestamp(seconds, UTC).year


def _second_of_year(date: datetime) -> float:
    return (date - datetime(date.year, 1, 1, tzinfo=UTC)).total_seconds()
