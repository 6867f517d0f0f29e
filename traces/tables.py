"""Reading CSV tables (plain or compressed) with errors that name the row, the column and the value."""

import csv as text_csv
from collections.abc import Mapping
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.csv as pacsv

from configs.errors import did_you_mean
from traces.errors import TraceFileError, TraceValueError
from traces.files import check_readable
from traces.validation import Origin

_HEADER_BYTES = 1 << 20
_EMPTY = [""]
_WANTED = {"float": "a number", "double": "a number", "int64": "a whole number"}


def read_header(path: str) -> list[str]:
    """Return the column names in the first line of the CSV file at `path`.

    Raises:
        TraceFileError: The file is missing, damaged or empty.
    """
    check_readable(path)
    try:
        with pa.input_stream(path, compression="detect") as stream:
            line = stream.read(_HEADER_BYTES).decode("utf-8-sig", errors="replace").partition("\n")[0]
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    names = next(text_csv.reader([line.rstrip("\r")]), [])
    if not names:
        raise TraceFileError(f"{path}: is empty; check that it is the right file")
    return names


def require(path: str, header: list[str], wanted: Mapping[str, Any] | list[str]) -> None:
    """Raise unless each wanted column is in the header.

    Raises:
        TraceValueError: Names the first column that is missing, and the nearest one.
    """
    for name in wanted:
        if name not in header:
            raise TraceValueError(f"{path}: has no column {name}{did_you_mean(name, header)}")


def read_csv(path: str, columns: Mapping[str, pa.DataType | None]) -> pa.Table:
    """Return the columns asked for, in the order asked for; empty cells are null.

    Args:
        path: A .csv file, or one compressed as .csv.gz, .csv.bz2 or .csv.zst.
        columns: Column -> Arrow dtype; None: the dtype is found from the cells.

    Raises:
        TraceFileError: The file is missing, damaged or empty.
        TraceValueError: A column is missing, or a cell is not of its dtype.
    """
    require(path, read_header(path), columns)
    try:
        return _read(path, columns, use_threads=True)
    except OSError as error:
        raise _damaged(path, error) from error
    except pa.ArrowException as error:
        _explain(path, columns, error)


def _read(path: str, columns: Mapping[str, pa.DataType | None], *, use_threads: bool, on_row: Any = None) -> pa.Table:
    types = {name: dtype for name, dtype in columns.items() if dtype is not None}
    convert = pacsv.ConvertOptions(
        column_types=types, include_columns=list(columns), null_values=_EMPTY, strings_can_be_null=True
    )
    parse = pacsv.ParseOptions(invalid_row_handler=on_row)
    return pacsv.read_csv(
        path,
        read_options=pacsv.ReadOptions(use_threads=use_threads),
        parse_options=parse,
        convert_options=convert,
    )


def _explain(path: str, columns: Mapping[str, pa.DataType | None], error: pa.ArrowException) -> NoReturn:
    """Read the file again, slowly, to find the cell that Arrow could not read, and raise the error for it."""
    bad_rows: list[Any] = []

    def keep(row: Any) -> str:
        bad_rows.append(row)
        return "error"

    try:
        texts = _read(path, {name: pa.string() for name in columns}, use_threads=False, on_row=keep)
    except pa.ArrowException as second:
        if bad_rows:
            row = bad_rows[0]
            problem = f"row {row.number - 1}: has {row.actual_columns} cells, the header {row.expected_columns}"
            raise TraceValueError(f"{path}: {problem}; mend or remove this row") from error
        raise _damaged(path, second) from error
    for name, dtype in columns.items():
        if dtype is not None:
            check_cells(texts.column(name), dtype, name, Origin(path))
    raise _damaged(path, error) from error


def check_cells(texts: pa.ChunkedArray, dtype: pa.DataType, column: str, origin: Origin) -> None:
    """Raise unless every cell of a column of strings can be read as `dtype`.

    Raises:
        TraceValueError: Names the first cell that cannot.
    """
    for index, cell in enumerate(texts):
        try:
            cell.cast(dtype)
        except pa.ArrowException as error:
            wanted = _WANTED.get(str(dtype), "a time such as 2017-10-09 07:01:55")
            raise origin.error(index, column, f"{cell.as_py()!r} is not {wanted}; mend or remove this row") from error


def _damaged(path: str, error: Exception) -> TraceFileError:
    reason = str(error).splitlines()[0]
    return TraceFileError(f"{path}: is damaged or not CSV ({reason}); check or fetch the file again")
