"""Rows of a recording as the page reads them: one binary frame a batch.

A frame is 4 bytes with the length of its header (little-endian), the header as JSON, padded with spaces so that both
end at a multiple of 8 bytes, and the columns, each at a multiple of 8 bytes from there. The browser makes typed arrays
of them without copying. Text is a column of int32, positions in the list `strings` of that column.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from envs.recording import Batch

_TYPES = {pa.float64(): "f64", pa.float32(): "f32", pa.int32(): "i32", pa.uint8(): "u8"}


def encode_frame(batch: Batch) -> bytes:
    """A batch as a frame."""
    columns, bodies, offset = [], [], 0
    for item, column in zip(batch.rows.schema, batch.rows.columns, strict=True):
        about: dict[str, object] = {"name": item.name, "offset": offset}
        if pa.types.is_string(item.type):
            encoded = column.dictionary_encode()
            about |= {"type": "text", "strings": encoded.dictionary.to_pylist()}
            values = encoded.indices.to_numpy()
        else:
            about["type"] = _TYPES[item.type]
            values = column.to_numpy()
        body = np.ascontiguousarray(values).tobytes()
        body += bytes(-len(body) % 8)
        columns.append(about)
        bodies.append(body)
        offset += len(body)
    header = {"track": batch.track, "table": batch.table, "rows": batch.rows.num_rows, "columns": columns}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return b"".join([len(text).to_bytes(4, "little"), text, *bodies])
