"""Reading and writing of Parquet files with errors that a user can act on."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from traces.errors import TraceFileError


def check_readable(path: str) -> None:
    """Raise unless `path` is a file that can be opened.

    Raises:
        TraceFileError: There is no such file, it is a folder, or it may not be read.
    """
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise TraceFileError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def read_parquet(path: str) -> pa.Table:
    """Return the table in the Parquet file at `path`.

    Raises:
        TraceFileError: The file is missing, damaged or not Parquet.
    """
    check_readable(path)
    try:
        # A plain file handle: Arrow would read options such as partitions out of a path.
        with Path(path).open("rb") as stream:
            return pq.read_table(stream)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise TraceFileError(f"{path}: is damaged or not Parquet ({reason}); write it again") from error


def write_parquet(table: pa.Table, path: str) -> None:
    """Write `table` to the Parquet file `path`, which appears whole or not at all.

    Raises:
        TraceFileError: The file cannot be written, for example because the disk is full.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        pq.write_table(table, partial, compression="zstd")
        partial.replace(target)
    except OSError as error:
        # Arrow's own text names the temporary file; the system's text says all that matters.
        reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
        mend = "free space or choose another folder"
        raise TraceFileError(f"{path}: cannot be written ({reason}); {mend}") from error
    finally:
        partial.unlink(missing_ok=True)
