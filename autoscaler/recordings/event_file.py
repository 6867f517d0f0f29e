"""Event logs of `autoscaler simulate --events`, as recordings of one policy without sums and signals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from autoscaler.recordings.event_log import LogReader, columns_of
from autoscaler.recordings.simulated import name_nodes
from envs.gpu_cluster.simulator import EVENT_SCHEMA
from envs.recording import SHARED, TABLES, Batch, Head, RecordingError, Track, check_columns

ROWS = 65_536
"""Of a batch."""


class EventFile:
    """Reads a whole file once; which jobs wait is not in it, as a log says nothing of submissions.

    Args:
        path: of a Parquet file.

    Attributes:
        head: of the recording.

    Raises:
        RecordingError: it is no event log of this version.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._log = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise RecordingError(f"{path}: is no Parquet file ({error})") from error
        facts = {name.decode(): value.decode() for name, value in (self._log.schema.metadata or {}).items()}
        if not self._log.schema.equals(EVENT_SCHEMA) or not {"policy", "pools", "trace"} <= set(facts):
            raise RecordingError(
                f"{path}: is no event log of this version; write one with `autoscaler simulate --events`"
            )
        self.head = _head(path.name, facts, self._log)
        self._is_read = False

    def news(self) -> Iterator[Batch]:
        """All of it at the first call."""
        if self._is_read:
            return
        self._is_read = True
        track = self.head.tracks[0].name
        rows = LogReader().read(self._log)
        yield from _batches(SHARED, "nodes", name_nodes(self.head.pools))
        for table, found in (("node_states", rows.node_states), ("jobs", rows.jobs), ("decisions", rows.decisions)):
            yield from _batches(track, table, columns_of(found, list(TABLES[table])))


def _head(name: str, facts: Mapping[str, str], log: pa.Table) -> Head:
    times = log.column("time_ms")
    return Head(
        kind="cluster",
        title=f"{name}: {facts['policy']} on {facts['trace']}",
        tracks=(Track("run", facts["policy"]),),
        start_seconds=times[0].as_py() / 1000.0 if len(times) else 0.0,
        end_seconds=times[-1].as_py() / 1000.0 if len(times) else 0.0,
        finished=True,
        start_time=facts.get("start_time"),
        source={"trace": facts["trace"]},
        pools=tuple(json.loads(facts["pools"])),
    )


def _batches(track: str, table: str, columns: Mapping[str, Any]) -> Iterator[Batch]:
    whole = check_columns(table, columns)
    for first in range(0, whole.num_rows, ROWS):
        yield Batch(track, table, whole.slice(first, ROWS))
