"""Wall-clock times of traces."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces.arrow import filled, is_null, nullable, to_numpy

_EPOCH = datetime.fromisoformat("1970-01-01")


def from_timestamps(values: pa.ChunkedArray) -> tuple[NDArray[np.float64], datetime | None]:
    """Seconds from the earliest timestamp, and that timestamp.

    Args:
        values: [rows] Arrow timestamps, none of them null; with a zone they are read as UTC wall-clock times.

    Returns:
        [rows] float64, seconds, >= 0; and the local wall-clock time of second 0, None without rows.
    """
    if not len(values):
        return np.zeros(0), None
    microseconds = to_numpy(_microseconds(values))
    earliest = microseconds.min()
    start: datetime = earliest.astype("datetime64[us]").item()
    return (microseconds - earliest) / 1e6, start


def seconds_since(values: pa.ChunkedArray, start: datetime) -> pa.Array:
    """Seconds from `start`, [rows] float64; null where the timestamp is.

    Args:
        values: Arrow timestamps, [rows]; with a zone they are read as UTC wall-clock times.
        start: wall-clock time of second 0, without a zone.
    """
    zero = (start - _EPOCH) // timedelta(microseconds=1)
    present = ~is_null(values)
    microseconds = filled(_microseconds(values), np.full(len(values), zero))
    return nullable((microseconds - zero) / 1e6, present)


def _microseconds(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(pa.timestamp("us", values.type.tz), safe=False).cast(pa.int64())
