"""Wall-clock times of traces."""

from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces.arrow import to_numpy
from traces.validation import Origin, check_present


def from_timestamps(
    values: pa.ChunkedArray, column: str, origin: Origin
) -> tuple[NDArray[np.float64], datetime | None]:
    """Return seconds from the earliest timestamp, and that timestamp.

    Args:
        values: Arrow timestamps, shape (rows,); with a zone they are read as UTC wall-clock times.
        column: Our name of the column.
        origin: Where the rows come from.

    Returns:
        float64, shape (rows,), seconds, >= 0; and the local wall-clock time of second 0, None without rows.

    Raises:
        TraceValueError: A timestamp is empty.
    """
    check_present(values, column, origin)
    if not len(values):
        return np.zeros(0), None
    microseconds = to_numpy(values.cast(pa.timestamp("us", values.type.tz), safe=False).cast(pa.int64()))
    earliest = microseconds.min()
    start: datetime = earliest.astype("datetime64[us]").item()
    return (microseconds - earliest) / 1e6, start
