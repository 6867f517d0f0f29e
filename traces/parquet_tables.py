"""Tables of a data set that somebody has saved as Parquet, read as the text tables that they were."""

import csv
import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traces.arrow import filled, nullable
from traces.errors import TraceValueError
from traces.inputs import Input

PARQUET: Final = b"PAR1"
"""The first bytes of a Parquet file."""


def column_names(source: Input) -> str:
    """The names of the columns, as the first line of a CSV file has them.

    Raises:
        OSError, pa.ArrowException: the file is damaged.
    """
    line = io.StringIO()
    csv.writer(line).writerow(_open(source).schema_arrow.names)
    return line.getvalue().rstrip("\r\n")


def read_columns(source: Input, columns: Mapping[str, pa.DataType | None]) -> pa.Table:
    """The wanted columns in their dtypes; empty texts and NaN are null.

    Args:
        source: the file.
        columns: column of the file -> Arrow dtype; None: numbers or timestamps, whichever the cells are.

    Raises:
        TraceValueError: a column is of another dtype.
    """
    table = _open(source).read(columns=list(columns))
    return pa.table([_column(source, name, table[name], dtype) for name, dtype in columns.items()], names=list(columns))


def is_resolved(dtype: pa.DataType) -> bool:
    """Whether a dtype that Arrow found is one of numbers or timestamps, or all cells are empty."""
    types = pa.types
    return bool(
        types.is_integer(dtype)
        or types.is_floating(dtype)
        or types.is_date(dtype)
        or types.is_timestamp(dtype)
        or types.is_null(dtype)
    )


def stripped(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without spaces around them, null where nothing is left."""
    bare = pc.utf8_trim_whitespace(texts)
    present = filled(pc.binary_length(bare).cast(pa.int64()), np.zeros(len(bare), np.int64)) > 0
    if present.all():
        return bare
    return bare.take(nullable(np.arange(len(bare)), present))


def _open(source: Input) -> Any:
    import pyarrow.parquet as pq  # not for text tables, which are most

    with source.open() as stream:
        return pq.ParquetFile(pa.BufferReader(stream.read()))


def _column(source: Input, name: str, values: pa.ChunkedArray, dtype: pa.DataType | None) -> pa.ChunkedArray:
    if dtype is None and not is_resolved(values.type):
        dtype = pa.timestamp("us")
    try:
        cast = values if dtype is None else values.cast(dtype)
    except pa.ArrowException as error:
        problem = f"is {values.type} and cannot be read as {dtype} ({str(error).splitlines()[0]})"
        raise TraceValueError(f"{source}: column {name} {problem}; save it as such") from error
    if pa.types.is_string(cast.type):
        return stripped(cast)
    if pa.types.is_floating(cast.type):
        known = ~np.isnan(filled(cast.cast(pa.float64()), np.full(len(cast), np.nan)))
        return cast if known.all() else cast.take(nullable(np.arange(len(cast)), known))
    return cast
