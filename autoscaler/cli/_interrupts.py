"""Ctrl-C in two steps: the first one asks a long job to save and stop, the second one interrupts it at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from autoscaler.progress import Reporter


@contextmanager
def stop_on_interrupt(reporter: Reporter) -> Iterator[Callable[[], bool]]:
    """While the block runs, the first Ctrl-C makes the function that this yields return True."""
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        reporter.note("stopping after this iteration; press Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)
