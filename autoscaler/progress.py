"""How long work tells what it does: silently, as lines of a log, or as a bar on a terminal.

Every function of the library that may take a while has an argument `progress`: False says nothing, True writes to
stderr, and a `Reporter` decides itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from traces.trace import Trace

PLAIN_INTERVAL_SECONDS = 10.0


class Progress(Protocol):
    """What a long job reports to."""

    def advance(self, amount: int = 1) -> None:
        """Tell that `amount` more units are done."""


class Reporter:
    """Hears what long work tells, and says nothing; derive from it to show that elsewhere."""

    def note(self, text: str) -> None:
        """Hear something that is no result, such as what tuning chose: one line."""

    def progress(
        self, description: str, total: int, unit: str = "steps", *, done: int = 0
    ) -> AbstractContextManager[Progress]:
        """Follow a job while a `with` block runs.

        Args:
            description: What is done, a few words.
            total: Units in all. More may be done (a rollout is not cut); what is shown never passes it.
            unit: Name of a unit, in the plural.
            done: Units that an earlier run did already; they do not count for the rate.
        """
        return _silence()


class Terminal(Reporter):
    """Writes to a stream: a bar with rate and time left on a terminal, a line now and then elsewhere.

    Args:
        stream: Where to; None: what stderr is when something is written.
        clock: Seconds, for the lines without a terminal.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock

    def note(self, text: str) -> None:
        """Write one line."""
        stream = self._stream or sys.stderr
        stream.write(text + "\n")
        stream.flush()

    def progress(
        self, description: str, total: int, unit: str = "steps", *, done: int = 0
    ) -> AbstractContextManager[Progress]:
        """Show a job while a `with` block runs; the arguments are those of `Reporter.progress`."""
        stream = self._stream or sys.stderr
        if stream.isatty():
            return _bar(stream, description, total, unit, done)
        return _lines(stream, description, total, unit, done, self._clock)


def make_reporter(progress: bool | Reporter) -> Reporter:
    """What the argument `progress` of a library function means."""
    if isinstance(progress, Reporter):
        return progress
    return Terminal() if progress else Reporter()


def note_bad_rows(reporter: Reporter, trace: Trace) -> None:
    """Say which rows of a trace's file were left out, where some were."""
    if trace.metadata.bad_rows:
        reporter.note(f"{trace.uri}: {trace.metadata.bad_rows_text}")


class _Silent:
    def advance(self, amount: int = 1) -> None:
        """Show nothing."""


@contextmanager
def _silence() -> Iterator[Progress]:
    yield _Silent()


@contextmanager
def _lines(
    stream: TextIO, description: str, total: int, unit: str, done: int, clock: Callable[[], float]
) -> Iterator[Progress]:
    lines = _Lines(stream, description, total, unit, done, clock)
    yield lines
    lines.finish()


class _Lines:
    """One line every `PLAIN_INTERVAL_SECONDS`, so that a log file stays readable, and one at the end."""

    def __init__(
        self, stream: TextIO, description: str, total: int, unit: str, done: int, clock: Callable[[], float]
    ) -> None:
        self._stream, self._description, self._total, self._unit = stream, description, total, unit
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
        shown = min(self._done, self._total)
        counts = f"{shown:,}/{self._total:,} {self._unit} ({percent(shown, self._total)} %)"
        text = f"{self._description}: {counts}, {rate_text(rate, self._unit)}"
        if rate > 0 and shown < self._total:
            text += f", {duration_text((self._total - shown) / rate)} left"
        self._stream.write(text + "\n")
        self._stream.flush()


def percent(done: int, total: int) -> int:
    """Whole per cent, rounded down, so that 100 means that all is done."""
    return min(100 * done // max(total, 1), 100)


@contextmanager
def _bar(stream: TextIO, description: str, total: int, unit: str, done: int) -> Iterator[Progress]:
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
    with RichProgress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task(description, total=total, completed=done)

        class Bar:
            shown = done

            def advance(self, amount: int = 1) -> None:
                self.shown = min(self.shown + amount, total)
                bar.update(task, completed=self.shown)

        yield Bar()


def _rate_column(unit: str, first: int) -> ProgressColumn:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            elapsed = task.finished_time or task.elapsed
            return Text(rate_text((task.completed - first) / elapsed, unit) if elapsed else "")

    return RateColumn()


def rate_text(rate: float, unit: str) -> str:
    """Units per second, or per minute where there is less than one a second."""
    return f"{rate:,.0f} {unit}/s" if rate >= 1.0 else f"{60.0 * rate:.3g} {unit}/min"


def duration_text(seconds: float) -> str:
    """`75` as `1 min 15 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
