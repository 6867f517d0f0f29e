"""Reading and writing of Parquet files with errors that a user can act on."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from configs.files import atomic_path
from traces.errors import TraceFileError
from traces.inputs import check_readable


def read_parquet(path: str) -> pa.Table:
    """The table in the Parquet file at `path`.

    Raises:
        TraceFileError: the file is missing, damaged or not Parquet.
    """
    check_readable(path)
    try:
        # Not read_table: it imports the dataset module and, with it, pandas.
        with Path(path).open("rb") as stream:
            return pq.ParquetFile(stream).read()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise TraceFileError(f"{path}: is damaged or not Parquet ({reason}); write it again") from error


def write_parquet(table: pa.Table, path: str) -> None:
    """Write `table` to the Parquet file `path`, which appears whole or not at all.

    Raises:
        OutputFileError: the file cannot be written, for example because the disk is full.
    """
    # Through Python's own stream, because the reason of a failure stays the system's ("No space left on device").
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        pq.write_table(table, stream, compression="zstd")
