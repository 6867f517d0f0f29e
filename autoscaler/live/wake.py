"""What wakes the loop: an event in the cluster, or the end of the process."""

from __future__ import annotations

import threading
import time


class Wake:
    """A flag that remembers when it was set last; thread-safe."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._last = 0.0

    def set(self) -> None:
        """Something happened."""
        self._last = time.monotonic()
        self.event.set()

    def clear(self) -> None:
        """All that happened so far will be seen."""
        self.event.clear()

    def quiet_seconds(self) -> float:
        """Wall seconds since something happened."""
        return time.monotonic() - self._last
