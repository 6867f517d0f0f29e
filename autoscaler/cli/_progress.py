"""Progress of a long job on stderr: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

PLAIN_INTERVAL_SECONDS = 10.0


class Progress(Protocol):
    """What a long job reports to."""

    def advance(self, amount: int = 1) -> None:
        """Tell that `amount` more units are done."""


@contextmanager
def progress(
    description: str,
    total: int,
    unit: str = "steps",
    *,
    done: int = 0,
    quiet: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """Show the progress of a job while the block runs.

    Args:
        description: What is done, one or two words.
        total: Units in all.
        unit: Name of a unit, in the plural.
        done: Units that an earlier run did already; they do not count for the rate.
        quiet: Show nothing.
        clock: Seconds, for the lines without a terminal.

    Yields:
        The object to report to.
    """
    if quiet:
        yield _Silent()
    elif sys.stderr.isatty():
        with _bar(description, total, unit, done) as bar:
            yield bar
    else:
        lines = _Lines(description, total, unit, done, clock)
        yield lines
        lines.finish()


class _Silent:
    def advance(self, amount: int = 1) -> None:
        """Show nothing."""


class _Lines:
    """One line every `PLAIN_INTERVAL_SECONDS`, so that a log file stays readable, and one at the end."""

    def __init__(self, description: str, total: int, unit: str, done: int, clock: Callable[[], float]) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._first = self._done = self._printed_done = done
        self._clock = clock
        self._started = self._printed = clock()

    def advance(self, amount: int = 1) -> None:
        """Count, and print when it is time."""
        self._done += amount
        if self._clock() - self._printed >= PLAIN_INTERVAL_SECONDS:
            self._print()

    def finish(self) -> None:
        """Print the last line, unless it stands there already."""
        if self._done != self._printed_done:
            self._print()

    def _print(self) -> None:
        now = self._clock()
        self._printed, self._printed_done = now, self._done
        rate = (self._done - self._first) / max(now - self._started, 1e-9)
        share = 100.0 * self._done / max(self._total, 1)
        counts = f"{self._done:,}/{self._total:,} {self._unit} ({share:.0f} %)"
        text = f"{self._description}: {counts}, {rate:,.0f} {self._unit}/s"
        if rate > 0 and self._done < self._total:
            text += f", {duration_text((self._total - self._done) / rate)} left"
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


@contextmanager
def _bar(description: str, total: int, unit: str, done: int) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _rate_column(unit, done),
        TimeRemainingColumn(),
    ]
    with RichProgress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total, completed=done)

        class Bar:
            def advance(self, amount: int = 1) -> None:
                bar.advance(task, amount)

        yield Bar()


def _rate_column(unit: str, first: int) -> ProgressColumn:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            elapsed = task.finished_time or task.elapsed
            return Text(f"{(task.completed - first) / elapsed:,.0f} {unit}/s" if elapsed else "")

    return RateColumn()


def duration_text(seconds: float) -> str:
    """`75` as `1 min 15 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
