"""Matrices of measurements with gaps (NaN), and their conversion to integers that a kernel can use."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from configs.errors import did_you_mean
from traces.errors import TraceValueError

PPM = 1_000_000
"""Parts per million in 1."""

Matrix = NDArray[np.float64]


def to_ppm(values: Matrix) -> NDArray[np.int64]:
    """Ratios in parts per million, int64, same shape; halves are rounded up."""
    return np.floor(values * PPM + 0.5).astype(np.int64)


def column_medians(values: Matrix) -> Matrix:
    """The median of each column, [columns] float64; gaps do not count, NaN where all are gaps."""
    columns = [column[~np.isnan(column)] for column in values.T]
    return np.array([np.median(column) if column.size else np.nan for column in columns])


def pick_rows(values: Matrix, names: Sequence[str], wanted: Sequence[str], default: Matrix) -> Matrix:
    """A row for each wanted name, and `default` as one more at the end.

    Args:
        values: [names, columns] float64.
        names: names of the rows of `values`.
        wanted: names of the rows to return; those that `names` does not hold get `default`.
        default: [columns] float64.

    Returns:
        [wanted + 1, columns] float64. Index -1, the code of a job without a name, is the default.
    """
    index = {name: row for row, name in enumerate(names)}
    return np.array([values[index[name]] if name in index else default for name in wanted] + [default])


def interpolate_rows(values: Matrix, at: Sequence[float], wanted: Sequence[float]) -> Matrix:
    """Each row at other positions: linear between its measured points, level outside of them.

    Args:
        values: float64, shape (rows, len(at)); each row has a number.
        at: positions of the columns, ascending.
        wanted: positions to return.

    Returns:
        float64, shape (rows, len(wanted)).
    """
    known, points = ~np.isnan(values), np.array(at, dtype=np.float64)
    rows = [np.interp(wanted, points[mask], row[mask]) for row, mask in zip(values, known, strict=True)]
    return np.array(rows).reshape(len(values), len(wanted))


def check_names(names: Sequence[str], what: str, source: str) -> None:
    """Raise unless there are names, and each once.

    Raises:
        TraceValueError: there is none, or one is there twice.
    """
    if not names:
        raise TraceValueError(f"{source}: has no {what}; check that it is the right file")
    for index, name in enumerate(names):
        if name in names[:index]:
            raise TraceValueError(f"{source}: {what} {name!r} is there twice; keep one")


def check_positions(values: Sequence[int], what: str, source: str, *, first: int | None = None) -> None:
    """Raise unless positions are whole numbers above 0, ascending, and begin with `first` where it is given.

    Raises:
        TraceValueError: they are not.
    """
    ascending = all(low < high for low, high in pairwise(values))
    if not values or values[0] < 1 or not ascending or first not in (None, values[0]):
        start = "" if first is None else f" and begin with {first}"
        raise TraceValueError(f"{source}: {what} {list(values)} must ascend{start}")


def check_matrix(values: Matrix, rows: Sequence[str], columns: Sequence[object], source: str) -> None:
    """Raise unless the matrix has the shape of its names and each cell is a finite number above 0, or a gap (NaN).

    Raises:
        TraceValueError: names the cell and its value.
    """
    if values.shape != (len(rows), len(columns)):
        raise TraceValueError(f"{source}: {values.shape} numbers for {len(rows)} rows and {len(columns)} columns")
    for row, column in np.argwhere(~(np.isnan(values) | (np.isfinite(values) & (values > 0)))).tolist():
        where = f"{rows[row]} at {columns[column]}"
        raise TraceValueError(f"{source}: {where} is {values[row, column]:g}; it must be above 0, or not measured")


def check_complete(column: Matrix, rows: Sequence[str], what: str, source: str) -> None:
    """Raise unless each row has a number in this column.

    Raises:
        TraceValueError: names the first row that has none.
    """
    for name, value in zip(rows, column.tolist(), strict=True):
        if np.isnan(value):
            raise TraceValueError(f"{source}: {name} was not measured at {what}, to which the others relate; drop it")


def position(name: str, names: Sequence[str], what: str, source: str) -> int:
    """The index of `name`.

    Raises:
        TraceValueError: it is not there; names the nearest.
    """
    if name not in names:
        raise TraceValueError(f"{source}: no {what} {name!r}{did_you_mean(name, names)}")
    return list(names).index(name)
