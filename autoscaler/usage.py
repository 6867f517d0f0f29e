"""Who used what of a run: `envs.gpu_cluster.simulator.Usage` with the names of jobs, users, groups and pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv

from autoscaler.evaluation.formats import number, percent
from autoscaler.evaluation.tables import Table
from configs.files import OutputFileError, atomic_path, check_output_file
from envs.gpu_cluster.simulator import USAGE_COLUMNS, Usage
from traces.trace import Trace

SUFFIXES = (".csv", ".parquet")
MOST_SHOWN = 10
SEPARATOR = ";"
UNATTRIBUTED = "unattributed"

_SHOWN = {
    "GPU-hours": ("gpu_hours", 1.0),
    "kWh": ("kwh", 1.0),
    "own kWh": ("own_kwh", 1.0),
    "energy, USD": ("energy_usd", 1.0),
    "carbon, kg": ("carbon_g", 1e-3),
    "delay, USD": ("delay_usd", 1.0),
    "all, USD": ("total_usd", 1.0),
}
"""Heading of a table for humans -> the column, and the factor of its unit."""


def check_usage_file(path: str | Path) -> None:
    """Refuse a file for the usage that could not be written, before the run.

    Raises:
        OutputFileError: its name ends otherwise than a table's, or it could not be written.
    """
    if Path(path).suffix not in SUFFIXES:
        raise OutputFileError(f"{path}: usage is written as CSV or Parquet; end the name in .csv or .parquet")
    check_output_file(path)


@dataclass(frozen=True, slots=True, eq=False)
class NamedUsage:
    """What a run spent, by job, user, group and pool.

    Attributes:
        jobs: [J + U rows], in the order of the trace: `trace_row`, `job_id`, `user`, `group`, `pools` (names, with `;`
            between them), and what `USAGE_COLUMNS` names. The last U rows have neither a job nor a user: what a pool
            without any job spent.
        by_user: a row for each user with jobs, most energy first; null: jobs whose user is not known.
        by_group: likewise of groups.
        by_pool: a row for each pool, in their order, with what is unattributed; null: jobs that have held no GPU.
        unattributed: the sum of what no job has, by the names of `USAGE_COLUMNS`.
    """

    jobs: pa.Table
    by_user: list[dict[str, Any]]
    by_group: list[dict[str, Any]]
    by_pool: list[dict[str, Any]]
    unattributed: dict[str, float]

    def document(self) -> dict[str, Any]:
        """The section `usage` of JSON documents, see docs/json.md."""
        return {
            "by_user": self.by_user,
            "by_group": self.by_group,
            "by_pool": self.by_pool,
            UNATTRIBUTED: self.unattributed,
        }

    def table(self) -> Table:
        """The ten users with most energy for humans; groups, or else pools, where no user is known."""
        known = (("user", self.by_user), ("group", self.by_group), ("pool", self.by_pool))
        kind, rows = next(((kind, rows) for kind, rows in known if any(row[kind] for row in rows)), known[-1])
        total, rows = sum(row["kwh"] for row in self.by_pool), sorted(rows, key=lambda row: -float(row["kwh"]))
        shown = [
            [row[kind] or "not known", percent(row["kwh"] / total if total else 0.0), *_texts(row)]
            for row in rows[:MOST_SHOWN]
        ]
        title = f"energy by {kind}, the most {len(shown)} of {len(rows):,}"
        return Table(title, [kind, "share", *_SHOWN], shown)

    def write(self, path: str | Path) -> None:
        """Write the rows of the jobs as CSV or Parquet, by the suffix; the file appears whole or not at all.

        Raises:
            OutputFileError: it cannot be written.
        """
        with atomic_path(path) as temporary:
            if Path(path).suffix == ".csv":
                csv.write_csv(self.jobs, str(temporary))
            else:
                pq.write_table(self.jobs, temporary, compression="zstd")


def name_usage(usage: Usage, trace: Trace, pools: Sequence[str]) -> NamedUsage:
    """The usage of a run with names.

    Args:
        usage: of the run.
        trace: its jobs.
        pools: names of its pools.
    """
    nobody = usage.job < 0
    own = usage.sums(usage.job, trace.num_jobs)
    kept = {name: np.append(own[name], values[nobody]) for name, values in usage.columns.items()}
    rest = int(nobody.sum())
    names = {
        "trace_row": pa.array([*range(trace.num_jobs), *[None] * rest], pa.int64()),
        **{name: _with_nulls(trace.table.column(name), rest) for name in ("job_id", "user", "group")},
        "pools": pa.array([*_pools_of(usage, trace.num_jobs, pools), *(pools[pool] for pool in usage.pool[nobody])]),
    }
    return NamedUsage(
        jobs=pa.table({**names, **{name: pa.array(kept[name]) for name in USAGE_COLUMNS}}),
        by_user=_by_owner(usage, trace, "user"),
        by_group=_by_owner(usage, trace, "group"),
        by_pool=_rows(usage, np.where(usage.pool < 0, len(pools), usage.pool), "pool", pools),
        unattributed={name: float(usage.columns[name][nobody].sum()) for name in USAGE_COLUMNS},
    )


def _with_nulls(column: pa.ChunkedArray, rows: int) -> pa.ChunkedArray:
    return pa.chunked_array([*column.chunks, pa.nulls(rows, column.type)], column.type)


def _pools_of(usage: Usage, num_jobs: int, pools: Sequence[str]) -> list[str | None]:
    """Names of the pools that each job was in, in one text; None: it never ran."""
    texts: NDArray[np.object_] = np.full(num_jobs, None, np.object_)
    for pool, name in enumerate(pools):
        jobs = usage.job[(usage.pool == pool) & (usage.job >= 0)]
        texts[jobs] = [name if text is None else text + SEPARATOR + name for text in texts[jobs]]
    return list(texts)


def _by_owner(usage: Usage, trace: Trace, kind: str) -> list[dict[str, Any]]:
    """The sums of each user, or group, most energy first."""
    owners, codes = trace.codes(kind)
    owner = np.append(codes, -1)[usage.job]
    owner[owner < 0] = len(owners)
    owner[usage.job < 0] = -1
    return sorted(_rows(usage, owner, kind, owners), key=lambda row: -float(row["kwh"]))


def _rows(usage: Usage, group: NDArray[np.int64], kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """The sums of each group by name; those of rows of no name last, where there are any."""
    all_names: list[str | None] = [*names, None]
    sums = usage.sums(group, len(all_names))
    present = all_names if (group == len(names)).any() else names
    return [
        {kind: owner, **{name: float(sums[name][index]) for name in USAGE_COLUMNS}}
        for index, owner in enumerate(present)
    ]


def _texts(row: dict[str, Any]) -> list[str]:
    return [number(row[name] * factor) for name, factor in _SHOWN.values()]
