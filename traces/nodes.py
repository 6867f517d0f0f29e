"""The `Nodes`: the machines of a GPU cluster, as one validated Arrow table."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces.arrow import to_numpy
from traces.errors import TraceValueError
from traces.validation import Origin, check_present, check_unique, first

NODE_SCHEMA = pa.schema(
    [
        pa.field("node_id", pa.string(), nullable=False),
        pa.field("gpu_model", pa.string(), nullable=False),
        pa.field("gpus", pa.int64(), nullable=False),
        pa.field("cpu_milli", pa.int64(), nullable=False),
        pa.field("memory_mib", pa.int64(), nullable=False),
    ]
)
"""Arrow schema of `Nodes.table`; the columns are described in `Nodes`."""


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Machines in the order of their file. Build one with `traces.load_nodes(uri)` or `Nodes.from_table`.

    Attributes:
        table: One row per node, no nulls: node_id (string, unique), gpu_model (string), gpus (int64, > 0),
            cpu_milli (int64, > 0, thousandths of a core), memory_mib (int64, > 0, MiB).
        source: The data set, for humans.
        licence: Licence of the data.
    """

    table: pa.Table
    source: str = "unknown"
    licence: str = "unknown"

    @classmethod
    def from_table(cls, table: pa.Table, *, origin: Origin, source: str, licence: str) -> Self:
        """Return the nodes of a table with the columns of `NODE_SCHEMA`, validated.

        Raises:
            TraceValueError: Names the row, the column, the value and the mend.
        """
        for name in NODE_SCHEMA.names:
            check_present(table.column(name), name, origin)
        check_unique(table.column("node_id"), "node_id", origin)
        for name in ("gpus", "cpu_milli", "memory_mib"):
            values = to_numpy(table.column(name))
            index = first(values <= 0)
            if index is not None:
                raise origin.error(index, name, f"{values[index]} is not above 0; remove nodes that have none")
        if not table.num_rows:
            raise TraceValueError(f"{origin.name}: no node in the file; check that it is the right file")
        return cls(table.select(NODE_SCHEMA.names).cast(NODE_SCHEMA).combine_chunks(), source, licence)

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return int(self.table.num_rows)

    @property
    def gpus(self) -> NDArray[np.int64]:
        """GPUs of each node, int64, shape (nodes,); read-only."""
        values: NDArray[np.int64] = to_numpy(self.table.column("gpus"))
        return values

    @property
    def total_gpus(self) -> int:
        """GPUs of all nodes."""
        return int(self.gpus.sum())
