"""A recording at one moment: which row of each subject holds, as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.recording.schema import TIME


class Moments:
    """Where the subjects of a table stand at any moment.

    Args:
        table: of a recording, in order of time.
        subject: the column that names the subject, numbers from 0 on.
        count: of subjects; None: as many as the table names.

    Attributes:
        columns: its columns by name.
    """

    def __init__(self, table: pa.Table, subject: str, count: int | None = None) -> None:
        self.columns: dict[str, NDArray[Any]] = {name: table.column(name).to_numpy() for name in table.schema.names}
        self._subjects = self.columns[subject]
        self.count = int(self._subjects.max(initial=-1)) + 1 if count is None else count

    def rows(self, time: float) -> NDArray[np.int64]:
        """[count] int64, the row that holds of each subject; -1: none yet."""
        last = int(np.searchsorted(self.columns[TIME], time, side="right"))
        found = np.full(self.count, -1, np.int64)
        # Of several rows of a subject the last assignment stays: that is the latest.
        found[self._subjects[:last]] = np.arange(last)
        return found

    def values(self, name: str, time: float, missing: float) -> NDArray[Any]:
        """[count], a column at a moment; `missing` where there is no row yet."""
        rows = self.rows(time)
        column = self.columns[name]
        return np.where(rows >= 0, column[np.maximum(rows, 0)] if len(column) else missing, missing)

    def between(self, names: tuple[str, ...], time: float) -> NDArray[np.float64]:
        """[count, names] float64: columns that move evenly from row to row; NaN where there is no row yet."""
        rows, following = self.rows(time), self._following()
        found = np.full((self.count, len(names)), np.nan)
        known = np.flatnonzero(rows >= 0)
        row, after = rows[known], following[rows[known]]
        times = self.columns[TIME]
        for index, name in enumerate(names):
            column = self.columns[name]
            start, end = column[row].astype(np.float64), column[after].astype(np.float64)
            length = np.where(after == row, 1.0, np.maximum(times[after] - times[row], 1e-9))
            share = np.where(np.isnan(end), 0.0, np.clip((time - times[row]) / length, 0.0, 1.0))
            found[known, index] = start + share * (np.where(np.isnan(end), start, end) - start)
        return found

    def _following(self) -> NDArray[np.int64]:
        """[rows] int64, the next row of the same subject; the row itself where it is the last."""
        order = np.argsort(self._subjects, kind="stable")
        found = np.arange(len(order))
        same = self._subjects[order[1:]] == self._subjects[order[:-1]]
        found[order[:-1][same]] = order[1:][same]
        return found
