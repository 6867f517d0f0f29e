"""Lines that say what is being built, started or waited for, on the terminal also while pytest captures output."""

import os
import sys
import threading
import time
from collections.abc import Callable

Progress = Callable[[str], None]

REPORT_SECONDS = 15.0
"""A wait that is met sooner says nothing."""


def to_stderr(line: str) -> None:
    """Write to standard error."""
    sys.stderr.write(line)
    sys.stderr.flush()


write: Progress = to_stderr
"""What writes a line; pytest sets one that suspends its capture."""


def say(message: str) -> None:
    """Write one line of progress."""
    # Pytest's own line of dots is not finished while a test runs; a program that a test starts has a line of its own.
    start = "\n" if write is not to_stderr and "PYTEST_CURRENT_TEST" in os.environ else ""
    write(f"{start}tests.cluster: {message}\n")


class Waiting:
    """Says from time to time what is waited for.

    Args:
        what: what that is.
    """

    def __init__(self, what: str) -> None:
        self._what, self._began = what, time.monotonic()
        self._next = self._began + REPORT_SECONDS

    def go_on(self) -> None:
        """Call it in each turn of the wait."""
        now = time.monotonic()
        # Capture can only be suspended by the thread that runs the test.
        if now < self._next or threading.current_thread() is not threading.main_thread():
            return
        self._next = now + REPORT_SECONDS
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].partition(" ")[0]
        say(f"waiting for {now - self._began:.0f} s: {self._what}{f' ({test})' if test else ''}")
