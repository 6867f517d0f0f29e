"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from configs.errors import UserError


class OutputFileError(UserError, OSError):
    """A file cannot be written: no such folder, no right, no space left."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary file in the place of `path`; it takes that name when the block ends without an exception.

    Args:
        path: The file to write; an existing one is replaced at once.

    Yields:
        The path to write to, in the same folder, because a rename is atomic only within one file system.

    Raises:
        OutputFileError: The file cannot be written; the old one, if any, is unchanged.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        temporary.touch()
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(target)
    except UserError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputFileError(f"{path}: cannot be written ({reason}); free space or choose another folder") from error
    finally:
        # OSError again where the folder itself is wrong, which the message above has already said.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all.

    Raises:
        OutputFileError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
