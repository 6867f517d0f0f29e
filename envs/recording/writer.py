"""Writes a recording, so that it can be read while it grows."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from configs.files import OutputFileError, check_output_folder, write_text
from envs.recording.schema import SHARED, TIME, Columns, Head, RecordingError, arrow_schema, check_columns

HEAD = "recording.json"
SHARED_FOLDER = "shared"
SUFFIX = ".arrows"
MOST_BUFFERED_ROWS = 65_536
FLUSH_SECONDS = 0.5


def table_path(folder: Path, track: str, table: str) -> Path:
    """Where a table lies."""
    return folder / (track or SHARED_FOLDER) / f"{table}{SUFFIX}"


def check_folder(folder: str | Path) -> None:
    """Refuse a folder that no recording can be written into.

    Raises:
        RecordingError: the folder is not empty.
        OutputFileError: nothing can be written there.
    """
    check_output_folder(folder)
    if Path(folder).is_dir() and any(Path(folder).iterdir()):
        raise RecordingError(f"{folder}: is not empty; choose another folder for the recording")


class _TableFile:
    """One table: an Arrow IPC stream that grows batch by batch."""

    def __init__(self, path: Path, table: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._table, self._buffer, self._rows = table, list[pa.RecordBatch](), 0
        self._sink = path.open("wb")
        self._stream = pa.ipc.new_stream(
            self._sink, arrow_schema(table), options=pa.ipc.IpcWriteOptions(compression="zstd")
        )
        self._last = float("-inf")

    def add(self, columns: Columns) -> None:
        batch = check_columns(self._table, columns)
        if batch.num_rows == 0:
            return
        if TIME in batch.schema.names:
            times = batch.column(TIME)
            first, last = times[0].as_py(), times[batch.num_rows - 1].as_py()
            if first < self._last:
                raise RecordingError(f"table {self._table}: time falls from {self._last:g} to {first:g} s")
            self._last = last
        self._buffer.append(batch)
        self._rows += batch.num_rows
        if self._rows >= MOST_BUFFERED_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            joined = pa.Table.from_batches(self._buffer).combine_chunks()
            for batch in joined.to_batches(max_chunksize=MOST_BUFFERED_ROWS):
                self._stream.write_batch(batch)
            self._buffer, self._rows = [], 0
        self._sink.flush()

    def close(self) -> None:
        self.flush()
        self._stream.close()
        self._sink.close()


class RecordingWriter:
    """Writes a recording into a new folder; a context manager, and only its end says that the recording is finished.

    Args:
        folder: made; it must be empty or missing.
        head: what is known before the first row.

    Attributes:
        head: likewise.

    Raises:
        RecordingError: the folder is not empty.
        OutputFileError: nothing can be written there.
    """

    def __init__(self, folder: str | Path, head: Head) -> None:
        check_folder(folder)
        self.head, self._folder = head, Path(folder)
        self._tracks = {SHARED, *(track.name for track in head.tracks)}
        self._files: dict[tuple[str, str], _TableFile] = {}
        self._flushed = -math.inf
        self._folder.mkdir(parents=True, exist_ok=True)
        write_text(self._folder / HEAD, head.to_json())

    def add(self, table: str, columns: Mapping[str, Any], track: str = SHARED) -> None:
        """Add rows to a table; readers see none before the next `flush`, which also comes by itself now and then.

        Args:
            table: its name, see `schema.TABLES`.
            columns: every column, [rows] each.
            track: name of the policy; `SHARED`: the same for all.

        Raises:
            RecordingError: there is no such table or track, a column is wrong, or the time falls.
            OutputFileError: the disk is full.
        """
        if track not in self._tracks:
            raise RecordingError(f"the recording has no track {track!r}; name it in its head")
        file = self._files.get((track, table))
        try:
            if file is None:
                arrow_schema(table)
                file = self._files[track, table] = _TableFile(table_path(self._folder, track, table), table)
            file.add(columns)
        except OSError as error:
            raise self._unwritable(error) from error

    def flush(self) -> None:
        """Let readers see every row.

        Raises:
            OutputFileError: the disk is full.
        """
        try:
            for file in self._files.values():
                file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def flush_soon(self) -> None:
        """Likewise, unless that was less than half a second ago: each `flush` makes batches of its own, small ones."""
        now = time.monotonic()
        if now - self._flushed >= FLUSH_SECONDS:
            self._flushed = now
            self.flush()

    def close(self, end_seconds: float | None = None) -> None:
        """Finish the recording.

        Args:
            end_seconds: where its clock ends; None: as the head said.
        """
        for file in self._files.values():
            file.close()
        self._files.clear()
        end = self.head.end_seconds if end_seconds is None else end_seconds
        self.head = replace(self.head, end_seconds=end, finished=True)
        write_text(self._folder / HEAD, self.head.to_json())

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            if not self.head.finished:
                self.close()
        else:
            for file in self._files.values():
                file.close()

    def _unwritable(self, error: OSError) -> OutputFileError:
        return OutputFileError(f"{self._folder}: cannot be written ({error.strerror or error}); free space")
