"""Reading text tables (CSV and its kin, plain or compressed) with errors that name the row, the column and the value.

The same tables as Parquet are read too, by `traces.parquet_tables`.

A file is read by Arrow in one go. Only where that fails, because a row or a cell is not what it must be, is it read
again in blocks, and those blocks line by line (`traces.cells`) in which Arrow fails: that finds every such place. No
more of the text than a block is ever in memory.
"""

import csv as text_csv
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from configs.errors import did_you_mean
from traces.arrow import from_numpy
from traces.cells import EMPTY, CellReader, RowProblem, merged, numbers_or_times
from traces.errors import TraceFileError, TraceValueError
from traces.inputs import BOM, Input, damaged, only_input
from traces.parquet_tables import PARQUET, column_names, is_resolved, read_columns, stripped

SEPARATORS: Final[Mapping[str, str]] = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""Name of a separator, as the option of a URI has it -> the character."""

_HEADER_BYTES = 1 << 20
_SHOWN_SIGNS = 60
_BLOCK_BYTES = 1 << 20
_BATCH_BYTES = 1 << 25
_MAX_LINE_BYTES = 1 << 26

Columns = Mapping[str, pa.DataType | None]
"""Column -> Arrow dtype; None: numbers or timestamps, whichever the cells are."""


@dataclass(frozen=True, slots=True)
class TextOptions:
    """Options that every format of text tables takes."""

    separator: Literal["auto", "comma", "semicolon", "tab", "pipe"] = field(
        default="auto", metadata={"help": "what stands between cells; auto: found from the header"}
    )
    strict: bool = field(
        default=False, metadata={"help": "a row that cannot be used is an error, else it is left out and counted"}
    )


@dataclass(frozen=True, slots=True)
class TextTable:
    """What could be read of a file.

    Attributes:
        table: the wanted columns.
        rows: [rows] int64, the 1-based data row in the file of each row.
        problems: why rows could not be read, one for each reason, in the order of the file.
    """

    table: pa.Table
    rows: NDArray[np.int64]
    problems: Sequence[RowProblem] = ()

    @property
    def unreadable(self) -> int:
        """How many rows could not be read."""
        return sum(problem.count for problem in self.problems)


def read_header(path: str | Input, separator: str | None = None) -> list[str]:
    """The column names in the first line of the text table at `path`, without spaces around them.

    Args:
        path: the table.
        separator: between cells; None: that which gives most columns.

    Raises:
        TraceFileError: the file is missing, damaged or empty.
    """
    source = as_input(path)
    names = _split(_first_line(source), separator or find_separator(source, ()))
    if not names:
        raise TraceFileError(f"{path}: is empty; check that it is the right file")
    return names


def as_input(path: str | Input) -> Input:
    """The file at a path.

    Raises:
        TraceFileError: it is missing, or there are several.
    """
    return only_input(path) if isinstance(path, str) else path


def find_separator(path: str | Input, wanted: Sequence[str]) -> str:
    """The separator with which the header has most of the wanted columns, else most columns at all; a comma of equals.

    Raises:
        TraceFileError: the file is missing or damaged.
    """
    line = _first_line(as_input(path))
    headers = {separator: _split(line, separator) for separator in SEPARATORS.values()}
    return max(headers, key=lambda separator: (len({*headers[separator]} & {*wanted}), len(headers[separator])))


def missing_column(path: str | Input, name: str, header: Sequence[str]) -> TraceValueError:
    """The error for a table without a column; what is no text table may have names of any length."""
    hint = did_you_mean(name, [each[:_SHOWN_SIGNS] for each in header])
    return TraceValueError(f"{path}: has no column {name}{hint}")


def require(path: str | Input, header: list[str], wanted: Mapping[str, Any] | list[str]) -> None:
    """Refuse a header that lacks a wanted column.

    Raises:
        TraceValueError: names the first column that is missing, and the nearest one.
    """
    for name in wanted:
        if name not in header:
            raise missing_column(path, name, header)


def read_csv(path: str | Input, columns: Columns, separator: str | None = None) -> pa.Table:
    """The wanted columns of a CSV file in the order of `columns`, where every row must be good; empty cells are null.

    Args:
        path: a .csv file, or one compressed as .csv.gz, .csv.bz2 or .csv.zst.
        columns: what to read.
        separator: between cells; None: that with which the header has most of these columns.

    Raises:
        TraceFileError: the file is missing, damaged or empty.
        TraceValueError: a column is missing, a row has too few or too many cells, or a cell is not of its dtype.
    """
    read = read_text(path, columns, separator or find_separator(path, list(columns)))
    if read.problems:
        raise read.problems[0].error(str(path))
    return read.table


def read_text(path: str | Input, columns: Columns, separator: str, header: Sequence[str] | None = None) -> TextTable:
    """The wanted columns of a text table; rows that cannot be read are listed, not raised.

    Spaces around names and cells do not count. Cells are empty where there is nothing, in columns of numbers and times
    also where there is a word for nothing, such as NA.

    Args:
        path: a text file, plain or compressed, of its own or in an archive.
        columns: what to read.
        separator: between cells.
        header: names of the columns, where the file has no line of them.

    Raises:
        TraceFileError: the file is missing, damaged or empty.
        TraceValueError: a column is missing.
    """
    source = as_input(path)
    shape = _shape(source, separator, header)
    require(path, shape.header, columns)
    if source.head(len(PARQUET)) == PARQUET:
        table = read_columns(source, columns)
        return TextTable(table, np.arange(1, table.num_rows + 1))
    try:
        table = _read(source, shape, columns)
    except TraceFileError:
        raise
    except OSError as error:
        raise _damaged(source, error) from error
    except pa.ArrowException:
        return _read_lines(source, shape, columns)
    if not all(dtype is not None or is_resolved(table[name].type) for name, dtype in columns.items()):
        return _read_lines(source, shape, columns)
    return TextTable(table, np.arange(1, table.num_rows + 1))


def read_batches(path: str | Input, columns: Mapping[str, pa.DataType], header: Sequence[str]) -> Iterator[TextTable]:
    """The wanted columns of a large table without a header, batch by batch, in bounded memory.

    Args:
        path: the table.
        columns: what to read.
        header: names of all columns.

    Raises:
        TraceFileError: the file is missing or damaged.
    """
    source = as_input(path)
    yield from _batches(source, _shape(source, ",", header), columns, _BATCH_BYTES)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Separator, names of the columns, and whether the file has a line of them."""

    separator: str
    header: list[str]
    has_header: bool


def _shape(source: Input, separator: str, header: Sequence[str] | None) -> _Shape:
    """The shape of a file; one that needs no line of names may have one all the same, which somebody put there."""
    if header is None:
        return _Shape(separator, read_header(source, separator), True)
    return _Shape(separator, list(header), _split(_first_line(source), separator) == list(header))


def _options(shape: _Shape, columns: Columns) -> dict[str, Any]:
    types = {name: dtype for name, dtype in columns.items() if dtype is not None}
    return {
        "read_options": pacsv.ReadOptions(column_names=shape.header, skip_rows=int(shape.has_header)),
        "parse_options": pacsv.ParseOptions(delimiter=shape.separator),
        "convert_options": pacsv.ConvertOptions(
            column_types=types, include_columns=list(columns), null_values=list(EMPTY), strings_can_be_null=False
        ),
    }


def _read(source: Input, shape: _Shape, columns: Columns) -> pa.Table:
    # As bytes: threads of Arrow that read a Python stream may still do so when an error has ended the program.
    with source.open() as stream:
        return _parsed(pa.BufferReader(stream.read()), shape, columns)


def _parsed(stream: pa.BufferReader, shape: _Shape, columns: Columns) -> pa.Table:
    """The wanted columns as Arrow reads them; texts without spaces around them."""
    table = pacsv.read_csv(stream, **_options(shape, columns))
    for index, name in enumerate(columns):
        if columns[name] == pa.string():
            table = table.set_column(index, name, stripped(table[name]))
    return table


def _read_lines(source: Input, shape: _Shape, columns: Columns) -> TextTable:
    """All that can be read of a file in which something cannot."""
    types = {name: pa.string() if dtype is None else dtype for name, dtype in columns.items()}
    parts = list(_batches(source, shape, types, _BLOCK_BYTES))
    table = pa.concat_tables([part.table for part in parts]) if parts else _empty(types)
    rows = np.concatenate([part.rows for part in parts]) if parts else np.zeros(0, np.int64)
    problems = [problem for part in parts for problem in part.problems]
    for name in (name for name, dtype in columns.items() if dtype is None):
        values, is_bad, more = numbers_or_times(table[name], name, rows)
        table = table.set_column(table.column_names.index(name), name, values)
        problems += more
        if more:  # a row counts for its first problem only
            good = np.flatnonzero(~is_bad)
            table, rows = table.take(from_numpy(good)), rows[good]
    return TextTable(table, rows, merged(problems))


def _empty(types: Mapping[str, pa.DataType]) -> pa.Table:
    return pa.table([pa.nulls(0, dtype) for dtype in types.values()], names=list(types))


def _batches(source: Input, shape: _Shape, types: Mapping[str, pa.DataType], size: int) -> Iterator[TextTable]:
    """A file in blocks of whole lines."""
    row = 1
    try:
        with source.open() as stream:
            for lines in _whole_lines(source, stream, size, skip_first=shape.has_header):
                batch, count = _read_block(lines, shape, types, row)
                row += count
                yield batch
    except TraceFileError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise _damaged(source, error) from error


def _whole_lines(source: Input, stream: IO[bytes], size: int, *, skip_first: bool) -> Iterator[bytes]:
    """Blocks of about so many bytes, which end where a line does."""
    rest, is_start = b"", True
    while block := stream.read(size):
        rest += block
        end = rest.rfind(b"\n") + 1
        if end:
            lines, rest = rest[:end], rest[end:]
            yield _data_lines(lines, skip_first=skip_first) if is_start else lines
            is_start = False
        elif len(rest) > _MAX_LINE_BYTES:
            raise TraceFileError(f"{source}: has a line of more than {_MAX_LINE_BYTES:,} bytes; it is no text table")
    if rest:
        yield _data_lines(rest, skip_first=skip_first) if is_start else rest


def _data_lines(lines: bytes, *, skip_first: bool) -> bytes:
    """The first lines of a file, without the header."""
    return lines.partition(b"\n")[2] if skip_first else lines.removeprefix(BOM)


def _read_block(lines: bytes, shape: _Shape, types: Mapping[str, pa.DataType], row: int) -> tuple[TextTable, int]:
    """What can be read of some lines, the first of which is a row of the file, and how many rows they are."""
    try:
        table = _parsed(pa.BufferReader(lines), replace(shape, has_header=False), types)
    except pa.ArrowException:
        reader = CellReader(lines, shape.header, shape.separator, row)
        arrays = [reader.column(name, dtype) for name, dtype in types.items()]
        keep = from_numpy(np.flatnonzero(reader.is_good))
        table = pa.table(arrays, names=list(types)).take(keep)
        return TextTable(table, reader.rows[reader.is_good], merged(reader.problems)), reader.num_rows
    return TextTable(table, np.arange(row, row + table.num_rows)), table.num_rows


def _first_line(source: Input) -> str:
    try:
        with source.open() as stream:
            start: bytes = stream.read(_HEADER_BYTES)
        if start.startswith(PARQUET):
            return column_names(source)
    except TraceFileError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise _damaged(source, error) from error
    line, end, _ = start.partition(b"\n")
    if not end and len(start) == _HEADER_BYTES:
        raise TraceFileError(f"{source}: its first line has more than {_HEADER_BYTES:,} bytes; it is no text table")
    text = line.decode("utf-8-sig", errors="replace").rstrip("\r")
    if any(unicodedata.category(sign) == "Cc" and sign != "\t" for sign in text):
        raise TraceFileError(f"{source}: its first line has characters that no text has; it is no text table")
    return text


def _split(line: str, separator: str) -> list[str]:
    try:
        names = next(text_csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except text_csv.Error:
        return [line]  # no header at all: the wanted columns will be missing from it
    return [name.strip() for name in names]


def _damaged(source: Input, error: Exception) -> TraceFileError:
    return damaged(str(source), error, " or not CSV")
