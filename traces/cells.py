"""Reading a text table line by line, to find every row and cell that is not what it must be."""

import csv as text_csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces.arrow import from_numpy, nullable, strings
from traces.errors import TraceValueError

EMPTY: Final = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "none")
"""Cells that hold no number and no time."""

_WANTED = {"float": "a number", "double": "a number", "int64": "a whole number"}
_A_TIME = "a time such as 2017-10-09 07:01:55"
_TIMES = (pa.timestamp("us"), pa.timestamp("us", "UTC"))
_REPAIR = "fix or remove this row"


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that cannot be read.

    Attributes:
        row: its 1-based data row in the file.
        reason: why, as the end of "left out because"; the same for all rows of one kind.
        message: what is wrong with this one.
    """

    row: int
    reason: str
    message: str

    def error(self, path: str) -> TraceValueError:
        """The error for it."""
        return TraceValueError(f"{path}: row {self.row}{self.message}; {_REPAIR}")


class CellReader:
    """The cells of a text table; what is wrong with a row is kept, and its first problem counts.

    Args:
        content: the file.
        header: names of the columns.
        separator: between cells.
        has_header: whether the first line of the file is the header.

    Attributes:
        rows: [rows] int64, the 1-based data row of each row that has its cells.
        is_good: [rows] bool, whether all of its cells that were read are of their dtype.
    """

    def __init__(self, content: bytes, header: Sequence[str], separator: str, *, has_header: bool = True) -> None:
        self._problems: list[RowProblem] = []
        self._header = list(header)
        self._separator = separator
        self._cells: list[list[str]] = []
        numbers = []
        lines = [line for line in content.split(b"\n")[int(has_header) :] if line.strip(b"\r")]
        for number, line in enumerate(lines, 1):
            cells = self._cells_of(number, line.rstrip(b"\r"))
            if cells is not None:
                numbers.append(number)
                self._cells.append(cells)
        self.rows = np.array(numbers, np.int64)
        self.is_good = np.ones(len(numbers), np.bool_)

    @property
    def problems(self) -> list[RowProblem]:
        """What is wrong, in the order of the file."""
        return sorted(self._problems, key=lambda problem: problem.row)

    def _cells_of(self, number: int, line: bytes) -> list[str] | None:
        """The cells of a line, each line on its own: a quote that is not closed spoils no other."""
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            problem = f": is not UTF-8 text (byte {error.start + 1} of the line)"
            self._problems.append(RowProblem(number, "it is not UTF-8 text", problem))
            return None
        try:
            cells = next(text_csv.reader([text], delimiter=self._separator, skipinitialspace=True), [])
        except text_csv.Error as error:
            self._problems.append(RowProblem(number, "it cannot be split into cells", f": {error}"))
            return None
        if len(cells) != len(self._header):
            problem = f": has {len(cells)} cells, the header {len(self._header)}"
            self._problems.append(RowProblem(number, "it has more or fewer cells than the header", problem))
            return None
        return [cell.strip() for cell in cells]

    def column(self, name: str, dtype: pa.DataType | None) -> pa.Array:
        """A column in a dtype; null where a cell is empty, and where it is not of the dtype: such a row is not good.

        Args:
            name: of the header.
            dtype: of Arrow; None: numbers or timestamps, whichever more cells are.
        """
        index = self._header.index(name)
        texts = [cells[index] for cells in self._cells]
        index_of: dict[str, int] = {}
        codes = np.array([index_of.setdefault(text, len(index_of)) for text in texts], np.int64)
        distinct = list(index_of)
        if dtype == pa.string():
            return _decoded(strings(distinct), codes, np.array([bool(text) for text in distinct], np.bool_))
        is_empty = np.array([text in EMPTY for text in distinct], np.bool_)
        dtype, fits = _fitting(distinct, np.bincount(codes, minlength=len(distinct)), is_empty, dtype)
        for row in np.flatnonzero(self.is_good & ~(fits | is_empty)[codes]).tolist():
            kind = _WANTED.get(str(dtype), _A_TIME)
            problem = f", column {name}: {texts[row]!r} is not {kind}"
            reason = f"its {name} is not {'a time' if kind == _A_TIME else kind}"
            self._problems.append(RowProblem(int(self.rows[row]), reason, problem))
            self.is_good[row] = False
        cast = strings([text if good else "0" for text, good in zip(distinct, fits, strict=True)])
        if not fits.all():
            cast = cast.take(nullable(np.arange(len(distinct)), fits))
        return _decoded(cast.cast(dtype), codes, fits)


def _fitting(
    distinct: list[str], counts: NDArray[np.int64], is_empty: NDArray[np.bool_], dtype: pa.DataType | None
) -> tuple[pa.DataType, NDArray[np.bool_]]:
    """The dtype, and which texts can be read as it, [texts] bool."""
    candidates = (pa.float64(), *_TIMES) if dtype is None else (dtype,)
    fits = [_castable(strings(distinct), each) & ~is_empty for each in candidates]
    cells = [int(counts[each].sum()) for each in fits]
    best = int(np.argmax(cells))
    return candidates[best], fits[best]


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
