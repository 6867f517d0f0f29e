"""Rows of a text table on their way into a trace: those that cannot be used are left out and counted, or an error."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces.arrow import from_numpy, to_numpy
from traces.errors import TraceValueError
from traces.schema import ROW_RULES
from traces.tables import SEPARATORS, Columns, TextOptions, find_separator, read_text
from traces.trace import Trace, TraceMetadata
from traces.validation import Origin, Violation, check, gpu_count, present, to_milli

MOST_BAD_SHARE: Final = 0.5
"""With a larger share of bad rows the file is of another format, or an option is wrong: that is an error."""


@dataclass(slots=True)
class Rows:
    """Rows by our names of columns, and what became of the others.

    Attributes:
        table: the rows that are left.
        origin: file, rows and column names for messages.
        strict: whether a bad row is an error.
        total: data rows of the file.
        dropped: reason -> rows that are no jobs of the trace, such as CPU jobs.
        bad: reason -> rows that cannot be used.
    """

    table: pa.Table
    origin: Origin
    strict: bool
    total: int
    dropped: dict[str, int] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    _first: TraceValueError | None = None

    def __getitem__(self, column: str) -> pa.ChunkedArray:
        return self.table.column(column)

    def set(self, column: str, values: NDArray[np.float64] | NDArray[np.int64] | pa.Array | pa.ChunkedArray) -> None:
        """Replace or append a column, [rows]."""
        array = from_numpy(values) if isinstance(values, np.ndarray) else values
        if column in self.table.column_names:
            self.table = self.table.set_column(self.table.column_names.index(column), column, array)
        else:
            self.table = self.table.append_column(column, array)

    def drop(self, rows: NDArray[np.bool_], reason: str) -> None:
        """Drop rows, [rows] bool, that are no jobs of the trace; this is never an error."""
        if rows.any():
            self.dropped[reason] = self.dropped.get(reason, 0) + int(rows.sum())
            self._keep(~rows)

    def check(self, violations: Iterable[Violation]) -> None:
        """Leave out the rows that break a rule; each counts for the first rule that it breaks.

        Raises:
            TraceValueError: there is such a row, and `strict` is on.
        """
        if self.strict:
            check(violations, self.origin)
            return
        good = np.ones(self.table.num_rows, np.bool_)
        for violation in violations:
            rows = violation.rows & good
            if rows.any():
                index = int(rows.argmax())
                name = self.origin.columns.get(violation.column, violation.column)
                error = self.origin.error(index, violation.column, violation.problem(index))
                self._count(f"its {name} {violation.reason}", int(rows.sum()), error)
                good &= ~rows
        if not good.all():
            self._keep(good)

    def require(self, column: str) -> None:
        """Leave out the rows without a value in a column.

        Raises:
            TraceValueError: there is such a row, and `strict` is on.
        """
        self.check(present(self[column], column))

    def convert_gpus(self, column: str) -> None:
        """Make GPUs, float64, thousandths of a GPU.

        Raises:
            TraceValueError: there is a row with no valid number of GPUs, and `strict` is on.
        """
        self.require(column)
        self.check(gpu_count(to_numpy(self[column]), column))
        self.set(column, to_milli(to_numpy(self[column])))

    def trace(self, metadata: TraceMetadata) -> Trace:
        """The trace of the rows.

        Args:
            metadata: of the trace, without the counts of rows.

        Raises:
            TraceValueError: a row is bad and `strict` is on, or too many rows are bad.
        """
        for rules in ROW_RULES:
            self.check(rules(self.table, self.origin))
        self.finish()
        columns = {name: self.table.column(name) for name in self.table.column_names}
        counted = replace(metadata, dropped=self.dropped, bad_rows=self.bad)
        return Trace.from_columns(columns, metadata=counted, origin=self.origin)

    def finish(self) -> None:
        """Refuse a file most of whose rows are bad.

        Raises:
            TraceValueError: as above.
        """
        bad = sum(self.bad.values())
        if self._first is not None and bad > MOST_BAD_SHARE * self.total:
            hint = "is it another format, or an option wrong?"
            raise TraceValueError(f"{self._first} ({bad:,} of {self.total:,} rows cannot be used: {hint})")

    def add_problem(self, reason: str, error: TraceValueError) -> None:
        """Count a row that could not be read.

        Raises:
            TraceValueError: `strict` is on.
        """
        if self.strict:
            raise error
        self._count(reason, 1, error)

    def _count(self, reason: str, rows: int, error: TraceValueError) -> None:
        self.bad[reason] = self.bad.get(reason, 0) + rows
        self._first = self._first or error

    def _keep(self, rows: NDArray[np.bool_]) -> None:
        index = np.flatnonzero(rows)
        numbers = np.arange(1, self.table.num_rows + 1) if self.origin.rows is None else self.origin.rows
        self.table = self.table.take(from_numpy(index))
        self.origin = replace(self.origin, rows=numbers[index])


def read_rows(path: str, columns: Columns, names: Mapping[str, str], options: TextOptions) -> Rows:
    """The rows of a text table, under our names.

    Args:
        path: a text file, plain or compressed.
        columns: column of the file -> Arrow dtype; None: numbers or timestamps, whichever the cells are.
        names: our column -> that of the file; only these are in the rows.
        options: separator, and what to do with bad rows.

    Raises:
        TraceFileError: the file is missing, damaged or empty.
        TraceValueError: a column is missing; or a row cannot be read and `strict` is on.
    """
    wanted: Sequence[str] = list(columns)
    separator = SEPARATORS.get(options.separator) or find_separator(path, wanted)
    text = read_text(path, columns, separator)
    table = pa.table([text.table.column(theirs) for theirs in names.values()], names=list(names))
    renamed = {ours: theirs for ours, theirs in names.items() if ours != theirs}
    rows = Rows(table, Origin(path, renamed, text.rows), options.strict, table.num_rows + len(text.problems))
    for problem in text.problems:
        rows.add_problem(problem.reason, problem.error(path))
    return rows
