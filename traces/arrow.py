"""Conversions between Arrow and numpy that do not import pandas.

pyarrow's own `pa.array`, `pa.scalar` and `to_numpy` import pandas wherever it is installed, and Stable-Baselines3
installs it: that alone takes ten times as long as reading a trace.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_TYPES = {np.dtype(np.float64): pa.float64(), np.dtype(np.int64): pa.int64(), np.dtype(np.int32): pa.int32()}


def from_numpy(values: NDArray[Any]) -> pa.Array:
    """A float64, int64 or int32 array, [rows], as Arrow; not copied where it is contiguous."""
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(_TYPES[values.dtype], len(values), [None, buffer])


def to_numpy(values: pa.ChunkedArray) -> NDArray[Any]:
    """A numeric column without nulls as numpy, [rows]; read-only where it is in one chunk."""
    parts = [np.from_dlpack(chunk) for chunk in values.chunks if len(chunk)]
    if len(parts) == 1:
        return parts[0]
    empty: NDArray[Any] = np.empty(0, np.int64 if pa.types.is_integer(values.type) else np.float64)
    return np.concatenate(parts) if parts else empty


def is_null(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Which cells are empty, [rows] bool."""
    return to_numpy(pc.is_null(values).cast(pa.int8())).astype(np.bool_)


def filled(values: pa.ChunkedArray, default: NDArray[Any]) -> NDArray[Any]:
    """A float64 or int64 column as numpy, [rows], with the cell of `default` (rows,) where it is null."""
    if not values.null_count:
        return to_numpy(values)
    # Not fill_null: it makes a scalar, which imports pandas.
    return to_numpy(pc.coalesce(values, pa.chunked_array([from_numpy(default)])))


def nullable(values: NDArray[Any], present: NDArray[np.bool_]) -> pa.Array:
    """A float64, int64 or int32 array, [rows], as Arrow; null where `present` (rows,) is False."""
    bitmap = pa.py_buffer(np.packbits(present, bitorder="little"))
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(_TYPES[values.dtype], len(values), [bitmap, buffer])


def strings(values: Sequence[str]) -> pa.Array:
    """Strings as Arrow, [rows]."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(encoded), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))])


def labels(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    """The prefix followed by each number, [rows] string."""
    if len(numbers) and numbers.min() >= 0 and numbers.max() < len(numbers) // 2:  # each text made once
        return labels(prefix, np.arange(int(numbers.max()) + 1)).take(from_numpy(numbers))
    nothing = from_numpy(np.zeros(len(numbers), np.int64))
    start, separator = strings([prefix]).take(nothing), strings([""]).take(nothing)
    return pc.binary_join_element_wise(start, from_numpy(numbers).cast(pa.string()), separator)
