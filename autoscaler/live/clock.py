"""The one clock of the live loop. It may run faster than the wall clock, so that a trace replays in less time.

All times in the views, the snapshot and the config are *clock seconds*: unix seconds at `time_scale` 1, trace seconds
otherwise. Only leases, HTTP time-outs and KWOK's annotations are wall seconds.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Where the live loop takes the time from.

    Attributes:
        time_scale: clock seconds per wall second.
    """

    time_scale: float

    def now(self) -> float:
        """The time in clock seconds."""
        ...

    def wall(self) -> float:
        """The time in unix seconds."""
        ...

    def from_wall(self, unix_seconds: float) -> float:
        """A unix time, such as a creationTimestamp, in clock seconds."""
        ...

    def to_wall(self, clock_seconds: float) -> float:
        """A clock time in unix seconds, as annotations hold it."""
        ...

    def wait(self, event: threading.Event, clock_seconds: float) -> bool:
        """Wait until the event is set or the time has passed; return whether it is set."""
        ...


class ScaledClock:
    """The system's clock, `time_scale` times as fast.

    Between two readings it follows the monotonic clock, so a step of the wall clock neither ages a node nor starts a
    cooldown anew.

    Args:
        time_scale: clock seconds per wall second.
        epoch_seconds: clock time at the start; None: the unix time.

    Raises:
        ValueError: `time_scale` is not positive.
    """

    def __init__(self, time_scale: float = 1.0, epoch_seconds: float | None = None) -> None:
        if not 0.0 < time_scale < float("inf"):
            raise ValueError(f"time_scale is {time_scale}; it must be finite and positive")
        self.time_scale = time_scale
        self._wall_start = time.time()
        self._monotonic_start = time.monotonic()
        self._clock_start = self._wall_start if epoch_seconds is None else epoch_seconds

    def now(self) -> float:
        """The time in clock seconds."""
        return self._clock_start + (time.monotonic() - self._monotonic_start) * self.time_scale

    def wall(self) -> float:
        """The time in unix seconds."""
        return self._wall_start + (time.monotonic() - self._monotonic_start)

    def from_wall(self, unix_seconds: float) -> float:
        """A unix time in clock seconds."""
        return self._clock_start + (unix_seconds - self._wall_start) * self.time_scale

    def to_wall(self, clock_seconds: float) -> float:
        """A clock time in unix seconds."""
        return self._wall_start + (clock_seconds - self._clock_start) / self.time_scale

    def wait(self, event: threading.Event, clock_seconds: float) -> bool:
        """Wait until the event is set or the time has passed; return whether it is set."""
        # A microsecond more than the rounding of unix seconds takes away: nobody may wake just before the moment.
        return event.wait(max(0.0, clock_seconds) / self.time_scale + 1e-6)


class ManualClock:
    """A clock that stands still until it is told: for tests and for deciding again offline.

    Args:
        seconds: the time at first, in clock seconds and in unix seconds alike.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.time_scale = 1.0
        self.seconds = seconds

    def now(self) -> float:
        """The time that was set."""
        return self.seconds

    def wall(self) -> float:
        """The time that was set."""
        return self.seconds

    def from_wall(self, unix_seconds: float) -> float:
        """The same number."""
        return unix_seconds

    def to_wall(self, clock_seconds: float) -> float:
        """The same number."""
        return clock_seconds

    def wait(self, event: threading.Event, clock_seconds: float) -> bool:
        """Let the time pass at once, unless the event is set."""
        if not event.is_set():
            self.seconds += max(0.0, clock_seconds)
        return event.is_set()
