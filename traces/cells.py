"""Reading a text table line by line, to find every row and cell that is not what it must be."""

import csv as text_csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces.arrow import filled, from_numpy, nullable, strings
from traces.errors import TraceValueError

EMPTY: Final = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "none")
"""Cells that hold no number and no time."""

_WANTED = {"float": "a number", "double": "a number", "int64": "a whole number"}
_A_TIME = "a time such as 2017-10-09 07:01:55"
_CANDIDATES = (pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
_SAMPLE = 1000
_REPAIR = "fix or remove this row"


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Rows that cannot be read for one reason.

    Attributes:
        row: 1-based data row in the file of the first of them.
        reason: why, as the end of "left out because"; the same for all of them.
        message: what is wrong with the first.
        count: how many there are.
    """

    row: int
    reason: str
    message: str
    count: int = 1

    def error(self, path: str) -> TraceValueError:
        """The error for the first."""
        return TraceValueError(f"{path}: row {self.row}{self.message}; {_REPAIR}")


def merged(problems: Iterable[RowProblem]) -> list[RowProblem]:
    """One problem for each reason, in the order of their first rows: a file of which all is bad fills no memory."""
    found: dict[str, RowProblem] = {}
    for problem in sorted(problems, key=lambda each: each.row):
        first = found.get(problem.reason)
        found[problem.reason] = problem if first is None else replace(first, count=first.count + problem.count)
    return list(found.values())


class CellReader:
    """The cells of some lines of a text table; what is wrong with a row is kept, and its first problem counts.

    Args:
        lines: whole lines, without that of the header.
        header: names of the columns.
        separator: between cells.
        first_row: 1-based data row in the file of the first line.

    Attributes:
        num_rows: rows, of which empty lines are none.
        rows: [rows] int64, the 1-based data row in the file of each row that has its cells.
        is_good: [rows] bool, whether all of its cells that were read are of their dtype.
        problems: what is wrong with single rows.
    """

    def __init__(self, lines: bytes, header: Sequence[str], separator: str, first_row: int = 1) -> None:
        self.problems: list[RowProblem] = []
        self._header = list(header)
        self._separator = separator
        self._cells: list[list[str]] = []
        numbers = []
        bare = [line for line in lines.split(b"\n") if line.strip(b"\r")]
        self.num_rows = len(bare)
        for number, line in enumerate(bare, first_row):
            cells = self._cells_of(number, line.rstrip(b"\r"))
            if cells is not None:
                numbers.append(number)
                self._cells.append(cells)
        self.rows = np.array(numbers, np.int64)
        self.is_good = np.ones(len(numbers), np.bool_)

    def _cells_of(self, number: int, line: bytes) -> list[str] | None:
        """The cells of a line, each line on its own: a quote that is not closed spoils no other."""
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            problem = f": is not UTF-8 text (byte {error.start + 1} of the line)"
            self.problems.append(RowProblem(number, "it is not UTF-8 text", problem))
            return None
        try:
            cells = next(text_csv.reader([text], delimiter=self._separator, skipinitialspace=True), [])
        except text_csv.Error as error:
            self.problems.append(RowProblem(number, "it cannot be split into cells", f": {error}"))
            return None
        if len(cells) != len(self._header):
            problem = f": has {len(cells)} cells, the header {len(self._header)}"
            self.problems.append(RowProblem(number, "it has more or fewer cells than the header", problem))
            return None
        return [cell.strip() for cell in cells]

    def column(self, name: str, dtype: pa.DataType) -> pa.Array:
        """A column in a dtype; null where a cell is empty, and where it is not of the dtype: such a row is not good.

        Args:
            name: of the header.
            dtype: of Arrow.
        """
        index = self._header.index(name)
        texts = [cells[index] for cells in self._cells]
        index_of: dict[str, int] = {}
        codes = np.array([index_of.setdefault(text, len(index_of)) for text in texts], np.int64)
        distinct = list(index_of)
        if dtype == pa.string():
            return _decoded(strings(distinct), codes, np.array([bool(text) for text in distinct], np.bool_))
        values, is_bad, kind = _cast(distinct, codes, dtype)
        for row in np.flatnonzero(self.is_good & is_bad).tolist():
            self.problems.append(_not_of_kind(int(self.rows[row]), name, texts[row], kind))
        self.is_good &= ~is_bad
        return values


def numbers_or_times(
    column: pa.ChunkedArray, name: str, rows: NDArray[np.int64]
) -> tuple[pa.Array, NDArray[np.bool_], list[RowProblem]]:
    """A column of texts as numbers or as timestamps, whichever more cells are.

    Args:
        column: [rows] strings, null where a cell is empty.
        name: of the header.
        rows: [rows] int64, the 1-based data row in the file of each.

    Returns:
        The column, null where a cell is neither; [rows] bool, where that is so; and what is wrong there.
    """
    coded = column.combine_chunks().dictionary_encode()
    distinct: list[str] = coded.dictionary.to_pylist()
    # A null cell is one without a text.
    codes = filled(pa.chunked_array([coded.indices.cast(pa.int64())]), np.full(len(rows), len(distinct), np.int64))
    values, is_bad, kind = _cast([*distinct, ""], codes, None)
    bad = np.flatnonzero(is_bad)
    problems = [_not_of_kind(int(rows[row]), name, distinct[codes[row]], kind, len(bad)) for row in bad[:1].tolist()]
    return values, is_bad, problems


def _not_of_kind(row: int, name: str, text: str, kind: str, count: int = 1) -> RowProblem:
    reason = f"its {name} is not {'a time' if kind == _A_TIME else kind}"
    return RowProblem(row, reason, f", column {name}: {text!r} is not {kind}", count)


def _cast(
    distinct: list[str], codes: NDArray[np.int64], dtype: pa.DataType | None
) -> tuple[pa.Array, NDArray[np.bool_], str]:
    """Texts in a dtype, null where one is empty or not of it; which are the latter, [codes] bool; and what it holds."""
    is_empty = np.array([text in EMPTY for text in distinct], np.bool_)
    dtype, fits = _fitting(distinct, np.bincount(codes, minlength=len(distinct)), is_empty, dtype)
    texts = strings([text if good else "0" for text, good in zip(distinct, fits, strict=True)])
    if not fits.all():
        texts = texts.take(nullable(np.arange(len(distinct)), fits))
    is_bad = ~(fits | is_empty)[codes] if distinct else np.zeros(0, np.bool_)
    return _decoded(texts.cast(dtype), codes, fits), is_bad, _WANTED.get(str(dtype), _A_TIME)


def _fitting(
    distinct: list[str], counts: NDArray[np.int64], is_empty: NDArray[np.bool_], dtype: pa.DataType | None
) -> tuple[pa.DataType, NDArray[np.bool_]]:
    """The dtype, and which texts can be read as it, [texts] bool."""
    if dtype is None:
        # Some are enough to tell: to try every text in every dtype takes seconds where there are many.
        some = np.unique(np.linspace(0, len(distinct) - 1, min(len(distinct), _SAMPLE)).astype(np.int64))
        texts = strings([distinct[index] for index in some.tolist()])
        cells = [int(counts[some][_castable(texts, each) & ~is_empty[some]].sum()) for each in _CANDIDATES]
        dtype = _CANDIDATES[int(np.argmax(cells))]
    return dtype, _castable(strings(distinct), dtype) & ~is_empty


def _castable(texts: pa.Array, dtype: pa.DataType) -> NDArray[np.bool_]:
    """Which texts can be read as a dtype, [texts] bool; halves that can be as a whole are not looked at one by one."""
    try:
        texts.cast(dtype)
    except pa.ArrowException:
        if len(texts) == 1:
            return np.zeros(1, np.bool_)
        middle = len(texts) // 2
        return np.concatenate([_castable(texts[:middle], dtype), _castable(texts[middle:], dtype)])
    return np.ones(len(texts), np.bool_)


def _decoded(values: pa.Array, codes: NDArray[np.int64], present: NDArray[np.bool_]) -> pa.Array:
    """The value of each code, null where it is not present."""
    if not len(values):
        return values
    return values.take(from_numpy(codes) if present.all() else nullable(codes, present[codes]))
