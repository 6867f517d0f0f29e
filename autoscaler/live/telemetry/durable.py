"""A file of lines that are on disk or not in it at all, also when the disk is full."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

RETRY_VIEWS = 100
"""So many views are taken for too large without a look; then one is measured again."""


class DurableLog:
    """Appends lines.

    Args:
        path: the file; it is created where it is missing.

    Raises:
        OSError: it cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)

    @property
    def size(self) -> int:
        """Bytes of the file; 0 where it cannot be told."""
        return 0 if self._file.closed else os.fstat(self._file.fileno()).st_size

    def append(self, line: bytes) -> None:
        """Write a line to the disk.

        Raises:
            OSError: it could not be written; the file ends as before.
        """
        if self._file.closed:
            self._file = self._path.open("ab", buffering=0)
        before = self.size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
            os.fsync(self._file.fileno())
        except OSError:
            with suppress(OSError):
                self._file.truncate(before)
            raise

    def rotate(self, keep_files: int) -> None:
        """Set the file aside as `<path>.1`, what was that as `<path>.2`, and so on, and begin a new one.

        Args:
            keep_files: how many of them are kept; 0: none.

        Raises:
            OSError: that is not possible.
        """
        self._file.close()
        for number in range(keep_files, 0, -1):
            older = self._path if number == 1 else rotated(self._path, number - 1)
            if older.exists():
                older.replace(rotated(self._path, number))
        self._file = self._path.open("wb", buffering=0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class NoLog:
    """In place of a `DurableLog` where no file is wanted."""

    size = 0

    def append(self, line: bytes) -> None:
        """Keep nothing."""

    def rotate(self, keep_files: int) -> None:
        """There is nothing to set aside."""

    def close(self) -> None:
        """There is nothing to close."""


def rotated(path: Path, number: int) -> Path:
    """Where a full file goes: 1 is the one before."""
    return path.with_name(f"{path.name}.{number}")


class SizeMemory:
    """Remembers how many objects made a view too large, so that it need not be packed to be thrown away.

    Args:
        max_bytes: the largest view that is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._too_many: int | None = None
        self._skipped = 0

    def is_too_large(self, objects: int) -> bool:
        """Whether a view of so many objects was too large; now and then one is measured all the same."""
        if self._too_many is None or objects < self._too_many:
            return False
        self._skipped += 1
        return self._skipped % RETRY_VIEWS != 0

    def note(self, objects: int, size: int) -> bool:
        """Note the size of a view and return whether it is small enough."""
        fits = size <= self._max_bytes
        if not fits:
            self._too_many = objects if self._too_many is None else min(objects, self._too_many)
        elif self._too_many is not None and objects >= self._too_many:
            self._too_many = None
        return fits
