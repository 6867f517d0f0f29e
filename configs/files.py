"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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


def json_text(document: Mapping[str, Any]) -> str:
    """A document as JSON, one key a line.

    JSON has no NaN or infinity, so these become null; numpy's scalars and arrays become numbers and lists.
    """
    return json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        # numpy's scalars and arrays, without importing numpy here
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def check_output_file(path: str | Path) -> None:
    """Refuse a file that could not be written, before the work whose result it is for.

    Raises:
        OutputFileError: There is no such folder, no right to write there, or the path is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputFileError(f"{path}: cannot be written (it is a folder); give the path of a file")
    if not target.parent.is_dir():
        reason = f"{target.parent} is no folder" if target.parent.exists() else f"there is no folder {target.parent}"
        raise OutputFileError(f"{path}: cannot be written ({reason}); make the folder first, or choose another one")
    _try_to_write(target.parent, path)


def check_output_folder(path: str | Path) -> None:
    """Refuse a folder that could neither be written to nor, where it is missing, be made.

    Raises:
        OutputFileError: As above; nothing is left behind.
    """
    target = Path(path)
    existing = next(folder for folder in (target, *target.absolute().parents) if folder.exists())
    if not existing.is_dir():
        raise OutputFileError(f"{path}: cannot be made ({existing} is a file); choose another folder")
    _try_to_write(existing, path)


def _try_to_write(folder: Path, wanted: str | Path) -> None:
    # Rights alone do not tell: the root user has them all, on a read-only file system too.
    try:
        Path(tempfile.mkdtemp(prefix=".autoscaler-", dir=folder)).rmdir()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputFileError(f"{wanted}: cannot be written ({folder}: {reason}); choose another folder") from error
