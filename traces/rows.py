"""Rows of a text table on their way into a trace: those that cannot be used are left out and counted, or an error."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from traces.arrow import from_numpy, labels, strings, to_numpy
from traces.errors import TraceValueError
from traces.inputs import Input
from traces.schema import ROW_RULES
from traces.tables import SEPARATORS, Columns, TextOptions, as_input, find_separator, read_text
from traces.trace import Trace, TraceMetadata
from traces.validation import Origin, Violation, check, gpu_count, present, to_milli

MOST_BAD_SHARE: Final = 0.5
"""With a larger share of bad rows the file is of another format, or an option is wrong: that is an error."""


COLUMN_TYPES: Final[Mapping[str, pa.DataType]] = {
    "submit_time_seconds": pa.string(),
    "start_time": pa.string(),
    "end_time": pa.string(),
    "gpu_milli": pa.float64(),
    "cpu_milli": pa.int64(),
    "memory_mib": pa.int64(),
    "priority": pa.int64(),
}
"""Dtypes of columns of records: times are texts until `traces.clock` reads them, GPUs are not in thousandths yet."""

_OTHER_KIND = (pa.ArrowException, UnicodeError, OverflowError, TypeError)

_EPOCH_SECONDS: Final = 9e8  # 1998: a submit time from here on counts from 1970,
_RELATIVE_SECONDS: Final = 3e8  # and one before 10 years from the start of a trace.


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
        parts: after `split`: [rows] int64, the index that each row had before.
    """

    table: pa.Table
    origin: Origin
    strict: bool
    total: int
    dropped: dict[str, int] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    parts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _first: TraceValueError | None = None

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Sequence[Any]],
        where: str,
        names: Mapping[str, str],
        strict: bool,
        numbers: Sequence[int] | None = None,
    ) -> Self:
        """Rows of records, such as those of a JSON file.

        Args:
            columns: our column -> [rows] values; texts, numbers, or None.
            where: the file, for messages.
            names: our column -> the name in the file, where they differ.
            strict: whether a bad row is an error.
            numbers: [rows] which item of the file each is; None: 1, 2, 3...
        """
        found = {name: _typed(values, COLUMN_TYPES.get(name, pa.string())) for name, values in columns.items()}
        table = pa.table([pa.chunked_array([values]) for values, _ in found.values()], names=list(found))
        origin = Origin(where, dict(names), None if numbers is None else np.array(numbers, np.int64))
        rows = cls(table, origin, strict, table.num_rows)
        wrong = {name: is_wrong for name, (_, is_wrong) in found.items() if is_wrong.any()}
        rows.check(
            Violation(name, is_wrong, "is of another kind", partial(_of_another_kind, columns[name]))
            for name, is_wrong in wrong.items()
        )
        return rows

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

    def split(self, counts: NDArray[np.int64]) -> None:
        """Repeat rows, [rows] int64, at least 1; a row that is there several times gets ids `id/0`, `id/1`...

        `parts` then says which row each was.
        """
        self.parts = np.repeat(np.arange(len(counts)), counts)
        first = np.cumsum(counts) - counts
        number = np.arange(len(self.parts)) - first[self.parts]
        names = self["job_id"].take(from_numpy(self.parts))
        numbered = pc.binary_join_element_wise(names, labels("", number), strings(["/"]).take(from_numpy(number * 0)))
        several = pa.chunked_array([from_numpy((counts[self.parts] > 1).astype(np.int64)).cast(pa.bool_())])
        self._keep_index(self.parts)
        self.set("job_id", pc.if_else(several, numbered, names))
        for name in ("cpu_milli", "memory_mib"):
            if name in self.table.column_names:
                divisor = pa.chunked_array([from_numpy(counts[self.parts].astype(np.int64))])
                self.set(name, pc.divide(self[name], divisor))

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
        self._check_one_clock()
        counted = replace(metadata, dropped=self.dropped, bad_rows=self.bad)
        return Trace.from_columns(columns, metadata=counted, origin=self.origin)

    def _check_one_clock(self) -> None:
        """Refuse a file in which some times count from 1970 and others from the start of the trace.

        Raises:
            TraceValueError: names the first row of the fewer.
        """
        submit = to_numpy(self["submit_time_seconds"])
        late = submit >= _EPOCH_SECONDS
        if late.any() and (submit < _RELATIVE_SECONDS).any():
            odd = late if late.sum() < len(late) / 2 else ~late
            index = int(odd.argmax())
            others = "count from another second 0 (epoch and relative times in one file?); put all on one clock"
            raise self.origin.error(index, "submit_time_seconds", f"{submit[index]:.0f} s, while most {others}")

    def finish(self) -> None:
        """Refuse a file most of whose rows are bad.

        Raises:
            TraceValueError: as above.
        """
        bad = sum(self.bad.values())
        if self._first is not None and bad > MOST_BAD_SHARE * self.total:
            hint = "is it another format, or an option wrong?"
            raise TraceValueError(f"{self._first} ({bad:,} of {self.total:,} rows cannot be used: {hint})")

    def add_problem(self, reason: str, error: TraceValueError, rows: int = 1) -> None:
        """Count rows that could not be read for one reason.

        Args:
            reason: why.
            error: the first of them.
            rows: how many.

        Raises:
            TraceValueError: `strict` is on.
        """
        if self.strict:
            raise error
        self._count(reason, rows, error)

    def count_bad_of(self, other: "Rows", table: str) -> None:
        """Count the bad rows of another table of the same data set, so that they are not left out in silence.

        Args:
            other: the rows of that table.
            table: its name, for the reasons.
        """
        self.total += other.total
        self._first = self._first or other._first  # noqa: SLF001 (of its own kind)
        for reason, count in other.bad.items():
            self.bad[f"in {table} {reason}"] = count

    def _count(self, reason: str, rows: int, error: TraceValueError) -> None:
        self.bad[reason] = self.bad.get(reason, 0) + rows
        self._first = self._first or error

    def _keep(self, rows: NDArray[np.bool_]) -> None:
        self._keep_index(np.flatnonzero(rows))

    def _keep_index(self, index: NDArray[np.int64]) -> None:
        numbers = np.arange(1, self.table.num_rows + 1) if self.origin.rows is None else self.origin.rows
        self.table = self.table.take(from_numpy(index))
        self.origin = replace(self.origin, rows=numbers[index])


def _typed(values: Sequence[Any], dtype: pa.DataType) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Values as a column, null where one is of another kind; and where that is so, [rows] bool."""
    wrong = np.zeros(len(values), np.bool_)
    try:
        return pa.array(values, dtype), wrong
    except _OTHER_KIND:
        pass
    kept = list(values)
    for index, value in enumerate(values):
        try:
            pa.array([value], dtype)
        except _OTHER_KIND:
            kept[index], wrong[index] = None, True
    return pa.array(kept, dtype), wrong


def _of_another_kind(values: Sequence[Any], index: int) -> str:
    return f"{ascii(values[index])[:60]} is of another kind; fix or remove this item"


def read_rows(
    path: str | Input,
    columns: Columns,
    names: Mapping[str, str],
    options: TextOptions,
    *,
    header: Sequence[str] | None = None,
) -> Rows:
    """The rows of a text table, under our names.

    Args:
        path: a text file, plain or compressed, of its own or in an archive.
        columns: column of the file -> Arrow dtype; None: numbers or timestamps, whichever the cells are.
        names: our column -> that of the file; only these are in the rows.
        options: separator, and what to do with bad rows.
        header: names of the columns, where the file has no line of them.

    Raises:
        TraceFileError: the file is missing, damaged or empty.
        TraceValueError: a column is missing; or a row cannot be read and `strict` is on.
    """
    source = as_input(path)
    separator = SEPARATORS.get(options.separator) or (find_separator(source, list(columns)) if header is None else ",")
    text = read_text(source, columns, separator, header)
    table = pa.table([text.table.column(theirs) for theirs in names.values()], names=list(names))
    renamed = {ours: theirs for ours, theirs in names.items() if ours != theirs}
    rows = Rows(table, Origin(str(source), renamed, text.rows), options.strict, table.num_rows + text.unreadable)
    for problem in text.problems:
        rows.add_problem(problem.reason, problem.error(str(source)), problem.count)
    return rows
