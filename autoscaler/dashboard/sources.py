"""What the dashboard shows: recordings, runs that are trained, audits and autoscalers; they are read, never written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from autoscaler.dashboard.errors import DashboardError
from autoscaler.run_folder import CONFIG, RECORDING
from envs.recording import SHARED, Batch, Head, Recording, check_columns
from envs.recording.writer import HEAD

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


def find_sources(paths: Sequence[str], live: Sequence[Source] = ()) -> list[Source]:
    """What the words on the command line name.

    Args:
        paths: folders of recordings or runs, and audit files.
        live: sources that are there besides.

    Raises:
        DashboardError: one of them is none of these.
    """
    found: list[Source] = list(live)
    for text in paths:
        for source in _sources_of(Path(text)):
            number = sum(each.name.partition("~")[0] == source.name for each in found)
            found.append(_renamed(source, f"{source.name}~{number + 1}") if number else source)
    return found


def _renamed(source: Source, name: str) -> Source:
    from dataclasses import replace

    renamed: Source = replace(source, name=name)  # type: ignore[type-var]  # every source is a dataclass
    return renamed


def _sources_of(path: Path) -> Iterator[Source]:
    name = path.resolve().name
    if (path / HEAD).is_file():
        yield RecordingSource(name, name, path)
    elif (path / CONFIG).is_file():
        if (path / RECORDING / HEAD).is_file():
            yield RecordingSource(f"{name}-recording", f"{name}: what it does", path / RECORDING)
        yield CurveSource(name, f"{name}: training", path)
    elif path.is_file() and path.suffix == ".jsonl":
        from autoscaler.dashboard.live import AuditSource

        yield AuditSource(name, name, path)
    else:
        raise DashboardError(
            f"{path}: is neither a recording, nor a run folder, nor an audit file (.jsonl); record one with "
            "`autoscaler simulate --record FOLDER` or `evaluate --record FOLDER`, or look at --demo"
        )


def demo_sources() -> list[Source]:
    """The recordings that are part of the package.

    Raises:
        DashboardError: this installation has none.
    """
    folder = Path(str(resources.files("autoscaler.dashboard") / "demo"))
    found: list[Source] = [
        RecordingSource(path.name, path.name, path) for path in sorted(folder.glob("*")) if (path / HEAD).is_file()
    ]
    if not found:
        raise DashboardError(f"{folder}: has no recording; the installation is damaged, install it again")
    return found
