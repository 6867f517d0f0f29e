"""One trace of several files: clusters that run side by side, or parts of one log."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traces.arrow import from_numpy, strings
from traces.errors import TraceValueError
from traces.schema import SCHEMA
from traces.trace import Trace

TIMES = ("submit_time_seconds", "latest_start_seconds", "deadline_seconds")
"""Columns of a trace that are moments, seconds from second 0."""


def merge(parts: Mapping[str, Trace]) -> Trace:
    """The jobs of all parts on one clock, with ids `part/id`; the group is the part where the data set has none.

    The order of the parts does not matter.

    Args:
        parts: name -> trace.

    Raises:
        TraceValueError: some parts know the wall-clock time of their second 0 and others do not.
    """
    names = sorted(parts)
    starts = {name: parts[name].metadata.start_time for name in names}
    known = [start for start in starts.values() if start is not None]
    if known and len(known) != len(names):
        dated, other = next(n for n in names if starts[n]), next(n for n in names if not starts[n])
        problem = "cannot be put on one clock; merge files of one kind"
        raise TraceValueError(f"{dated} has dates and {other} only seconds from its start: they {problem}")
    zero = min(known, default=None)
    tables = []
    for name in names:
        start = starts[name]
        shift = 0.0 if start is None or zero is None else (start - zero).total_seconds()
        tables.append(_named(parts[name].table, name, shift))
    table = pa.concat_tables(tables)
    first = parts[names[0]].metadata
    metadata = replace(
        first,
        source=f"{first.source}, {len(names)} files",
        start_time=zero,
        dropped=_sum([parts[name].metadata.dropped for name in names]),
        bad_rows=_sum([parts[name].metadata.bad_rows for name in names]),
    )
    return Trace.from_columns({name: table.column(name) for name in SCHEMA.names}, metadata=metadata)


def moved(table: pa.Table, shift: Any) -> pa.Table:
    """The table with all moments later by seconds, a number or [jobs] float64."""
    shifts = pa.chunked_array([from_numpy(np.broadcast_to(np.asarray(shift, np.float64), table.num_rows))])
    for name in TIMES:
        index = table.column_names.index(name)
        table = table.set_column(index, table.schema.field(name), pc.add(table[name], shifts))
    return table


def renamed(table: pa.Table, column: str, prefix: Sequence[str], suffix: Sequence[str]) -> pa.Table:
    """The table with a text before and after each value of a column of strings; null stays null."""
    separator = strings([""] * table.num_rows)
    values = pc.binary_join_element_wise(strings(prefix), table[column], strings(suffix), separator)
    return table.set_column(table.column_names.index(column), table.schema.field(column), values)


def _named(table: pa.Table, name: str, shift: float) -> pa.Table:
    count = table.num_rows
    table = renamed(table, "job_id", [f"{name}/"] * count, [""] * count)
    if table["group"].null_count == count:
        table = table.set_column(
            table.column_names.index("group"), table.schema.field("group"), strings([name] * count)
        )
    return moved(table, shift) if shift else table


def _sum(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)
