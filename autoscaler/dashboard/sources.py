"""What the dashboard shows: recordings, runs that are trained, audits and autoscalers; they are read, never written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from autoscaler.dashboard.errors import DashboardError
from envs.recording import SHARED, Batch, Head, Recording, check_columns

CURVE = "metrics.jsonl"


class Feed(Protocol):
    """What one viewer reads: it begins at the start."""

    @property
    def head(self) -> Head:
        """As it was at the last `news`."""

    def news(self) -> Iterator[Batch]:
        """What came since the last call; all that is there at the first one."""


class Source(Protocol):
    """Something that can be shown.

    Attributes:
        name: unique among the sources of a dashboard.
        title: for the list.
        keep_seconds: how much of the past a page that follows it keeps; None: all.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 (there)

    @property
    def title(self) -> str: ...  # noqa: D102

    @property
    def keep_seconds(self) -> float | None: ...  # noqa: D102

    def open(self) -> Feed:
        """Begin to read it.

        Raises:
            UserError: it cannot be read.
        """


@dataclass(frozen=True, slots=True)
class RecordingSource:
    """A recording in a folder, finished or not."""

    name: str
    title: str
    folder: Path
    keep_seconds: float | None = None

    def open(self) -> Feed:
        """Begin to read it."""
        return Recording(self.folder)


@dataclass(frozen=True, slots=True)
class EventFileSource:
    """An event log of `autoscaler simulate --events`."""

    name: str
    title: str
    path: Path
    keep_seconds: float | None = None

    def open(self) -> Feed:
        """Begin to read it."""
        from autoscaler.recordings.event_file import EventFile

        return EventFile(self.path)


@dataclass(frozen=True, slots=True)
class CurveSource:
    """The learning curve of a run folder, also while it is trained."""

    name: str
    title: str
    folder: Path
    keep_seconds: float | None = None

    def open(self) -> Feed:
        """Begin to read it."""
        return _CurveFeed(self.folder)


class _CurveFeed:
    """Reads the lines that come to `metrics.jsonl`; one that is not whole yet is read the next time."""

    def __init__(self, folder: Path) -> None:
        self._path, self._offset = folder / CURVE, 0
        self.head = Head("training", f"training of {folder.name}", (), source={"folder": str(folder)})

    def news(self) -> Iterator[Batch]:
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().split(b"\n")
        self._offset += sum(len(line) + 1 for line in lines[:-1])
        rows = [row for line in lines[:-1] if line.strip() for row in self._rows(line)]
        if rows:
            steps, names, values = zip(*rows, strict=True)
            yield Batch(SHARED, "curve", check_columns("curve", {"step": steps, "name": names, "value": values}))

    def _rows(self, line: bytes) -> Iterator[tuple[float, str, float]]:
        try:
            entry: dict[str, Any] = json.loads(line)
            step = float(entry["step"])
        except (ValueError, KeyError, TypeError) as error:
            raise DashboardError(f"{self._path}: a line is no entry of a learning curve ({error})") from error
        for name, value in entry.items():
            if name != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                yield step, name, float(value)
