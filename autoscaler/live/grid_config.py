"""Grid events of a live cluster: times in which it may draw no more than a budget of power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

from configs.checks import check_number
from configs.errors import UserError


class GridEventError(UserError, ValueError):
    """Grid events that have no meaning."""


_check = partial(check_number, error=GridEventError)


@dataclass(frozen=True, slots=True)
class LiveGridEvent:
    """A time in which the pools together may draw no more than a budget of power, PUE included.

    Attributes:
        start: when it starts: ISO 8601, UTC where it names no offset.
        duration_seconds: for how long.
        power_kw: the budget, kW.
        notice_seconds: so long before its start it counts for orders of nodes.
    """

    start: str
    duration_seconds: float
    power_kw: float
    notice_seconds: float = 3600.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            GridEventError: the start is no time, or a number is out of range.
        """
        where = "guardrails.grid_events"
        try:
            datetime.fromisoformat(self.start)
        except ValueError as error:
            raise GridEventError(f"{where}: start is {self.start!r}; write it as 2026-07-01T17:00:00Z") from error
        _check(f"{where}: duration_seconds", self.duration_seconds, above=0.0, high=366 * 86400.0)
        _check(f"{where}: power_kw", self.power_kw, low=0.0, high=1e6)
        _check(f"{where}: notice_seconds", self.notice_seconds, low=0.0, high=366 * 86400.0)

    @property
    def start_seconds(self) -> float:
        """When it starts, unix seconds."""
        moment = datetime.fromisoformat(self.start)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    @property
    def known_seconds(self) -> float:
        """From when on it counts for orders, unix seconds."""
        return self.start_seconds - self.notice_seconds

    @property
    def end_seconds(self) -> float:
        """When it ends, unix seconds."""
        return self.start_seconds + self.duration_seconds


def check_live_grid_events(events: Sequence[LiveGridEvent]) -> None:
    """Refuse events that do not follow each other.

    Raises:
        GridEventError: as above.
    """
    for before, event in pairwise(events):
        if event.start_seconds < before.end_seconds:
            raise GridEventError(
                f"guardrails.grid_events: the event of {event.start} starts before that of {before.start} is over; "
                "list them in order of time, and merge those that overlap"
            )


def event_at(events: Sequence[LiveGridEvent], now_seconds: float) -> LiveGridEvent | None:
    """The first event that is not over, if it is known already."""
    event = next((each for each in events if each.end_seconds > now_seconds), None)
    return event if event is not None and event.known_seconds <= now_seconds else None


def utc_text(unix_seconds: float) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
