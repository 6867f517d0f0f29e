"""What wakes the loop: an event in the cluster, or the end of the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Wake:
    """A flag that remembers when it was set first and last; thread-safe.

    Args:
        now: the time in wall seconds, from any moment on.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.event = threading.Event()
        self._now = now
        self._lock = threading.Lock()
        self._first = self._last = 0.0

    def set(self) -> None:
        """Something happened."""
        with self._lock:
            self._last = self._now()
            if not self.event.is_set():
                self._first = self._last
            self.event.set()

    def clear(self) -> None:
        """All that happened so far will be seen."""
        with self._lock:
            self.event.clear()

    def pause_seconds(self, quiet: float, longest: float) -> float:
        """How long to wait until a burst of events is over; 0 or less: it is.

        The bound counts from the first event, so that a storm that never ends does not put off what follows.

        Args:
            quiet: wall seconds without an event that end a burst.
            longest: wall seconds from its first event that end it in any case.
        """
        with self._lock:
            return min(self._last + quiet, self._first + longest) - self._now()
