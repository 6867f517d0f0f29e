"""`autoscaler results`: ask the results of `autoscaler bench run` in SQL."""

from __future__ import annotations

from typing import Annotated

import typer

from autoscaler.cli._common import JsonOption
from autoscaler.cli._table import show


def command(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement; the table is called results.")],
    out: Annotated[
        str, typer.Option("--out", metavar="FOLDER", help="Folder of `bench run`, or a Parquet file.")
    ] = "runs/bench",
    json_to: JsonOption = None,
) -> None:
    """Ask the results of `autoscaler bench run` in SQL (DuckDB).

    A row is a policy with a seed on a window of a scenario; `describe results` lists the columns. For example:
    autoscaler results "select policy, avg(objective_usd / bound_usd) from results group by all order by 2"
    """
    from autoscaler.bench.query import query

    answer = query(sql, out)
    show(answer.document(), [answer.table()], json_to)
