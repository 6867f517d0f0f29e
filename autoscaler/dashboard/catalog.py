"""What a dashboard can show at the moment: folders are looked into anew each time, so what appears in them is there."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from autoscaler.dashboard.errors import DashboardError
from autoscaler.dashboard.live import AuditSource, LiveSource
from autoscaler.dashboard.sources import CurveSource, EventFileSource, RecordingSource, Source
from autoscaler.run_folder import CONFIG, RECORDING
from envs.recording.writer import HEAD

FileSource = RecordingSource | CurveSource | AuditSource | EventFileSource

FILES: dict[str, type[AuditSource] | type[EventFileSource]] = {".jsonl": AuditSource, ".parquet": EventFileSource}
"""Ends of names of files that are named one by one."""


class Catalog:
    """Finds what paths name; a name that something once had stays with it.

    Args:
        paths: recordings, run folders, folders that have or will have some of these, audit files and event logs.
        live: autoscalers that run.

    Raises:
        DashboardError: a path is none of these.
    """

    def __init__(self, paths: Sequence[str | Path], live: Sequence[LiveSource] = ()) -> None:
        self._paths = [Path(path) for path in paths]
        self._live = list(live)
        self._named: dict[FileSource, FileSource] = {}
        self._lock = threading.Lock()
        for path in self._paths:
            if not path.is_dir() and not _is_file(path):
                raise DashboardError(
                    f"{path}: is neither a recording, nor a run folder, an audit (.jsonl) or an event log (.parquet); "
                    "record with `autoscaler simulate --record FOLDER` or `evaluate --record FOLDER`, or look at --demo"
                )

    def sources(self) -> list[Source]:
        """All that is there now, by unique names."""
        with self._lock:
            found = [self._name(each) for path in self._paths for each in _sources_of(path)]
        return [*self._live, *dict.fromkeys(found)]

    def find(self, name: str) -> Source | None:
        """The source of a name; None: there is none, or no longer."""
        return next((source for source in self.sources() if source.name == name), None)

    def empty_paths(self) -> list[Path]:
        """Paths in which nothing is yet."""
        return [path for path in self._paths if not any(_sources_of(path))]

    def _name(self, source: FileSource) -> FileSource:
        """The source with a name that no other one has or had."""
        if source not in self._named:
            taken = [each.name for each in [*self._live, *self._named]]
            number = taken.count(source.name)
            self._named[source] = replace(source, name=f"{source.name}~{number + 1}") if number else source
        return self._named[source]


def _is_file(path: Path) -> bool:
    return path.is_file() and path.suffix in FILES


def _sources_of(path: Path) -> Iterator[FileSource]:
    """What a path names: itself, or else what is in the folder."""
    if _is_file(path):
        yield FILES[path.suffix](path.name, path.name, path)
        return
    own = list(_recordings_and_runs(path))
    yield from own
    if not own:
        for child in _folders(path):
            yield from _recordings_and_runs(child)


def _recordings_and_runs(path: Path) -> Iterator[FileSource]:
    name = path.resolve().name
    if _has(path, HEAD):
        yield RecordingSource(name, name, path)
    elif _has(path, CONFIG):
        for child in _folders(path):
            if _has(child, HEAD):
                does = "what it does" if child.name == RECORDING else child.name
                yield RecordingSource(f"{name}-{child.name}", f"{name}: {does}", child)
        yield CurveSource(name, f"{name}: training", path)


def _has(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except OSError:  # nobody may look into the folder
        return False


def _folders(path: Path) -> list[Path]:
    """The folders in a folder in the order of their names; none where it is gone or nobody may look."""
    try:
        return sorted(child for child in path.iterdir() if child.is_dir())
    except OSError:
        return []


def demo_folder() -> Path:
    """The recordings that are part of the package.

    Raises:
        DashboardError: this installation has none.
    """
    folder = Path(str(resources.files("autoscaler.dashboard") / "demo"))
    if not any(folder.glob(f"*/{HEAD}")):
        raise DashboardError(f"{folder}: has no recording; the installation is damaged, install it again")
    return folder
