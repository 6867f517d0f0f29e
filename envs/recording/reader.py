"""Reads a recording, also one that is still being written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from envs.recording.schema import SHARED, TABLES, Head, RecordingError, arrow_schema
from envs.recording.writer import HEAD, table_path


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some rows of a table.

    Attributes:
        track: the policy, or `SHARED`.
        table: its name.
        rows: the rows.
    """

    track: str
    table: str
    rows: pa.RecordBatch


def read_head(folder: str | Path) -> Head:
    """The head of a recording as it is now.

    Raises:
        RecordingError: there is none, or it is damaged.
    """
    path = Path(folder) / HEAD
    try:
        return Head.from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecordingError(f"{path}: cannot be read ({reason}); give the folder of a recording") from error


class Recording:
    """A recording in a folder.

    Args:
        folder: where it lies.

    Attributes:
        head: as it was when the recording was opened, or last followed.

    Raises:
        RecordingError: it is no recording, or damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self.head = read_head(folder)
        self._read: dict[tuple[str, str], int] = {}
        self._sizes: dict[tuple[str, str], int] = {}

    def table(self, table: str, track: str = SHARED) -> pa.Table:
        """All rows of a table that are there now; none where nothing was written.

        Raises:
            RecordingError: there is no such table, or its file is damaged.
        """
        schema = arrow_schema(table)
        return pa.Table.from_batches([batch for _, batch in self._batches(track, table, 0)], schema=schema)

    def news(self) -> Iterator[Batch]:
        """What came since the last call, in the order of the tables; all that is there at the first one.

        Raises:
            RecordingError: a file is damaged.
        """
        self.head = read_head(self._folder)
        for track in (SHARED, *(each.name for each in self.head.tracks)):
            for table in TABLES:
                if not self._has_grown(track, table):
                    continue
                for number, rows in self._batches(track, table, self._read.get((track, table), 0)):
                    self._read[track, table] = number + 1
                    yield Batch(track, table, rows)

    def _has_grown(self, track: str, table: str) -> bool:
        path = table_path(self._folder, track, table)
        size = path.stat().st_size if path.is_file() else -1
        before, self._sizes[track, table] = self._sizes.get((track, table), -1), size
        return size != before

    def _batches(self, track: str, table: str, first: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        path = table_path(self._folder, track, table)
        if not path.is_file():
            return
        with path.open("rb") as file:
            if not self.head.finished and not _has_schema(file):
                return  # only now being made
            yield from self._parse(path, file, table, first)

    def _parse(
        self, path: Path, file: io.BufferedReader, table: str, first: int
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        try:
            stream = pa.ipc.open_stream(file)
            if stream.schema != arrow_schema(table):
                raise RecordingError(f"{path}: has other columns than this version reads; record it again")
            number = 0
            while True:
                try:
                    rows = stream.read_next_batch()
                except StopIteration:
                    return
                if number >= first:
                    yield number, rows
                number += 1
        except (pa.ArrowInvalid, OSError) as error:
            # The last batch of a recording that grows may be half there.
            if self.head.finished:
                raise RecordingError(f"{path}: is damaged ({error}); copy or record it again") from error


def _has_schema(file: io.BufferedReader) -> bool:
    """Whether the first message of a stream is whole: 4 bytes of marker, 4 of its length, and the message."""
    start = file.read(8)
    whole = len(start) == 8 and len(file.read(size := int.from_bytes(start[4:], "little"))) == size
    file.seek(0)
    return whole
