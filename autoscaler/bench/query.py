"""SQL over the results of a grid, by DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from autoscaler.bench.errors import BenchError
from autoscaler.bench.store import RESULTS
from autoscaler.evaluation.tables import Table

SCHEMA = "autoscaler.results/1"

MOST_COLUMNS, MOST_RECORDS = 16, 4
"""More columns than a line has room for are shown one below the other, of so many rows."""


class Answer(NamedTuple):
    """What a query found.

    Attributes:
        columns: their names.
        rows: a value for each column.
    """

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def document(self) -> dict[str, Any]:
        """What `autoscaler results --json` writes, see docs/json.md."""
        return {"schema": SCHEMA, "columns": self.columns, "rows": [list(row) for row in self.rows]}

    def table(self) -> Table:
        """For humans: rows as rows, or as columns where there are too many columns for a line."""
        rows = [[_text(value) for value in row] for row in self.rows]
        if len(self.columns) <= MOST_COLUMNS:
            return Table("", self.columns, rows)
        shown = rows[:MOST_RECORDS]
        left = f", the first {len(shown)} are here; --json has all" if len(shown) < len(rows) else ""
        header = ["column", *(f"row {number}" for number in range(1, len(shown) + 1))]
        return Table(
            f"{len(rows)} rows{left}", header, [list(cells) for cells in zip(self.columns, *shown, strict=True)]
        )


def query(sql: str, folder: str | Path) -> Answer:
    """Ask the results of a grid.

    Args:
        sql: one statement; the table is called `results`.
        folder: of `autoscaler bench run`, or a Parquet file.

    Raises:
        BenchError: there are no results, or the statement is not valid.
    """
    path = Path(folder) / RESULTS if Path(folder).is_dir() else Path(folder)
    if not path.is_file():
        raise BenchError(f"{path}: there is no such file; make it with `autoscaler bench run --out {folder}`")
    with duckdb.connect() as connection:
        try:
            connection.read_parquet(str(path)).create_view("results")
            found = connection.execute(sql)
            columns = [str(column[0]) for column in found.description or []]
            return Answer(columns, found.fetchall() if columns else [])
        except duckdb.Error as error:
            reason = " ".join(str(error).partition("\n\n")[0].split())
            raise BenchError(f"{reason} (the table is `results`; `describe results` lists its columns)") from error


def _text(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else "" if value is None else str(value)
