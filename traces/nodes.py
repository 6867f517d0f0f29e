"""The `Nodes`: the machines of a GPU cluster, as one validated Arrow table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces.arrow import filled, to_numpy
from traces.errors import TraceValueError
from traces.trace import describe_bad_rows
from traces.validation import Origin, Violation, Violations, check, present, unique

NODE_SCHEMA = pa.schema(
    [
        pa.field("node_id", pa.string(), nullable=False),
        pa.field("gpu_model", pa.string(), nullable=False),
        pa.field("gpus", pa.int64(), nullable=False),
        pa.field("cpu_milli", pa.int64()),
        pa.field("memory_mib", pa.int64()),
        pa.field("switches", pa.list_(pa.string())),
    ]
)
"""Arrow schema of `Nodes.table`; the columns are described in `Nodes`."""


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Machines in the order of their file. Build one with `traces.load_nodes(uri)` or `Nodes.from_table`.

    Attributes:
        table: one row per node: node_id (string, unique), gpu_model (string), gpus (int64, > 0). Null where it is not
            known: cpu_milli (int64, > 0, thousandths of a core), memory_mib (int64, > 0, MiB), and switches
            (list<string>), which are those on the way from the node to the core of its network, the nearest first.
        source: the data set, for humans.
        licence: licence of the data.
        bad_rows: reason -> number of rows of the original file that cannot be used and were left out.
    """

    table: pa.Table
    source: str = "unknown"
    licence: str = "unknown"
    bad_rows: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_table(
        cls, table: pa.Table, *, origin: Origin, source: str, licence: str, bad_rows: Mapping[str, int] | None = None
    ) -> Self:
        """The nodes of a table with the columns of `NODE_SCHEMA`, validated.

        Args:
            table: the columns, by name; one that may be null may be missing.
            origin: file, rows and column names for messages.
            source: the data set, for humans.
            licence: licence of the data.
            bad_rows: reason -> rows of the file that were left out.

        Raises:
            TraceValueError: names the row, the column, the value and the fix.
        """
        for rules in NODE_RULES:
            check(rules(table, origin), origin)
        if not table.num_rows:
            raise TraceValueError(f"{origin.name}: no node in the file; check that it is the right file")
        for column in NODE_SCHEMA:
            if column.name not in table.column_names:
                table = table.append_column(column, pa.nulls(table.num_rows, column.type))
        return cls(table.select(NODE_SCHEMA.names).cast(NODE_SCHEMA).combine_chunks(), source, licence, bad_rows or {})

    @property
    def bad_rows_text(self) -> str:
        """The rows that were left out, as one line; empty where there are none."""
        return describe_bad_rows(self.bad_rows)

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return int(self.table.num_rows)

    @property
    def gpus(self) -> NDArray[np.int64]:
        """GPUs of each node, [nodes] int64; read-only."""
        values: NDArray[np.int64] = to_numpy(self.table.column("gpus"))
        return values

    @property
    def switch_counts(self) -> tuple[int, ...]:
        """Switches of each layer of the network, from the nodes to the core; empty where they are not known."""
        paths = [path for path in self.table["switches"].to_pylist() if path]
        return tuple(len(set(layer)) for layer in zip(*paths, strict=True))

    @property
    def total_gpus(self) -> int:
        """GPUs of all nodes."""
        return int(self.gpus.sum())


def _required_values(table: pa.Table, _origin: Origin) -> Violations:
    for column in NODE_SCHEMA:
        if not column.nullable:
            yield from present(table[column.name], column.name)


def _invariants(table: pa.Table, origin: Origin) -> Violations:
    yield from unique(table["node_id"], "node_id", origin)
    for name in ("gpus", "cpu_milli", "memory_mib"):
        if name in table.column_names:
            yield from _above_zero(filled(table[name], np.ones(table.num_rows, np.int64)), name)


def _above_zero(values: NDArray[np.int64], column: str) -> Violations:
    fix = "is not above 0; remove nodes that have none"
    yield Violation(column, values <= 0, "is not above 0", lambda index: f"{values[index]} {fix}")


NODE_RULES: tuple[Callable[[pa.Table, Origin], Violations], ...] = (_required_values, _invariants)
"""The rules of a table of nodes, in the order in which they can be checked."""
