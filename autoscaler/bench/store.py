"""The folder of a grid: one file for each finished task, so that a kill loses only what runs, and one table of all.

tasks/<key>.json    the rows of a finished task; the file appears whole or not at all
policies/<key>/     the run folder of an agent that was trained within its task
results.parquet     the rows of all tasks whose scenario and code are still the same
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from autoscaler.bench.errors import BenchError
from autoscaler.bench.fingerprints import code_digest
from autoscaler.bench.tasks import Row
from configs.files import atomic_path, write_text

RESULTS = "results.parquet"
TEXTS = ("key", "code", "scenario", "fingerprint", "policy", "kind", "settings")
COUNTS = ("version", "seed", "window", "learning_steps")


class Store:
    """Results on disk.

    Args:
        folder: of the grid; made where it is missing.

    Attributes:
        results: the path of the table.
        policies: the folder of trainings.

    Raises:
        BenchError: the folder cannot be made.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._tasks = self._folder / "tasks"
        self.policies = self._folder / "policies"
        self.results = self._folder / RESULTS
        try:
            self._tasks.mkdir(parents=True, exist_ok=True)
            self.policies.mkdir(exist_ok=True)
        except OSError as error:
            raise BenchError(f"--out {folder}: cannot be made ({error.strerror}); choose another folder") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep the folder for one process: two would train the same agents.

        Raises:
            BenchError: another process has it.
        """
        with (self._folder / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise BenchError(
                    f"--out {self._folder}: another `bench run` uses it; wait, or choose another folder"
                ) from error
            yield

    def read(self, key: str) -> list[Row] | None:
        """The rows of a finished task; None: it has not finished."""
        path = self._tasks / f"{key}.json"
        if not path.is_file():
            return None
        try:
            rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BenchError(f"{path}: is damaged ({error}); remove it, and its task runs again") from error
        return rows

    def write(self, key: str, rows: Sequence[Row]) -> None:
        """Keep the rows of a task that has finished.

        Raises:
            OutputFileError: they cannot be written.
        """
        write_text(self._tasks / f"{key}.json", json.dumps(rows) + "\n")  # NaN stays NaN: Python reads it back

    def write_results(self, fingerprints: Mapping[str, str], asked: set[str]) -> pa.Table:
        """Write the table of all finished tasks whose scenario and code have not changed.

        Args:
            fingerprints: of the scenarios that are known, by name.
            asked: keys of the tasks of this run: of two versions of a policy, such as a run that went on, these count.

        Raises:
            OutputFileError: it cannot be written.
        """
        found: dict[tuple[str, str, int], list[Row]] = {}
        paths = sorted(self._tasks.glob("*.json"), key=lambda path: (path.stem in asked, path.stat().st_mtime))
        for path in paths:
            rows = self.read(path.stem) or []
            for row in rows[:1]:
                known = fingerprints.get(row["scenario"]) in (row["fingerprint"], None)
                if known and row["code"] == code_digest():
                    found[row["scenario"], row["policy"], row["seed"]] = rows
        table = _table([row for _, rows in sorted(found.items()) for row in rows])
        with atomic_path(self.results) as temporary, temporary.open("wb") as stream:
            pq.write_table(table, stream, compression="zstd")
        return table


def _table(rows: Sequence[Row]) -> pa.Table:
    """Rows as columns; measures that only some rows have are null elsewhere."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(TEXTS)
    kinds = {**dict.fromkeys(TEXTS, pa.string()), **dict.fromkeys(COUNTS, pa.int64())}
    columns = {name: pa.array([row.get(name) for row in rows], kinds.get(name, pa.float64())) for name in names}
    return pa.table(columns)


def read_results(folder: str | Path) -> pa.Table:
    """The table of a grid.

    Raises:
        BenchError: there is none, or it has no rows.
        TraceFileError: it is damaged.
    """
    from traces.files import read_parquet

    path = Path(folder) / RESULTS
    if not path.is_file():
        raise BenchError(f"{path}: there is no such file; make it with `autoscaler bench run --out {folder}`")
    table = read_parquet(str(path))
    if not table.num_rows:
        raise BenchError(f"{path}: has no results; run `autoscaler bench run --out {folder}` again")
    return table
