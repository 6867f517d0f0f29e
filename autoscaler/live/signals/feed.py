"""One live signal and the thread that reads it: the last good value counts until it is too old."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from autoscaler.live.signal_config import Quantity, SignalSource
from autoscaler.live.signals.base import Clock, Problem, Reading, Source, SourceError
from autoscaler.live.signals.file import FileSettings, read_csv
from autoscaler.live.signals.series import LiveSeries
from traces.errors import TraceValueError

_LOG = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""Wall seconds from a read that failed to the next; it doubles up to the poll interval."""

RATE_LIMIT_SECONDS = 60.0
"""Least wall seconds to the next read after a 429."""

MAX_RETRY_SECONDS = 3600.0
"""Most, whatever the source says."""

LASTING = (Problem.UNAUTHORIZED, Problem.FORBIDDEN, Problem.WRONG_UNIT, Problem.WRONG_ZONE, Problem.CREDENTIAL)
"""What does not pass by itself: these are not tried again before the next poll."""


NOT_READ = "it was not read yet"


class State(StrEnum):
    """How a signal is."""

    KNOWN = "known"  # the last read succeeded, and its value counts
    HELD = "held"  # the last read failed; the last good value counts
    UNKNOWN = "unknown"  # there is no value, or it is too old


class Status(NamedTuple):
    """How a signal is, for people.

    Attributes:
        region: where.
        quantity: `carbon`, `price` or `temperature`.
        source: name of its source.
        state: known, held or unknown.
        value: the value in force; None: it is unknown.
        age_seconds: clock seconds since the time that the newest value was given for; infinite: there is none.
        problem: why the last read failed; empty: it did not.
    """

    region: str
    quantity: Quantity
    source: str
    state: State
    value: float | None
    age_seconds: float
    problem: str


class Feed:
    """A live signal.

    Args:
        region: where.
        quantity: what it measures.
        settings: how often it is read, and how long a value counts.
        source: reads it.
        now: the time.
        on_read: called after each read with `ok` or why it failed, in the thread that reads.
    """

    def __init__(
        self,
        region: str,
        quantity: Quantity,
        settings: SignalSource,
        source: Source,
        now: Clock,
        on_read: Callable[[Feed, str], None],
    ) -> None:
        self.region, self.quantity, self.settings = region, quantity, settings
        self.series = LiveSeries(quantity, region, settings.max_age_seconds, settings.forecast)
        self._source, self._now, self._on_read = source, now, on_read
        self._has_read, self._failures = False, 0
        self._problem = NOT_READ
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"signal-{region}-{quantity}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End; a read in hand is not waited for."""
        self._stop.set()

    def status(self) -> Status:
        """How it is now."""
        now = self._now()
        # Before the value: a read in another thread may succeed in between, but not take a value away.
        problem, age = self._problem, self.series.age_seconds(now)
        value = None
        try:
            value = self.series.at(now)
        except TraceValueError:
            problem = problem or f"the newest value is {age:.0f} s too old"
        state = State.UNKNOWN if value is None else State.HELD if problem else State.KNOWN
        return Status(self.region, self.quantity, self.settings.source, state, value, age, problem)

    def read_once(self) -> float:
        """Read, and return how many wall seconds to wait for the next read."""
        poll = self.settings.poll_seconds
        try:
            self._load_history()
            since = self.series.newest_seconds if self._has_read else None
            self._merge(self._source.read(since))
        except SourceError as error:
            self._failures += 1
            self._problem = str(error)
            self._on_read(self, str(error.problem))
            return self._pause(error)
        except Exception as error:
            # A source must not end its thread: what nobody thought of is a failed read, and a bug that the log shows.
            _LOG.exception("a signal could not be read", extra={"region": self.region, "quantity": self.quantity})
            self._problem = f"{self.settings.source}: {type(error).__name__}"
            self._on_read(self, "error")
            return poll
        self._has_read, self._failures, self._problem = True, 0, ""
        self._on_read(self, "ok")
        return poll

    def _merge(self, reading: Reading) -> None:
        try:
            self.series.merge(reading, self._now())
        except ValueError as error:
            raise SourceError(Problem.MALFORMED, str(error)) from None

    def _load_history(self) -> None:
        path = self.settings.history
        if self._has_read or path is None or self.series.newest_seconds is not None:
            return
        unit = self.settings.settings.get("unit")
        try:
            past = read_csv(FileSettings(path, None if unit is None else str(unit)), self.quantity)
        except OSError as error:
            raise SourceError(Problem.MISSING, f"history {path}: {error.strerror or type(error).__name__}") from None
        self._merge(past)

    def _pause(self, error: SourceError) -> float:
        poll = self.settings.poll_seconds
        if error.problem is Problem.RATE_LIMITED:
            wanted = max(error.retry_after_seconds or RATE_LIMIT_SECONDS, poll)
        elif error.problem in LASTING:
            wanted = poll
        else:
            wanted = max(
                min(RETRY_SECONDS * 2.0 ** min(self._failures - 1, 20), poll), error.retry_after_seconds or 0.0
            )
        return min(wanted, max(MAX_RETRY_SECONDS, poll))

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            pause = self.read_once()
