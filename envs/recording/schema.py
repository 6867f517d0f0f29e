"""The schema of a recording: its head, and the columns of its tables.

Tables hold change rows: a row holds from its time on, until the next row of the same subject. Their numbers are of the
kinds that a browser reads without copying, so there are no integers of 64 bits; times are seconds as float64, which is
exact to the millisecond for as long as any trace lasts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from configs.errors import UserError, did_you_mean

SCHEMA = "autoscaler.recording/1"
KINDS = ("cluster", "city", "functions", "training")
SHARED = ""
"""The track of what is the same for every policy."""

NODE_STATES = ("off", "booting", "idle", "busy", "draining", "failed", "gone", "suspended")
"""States of a node, by number."""
JOB_EVENTS = ("submit", "start", "end", "preempt", "suspend", "resume", "resize", "cancel")
"""What happens to a job, by number."""

_F64, _F32, _I32, _U8, _TEXT = pa.float64(), pa.float32(), pa.int32(), pa.uint8(), pa.string()
TIME = "time_seconds"

TABLES: dict[str, dict[str, pa.DataType]] = {
    "samples": {
        TIME: _F64, "kwh": _F64, "grams": _F64, "usd": _F64, "waited_gpu_hours": _F64, "mean_wait_seconds": _F64,
        "watts": _F32, "used_gpus": _F32, "waiting_gpus": _F32, "waiting": _I32, "running": _I32, "finished": _I32,
        "slo_missed": _I32,
    },
    "signals": {TIME: _F64, "zone": _I32, "grams_per_kwh": _F32, "usd_per_kwh": _F32},
    "decisions": {TIME: _F64, "pool": _I32, "before": _I32, "target": _I32, "reason": _TEXT},
    "reasons": {TIME: _F64, "subject": _TEXT, "id": _I32, "rule": _TEXT, "text": _TEXT},
    "nodes": {"node": _I32, "pool": _I32, "name": _TEXT},
    "node_states": {TIME: _F64, "node": _I32, "state": _U8, "used_gpus": _F32},
    "jobs": {TIME: _F64, "job": _I32, "event": _U8, "node": _I32, "gpus": _F32},
    "job_names": {"job": _I32, "name": _TEXT},
    "roads": {"x1": _F32, "y1": _F32, "x2": _F32, "y2": _F32, "kind": _U8},
    "sites": {
        "site": _I32, "name": _TEXT, "x": _F32, "y": _F32, "zone": _I32, "cpu_cores": _F32, "memory_gb": _F32,
        "gpus": _F32,
    },
    "site_states": {
        TIME: _F64, "site": _I32, "on": _U8, "cpu_cores": _F32, "memory_gb": _F32, "gpus": _F32, "watts": _F32,
        "pulling": _I32, "starting": _I32, "warm": _I32, "busy": _I32, "queue": _I32,
    },
    "containers": {TIME: _F64, "container": _I32, "site": _I32, "service": _I32, "state": _U8},
    "users": {TIME: _F64, "user": _I32, "x": _F32, "y": _F32},
    "links": {TIME: _F64, "user": _I32, "site": _I32, "latency_ms": _F32},
    "curve": {"step": _F64, "name": _TEXT, "value": _F64},
}  # fmt: skip
"""Columns of each table with their types; docs/dashboard.md says what they mean. One without a time does not change."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
Columns = Mapping[str, Any]
"""Column -> its values, [rows]: an array, or a sequence."""


class RecordingError(UserError, ValueError):
    """A recording that cannot be read or written, or rows that do not fit its schema."""


@dataclass(frozen=True, slots=True)
class Track:
    """What one policy did.

    Attributes:
        name: also of its folder: letters, digits, dots, dashes and underscores.
        title: for humans; empty: the name.
        reference: whether totals of the others are compared with this one.
    """

    name: str
    title: str = ""
    reference: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """What a reader needs before the first row.

    Attributes:
        kind: "cluster", "city", "functions", or "training" for the learning curve of a run.
        title: one line.
        tracks: the policies; they share one clock.
        start_seconds: where the clock begins.
        end_seconds: where it ends; None: not known yet.
        finished: whether nothing will be added.
        start_time: local wall-clock time of second 0, ISO 8601; None: not known.
        source: where it comes from: `command`, `trace`, `version`, `note`, as far as known.
        zones: names of the zones (regions) that have signals, by number.
        pools: of a cluster, by number: `name`, `gpu_model`, `gpus_per_node`, `min_nodes`, `max_nodes`, `boot_seconds`,
            `zone`; of a simulated one also `first_node`.
        services: names of the kinds of containers, by number.
        map: of a city: `longitude` and `latitude` of its origin, from which x and y count in metres.
        attribution: whose data are shown, a line each.
        schema: name and version of this schema.
    """

    kind: str
    title: str
    tracks: tuple[Track, ...]
    start_seconds: float = 0.0
    end_seconds: float | None = None
    finished: bool = False
    start_time: str | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    zones: tuple[str, ...] = ()
    pools: tuple[Mapping[str, Any], ...] = ()
    services: tuple[str, ...] = ()
    map: Mapping[str, float] = field(default_factory=dict)
    attribution: tuple[str, ...] = ()
    schema: str = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise RecordingError(f"the recording has schema {self.schema!r}, this version reads {SCHEMA!r}")
        if self.kind not in KINDS:
            raise RecordingError(f"kind of the recording is {self.kind!r}{did_you_mean(self.kind, KINDS)}")
        names = [track.name for track in self.tracks]
        for name in names:
            if not NAME.fullmatch(name) or name == "shared":
                raise RecordingError(f"{name!r} is no name of a track; use letters, digits, dots, dashes, underscores")
            if names.count(name) > 1:
                raise RecordingError(f"two tracks are called {name!r}; give one another name")

    def to_json(self) -> str:
        """The head as JSON."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Head:
        """The head that `to_json` wrote.

        Args:
            text: the JSON.
            where: what to call it in messages.

        Raises:
            RecordingError: it is damaged or of another version.
        """
        try:
            values = json.loads(text)
            values["tracks"] = tuple(Track(**track) for track in values["tracks"])
            for name in ("zones", "pools", "services", "attribution"):
                values[name] = tuple(values.get(name, ()))
            return cls(**values)
        except RecordingError as error:
            raise RecordingError(f"{where}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RecordingError(f"{where}: is no head of a recording ({error}); the recording is damaged") from error


def arrow_schema(table: str) -> pa.Schema:
    """The columns of a table.

    Raises:
        RecordingError: there is no such table.
    """
    if table not in TABLES:
        raise RecordingError(f"a recording has no table {table!r}{did_you_mean(table, TABLES)}")
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in TABLES[table].items()])


def check_columns(table: str, columns: Columns) -> pa.RecordBatch:
    """Rows as a batch of their table.

    Args:
        table: its name.
        columns: every column of the table, of one length.

    Raises:
        RecordingError: a column is missing or unknown, has another length or kind, or times fall.
    """
    schema = arrow_schema(table)
    for name in columns:
        if name not in schema.names:
            raise RecordingError(f"table {table} has no column {name!r}{did_you_mean(name, schema.names)}")
    missing = [name for name in schema.names if name not in columns]
    if missing:
        raise RecordingError(f"table {table} needs the column {missing[0]!r}")
    arrays = [_column(table, item, columns[item.name]) for item in schema]
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise RecordingError(f"table {table}: its columns have {sorted(lengths)} rows; give as many of each")
    if TIME in schema.names and (np.diff(np.asarray(columns[TIME], np.float64)) < 0).any():
        raise RecordingError(f"table {table}: times fall; add rows in the order of their time")
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _column(table: str, item: pa.Field, values: Any) -> pa.Array:
    try:
        if pa.types.is_string(item.type):
            return pa.array([str(value) for value in values], item.type)
        return pa.array(np.ascontiguousarray(values).astype(item.type.to_pandas_dtype(), casting="unsafe"), item.type)
    except (ValueError, TypeError, pa.ArrowInvalid) as error:
        raise RecordingError(f"table {table}, column {item.name}: is no {item.type} ({error})") from error
