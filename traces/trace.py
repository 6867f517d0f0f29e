"""The `Trace`: jobs that users submitted to a GPU cluster, as one validated Arrow table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces.arrow import filled, to_numpy
from traces.errors import TraceValueError
from traces.files import read_parquet, write_parquet
from traces.schema import REQUIRED, SCHEMA, Column, make_table
from traces.validation import Origin
from traces.words import counted

NO_DEADLINE: Final = 2**62
"""`Trace.deadline_milliseconds` of a job without a deadline, milliseconds: after every time of a trace."""

_METADATA_KEY = b"autoscaler.trace"


@dataclass(frozen=True, slots=True)
class TraceMetadata:
    """What is known about a trace as a whole.

    Attributes:
        source: the data set or generator, for humans.
        licence: licence of the data; "unknown" where nobody said.
        start_time: local wall-clock time of second 0, without a time zone; None where unknown.
        dropped: reason -> number of rows of the original file that are not jobs of this trace.
        origin: URI from which the rows were imported first; it survives a copy to Parquet.
        synthetic_columns: columns whose values, some or all, `traces.enrich` generated: they are not measured.
        bad_rows: reason -> number of rows of the original file that cannot be used and were left out.
    """

    source: str = "unknown"
    licence: str = "unknown"
    start_time: datetime | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    origin: str = ""
    synthetic_columns: tuple[str, ...] = ()
    bad_rows: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.start_time is not None and self.start_time.tzinfo is not None:
            fix = "give the local wall-clock time without one"
            raise TraceValueError(f"start_time {self.start_time} has a time zone; {fix}")

    @property
    def bad_rows_text(self) -> str:
        """The rows that were left out, as one line; empty where there are none."""
        return describe_bad_rows(self.bad_rows)

    def to_json(self) -> str:
        """The metadata as one JSON object; `start_time` is ISO 8601."""
        start = None if self.start_time is None else self.start_time.isoformat()
        return json.dumps(
            {
                "source": self.source,
                "licence": self.licence,
                "start_time": start,
                "dropped": dict(self.dropped),
                "origin": self.origin,
                "synthetic_columns": self.synthetic_columns,
                "bad_rows": dict(self.bad_rows),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The metadata that `to_json` wrote.

        Raises:
            TraceValueError: the text is not such an object.
        """
        try:
            values = json.loads(text)
            start = values.pop("start_time")
            synthetic = tuple(values.pop("synthetic_columns", ()))
            start_time = None if start is None else datetime.fromisoformat(start)
            return cls(start_time=start_time, synthetic_columns=synthetic, **values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            problem = f"the trace's metadata cannot be read ({error}); import the trace again"
            raise TraceValueError(problem) from error


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Jobs in the order of their submission. Build one with `traces.load(uri)` or `Trace.from_columns`.

    Attributes:
        table: one row per job, every column of `SCHEMA` in its order, each in one chunk. A `?` marks a
            nullable column: null where the data set does not say. Seconds are trace time, from second 0.

            ===========================  =============  ==================================================
            column                       dtype          meaning, unit, invariant
            ===========================  =============  ==================================================
            job_id                       string         unique
            submit_time_seconds          float64        seconds; finite, >= 0, ascending (equal times keep
                                                        the order of the original file)
            duration_seconds             float64        run time on the GPUs requested, seconds; finite, > 0
            gpu_milli                    int64          GPUs requested by the whole job, in thousandths; > 0.
                                                        Below 1000: a share of one GPU. Else a multiple
                                                        of 1000: whole GPUs, a gang where one node does
                                                        not hold them
            user                         string?        who submitted
            group                        string?        virtual cluster, organisation or team
            gpu_models                   list<string>?  models that the job may run on; null or empty: any
            cpu_milli                    int64?         CPUs requested by the whole job, thousandths of a core
            memory_mib                   int64?         memory requested by the whole job, MiB
            status                       string?        how the job ended, in the words of the data set
            priority                     int64?         higher is more urgent; null: 0; within 32 bits
            predicted_duration_seconds   float64?       the user's estimate of the run time on the GPUs
                                                        requested, seconds; > 0. What a scheduler may know,
                                                        where duration_seconds is the truth
            latest_start_seconds         float64?       the job may be deferred until then, seconds;
                                                        >= submit time. Null: it is to start at once
            deadline_seconds             float64?       by when it should have ended, seconds; > submit
                                                        time. Null: none
            min_gpus                     int64?         fewest whole GPUs on which it runs (elastic); from
                                                        1 to the GPUs requested. Null: those requested
            max_gpus                     int64?         most whole GPUs that it can use; >= the GPUs
                                                        requested. Null: those requested. Both are null where
                                                        a share of one GPU is requested
            workload                     string?        class of the job, such as the name of the network
                                                        that it trains: the key of speeds, scaling and
                                                        power in `traces.curves`; not ""
            checkpoint_interval_seconds  float64?       run time between its checkpoints, seconds; > 0. A
                                                        stop loses at most that much. Null: the job cannot
                                                        be checkpointed, so neither moved nor preempted
            image                        string?        container image, for caches on nodes; not ""
            flexibility                  int64?         what may be done to it while it runs, each tier with those
                                                        below: 0 nothing, 1 its power is capped, 2 its width changes,
                                                        3 it is suspended, moved or preempted. Null: what it can: 3
                                                        with checkpoints, else 2 if elastic, else 1
            energy_kwh                   float64?       measured energy of the job's nodes, kWh; finite, >= 0
            data_gb                      float64?       data that it reads, GB; from 0 to 1e6. Null: 0
            data_region                  string?        the region where these are; not "". Null: everywhere
            ===========================  =============  ==================================================

        uri: the URI that gives this trace again.
        metadata: source, licence, wall-clock time of second 0, dropped rows.
    """

    table: pa.Table
    uri: str = ""
    metadata: TraceMetadata = field(default_factory=TraceMetadata)

    def __post_init__(self) -> None:
        if not self.table.schema.equals(SCHEMA):
            raise TraceValueError("a trace has the columns of SCHEMA in their order; use Trace.from_columns")

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, Column | None],
        *,
        uri: str = "",
        metadata: TraceMetadata | None = None,
        origin: Origin | None = None,
    ) -> Self:
        """The trace of these columns: validated, and sorted by submit time (stable).

        Args:
            columns: name -> [jobs] values, with the names, dtypes and units of `table` above. `submit_time_seconds`,
                `duration_seconds` and `gpu_milli` must be there; without `job_id` it is `job-<row>` with the
                row of the original file; every other column that is missing or None is null.
            uri: the URI that gives this trace again.
            metadata: what is known about the trace as a whole.
            origin: file, rows and column names for messages.

        Raises:
            TraceValueError: there is no such column (with the nearest name), one is missing, or a value breaks an
                invariant: names the row, the column, the value and the fix.
        """
        return cls(table=make_table(columns, origin or Origin()), uri=uri, metadata=metadata or TraceMetadata())

    @property
    def num_jobs(self) -> int:
        """Number of jobs."""
        return int(self.table.num_rows)

    @property
    def first_submit_seconds(self) -> float:
        """Submit time of the first job, seconds; 0.0 in an empty trace."""
        return float(self.submit_time_seconds[0]) if self.num_jobs else 0.0

    @property
    def last_submit_seconds(self) -> float:
        """Submit time of the last job, seconds; 0.0 in an empty trace."""
        return float(self.submit_time_seconds[-1]) if self.num_jobs else 0.0

    @property
    def span_seconds(self) -> float:
        """Seconds from the first to the last submission."""
        return self.last_submit_seconds - self.first_submit_seconds

    @property
    def week_offset_seconds(self) -> float:
        """Seconds from Monday 00:00 local time to second 0; 0.0 where the start time is unknown."""
        start = self.metadata.start_time
        if start is None:
            return 0.0
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        return start.weekday() * 86400.0 + (start - midnight).total_seconds()

    @property
    def submit_time_seconds(self) -> NDArray[np.float64]:
        """Submit times, [jobs] float64, seconds, ascending; read-only."""
        values: NDArray[np.float64] = to_numpy(self.table.column("submit_time_seconds"))
        return values

    @property
    def duration_seconds(self) -> NDArray[np.float64]:
        """Run times, [jobs] float64, seconds, > 0; read-only."""
        values: NDArray[np.float64] = to_numpy(self.table.column("duration_seconds"))
        return values

    @property
    def checkpoint_interval_seconds(self) -> NDArray[np.float64]:
        """Time between checkpoints, [jobs] float64, seconds, > 0; 0.0: it cannot be checkpointed."""
        return self._filled("checkpoint_interval_seconds", np.zeros(self.num_jobs))

    @property
    def submit_milliseconds(self) -> NDArray[np.int64]:
        """Submit times, [jobs] int64, milliseconds, ascending; halves are rounded up."""
        return _milliseconds(self.submit_time_seconds)

    @property
    def duration_milliseconds(self) -> NDArray[np.int64]:
        """Run times, [jobs] int64, milliseconds, at least 1; halves are rounded up."""
        return np.maximum(_milliseconds(self.duration_seconds), 1)

    @property
    def gpu_milli(self) -> NDArray[np.int64]:
        """GPUs requested, [jobs] int64, thousandths of a GPU, > 0; read-only."""
        values: NDArray[np.int64] = to_numpy(self.table.column("gpu_milli"))
        return values

    @property
    def cpu_milli(self) -> NDArray[np.int64]:
        """CPUs requested by whole jobs, [jobs] int64, thousandths of a core; 0 where null."""
        return self._filled("cpu_milli", np.zeros(self.num_jobs, np.int64))

    @property
    def memory_mib(self) -> NDArray[np.int64]:
        """Memory requested by whole jobs, [jobs] int64, MiB; 0 where null."""
        return self._filled("memory_mib", np.zeros(self.num_jobs, np.int64))

    @property
    def priority(self) -> NDArray[np.int64]:
        """Priorities, [jobs] int64, higher is more urgent; 0 where null."""
        return self._filled("priority", np.zeros(self.num_jobs, np.int64))

    @property
    def predicted_duration_milliseconds(self) -> NDArray[np.int64]:
        """Estimates of the run time, [jobs] int64, milliseconds, at least 1; 0 where nobody estimated."""
        return _interval(self._filled("predicted_duration_seconds", np.zeros(self.num_jobs)))

    @property
    def latest_start_milliseconds(self) -> NDArray[np.int64]:
        """Times until which a start may be deferred, [jobs] int64, milliseconds; the submit time where null."""
        return _milliseconds(self._filled("latest_start_seconds", self.submit_time_seconds))

    @property
    def deadline_milliseconds(self) -> NDArray[np.int64]:
        """Times by which jobs should have ended, [jobs] int64, milliseconds; `NO_DEADLINE` where null."""
        values = _milliseconds(self._filled("deadline_seconds", np.full(self.num_jobs, -1.0)))
        return np.where(values < 0, NO_DEADLINE, values)

    @property
    def min_gpu_milli(self) -> NDArray[np.int64]:
        """Fewest GPUs of an elastic job, [jobs] int64, thousandths of a GPU; the GPUs requested where null."""
        return _gpus_or(self._filled("min_gpus", np.zeros(self.num_jobs, np.int64)), self.gpu_milli)

    @property
    def max_gpu_milli(self) -> NDArray[np.int64]:
        """Most GPUs of an elastic job, [jobs] int64, thousandths of a GPU; the GPUs requested where null."""
        return _gpus_or(self._filled("max_gpus", np.zeros(self.num_jobs, np.int64)), self.gpu_milli)

    @property
    def checkpoint_interval_milliseconds(self) -> NDArray[np.int64]:
        """Time between checkpoints, [jobs] int64, milliseconds, at least 1; 0: it cannot be checkpointed."""
        return _interval(self.checkpoint_interval_seconds)

    @property
    def data_mb(self) -> NDArray[np.int64]:
        """Data that jobs read, [jobs] int64, MB, rounded; 0 where null."""
        return np.rint(self._filled("data_gb", np.zeros(self.num_jobs)) * 1000.0).astype(np.int64)

    @property
    def flexibility(self) -> NDArray[np.int64]:
        """Flexibility tiers, [jobs] int64, 0 to 3; where null what the job can, see `table`."""
        is_elastic = (self.min_gpu_milli < self.gpu_milli) | (self.max_gpu_milli > self.gpu_milli)
        can = np.where(self.checkpoint_interval_seconds > 0, 3, np.where(is_elastic, 2, 1))
        return self._filled("flexibility", can)

    def codes(self, column: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """A column of strings as numbers.

        Args:
            column: `user`, `group`, `status`, `workload`, `image` or `data_region`.

        Returns:
            The distinct values, ascending; and the index of each job's value among them, [jobs] int64, -1 where
            null.
        """
        coded = self.table.column(column).combine_chunks().dictionary_encode()
        names = coded.dictionary.to_pylist()
        order = sorted(range(len(names)), key=names.__getitem__)
        rank = np.empty(len(names) + 1, np.int64)
        rank[order], rank[-1] = np.arange(len(names)), -1
        indices = pa.chunked_array([coded.indices.cast(pa.int64())])
        return tuple(names[index] for index in order), rank[filled(indices, np.full(self.num_jobs, -1))]

    def _filled(self, column: str, default: NDArray[Any]) -> NDArray[Any]:
        return filled(self.table.column(column), default)

    @property
    def gpu_hours(self) -> float:
        """Work of all jobs, GPU-hours."""
        return float(np.dot(self.gpu_milli, self.duration_seconds)) / 3.6e6

    def demand(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The GPUs in use over time if no job ever waited, as a step function.

        Returns:
            Times, [2 * jobs] int64, milliseconds, ascending; and the thousandths of a GPU in use from
            each time to the next, int64, same shape. At equal times, jobs end before others start.
        """
        submit = self.submit_milliseconds
        times = np.concatenate([submit + self.duration_milliseconds, submit])
        order = np.argsort(times, kind="stable")
        changes = np.concatenate([-self.gpu_milli, self.gpu_milli])
        return times[order], np.cumsum(changes[order])

    @property
    def peak_gpu_milli(self) -> int:
        """Most thousandths of a GPU in use at once if no job ever waited: the cluster without a queue."""
        return int(self.demand()[1].max()) if self.num_jobs else 0

    def window(self, start_seconds: float | None = None, end_seconds: float | None = None) -> Self:
        """The jobs that were submitted in [start_seconds, end_seconds); their times stay as they are.

        Args:
            start_seconds: first submit time that is in, seconds; None: no bound.
            end_seconds: first submit time that is out, seconds; None: no bound.
        """
        submit = self.submit_time_seconds
        start = 0 if start_seconds is None else int(np.searchsorted(submit, start_seconds, side="left"))
        end = self.num_jobs if end_seconds is None else int(np.searchsorted(submit, end_seconds, side="left"))
        return replace(self, table=self.table.slice(start, max(end - start, 0)).combine_chunks())

    def head(self, count: int) -> Self:
        """The first `count` jobs, all of them where there are fewer."""
        return replace(self, table=self.table.slice(0, count).combine_chunks())

    def to_parquet(self, path: str) -> None:
        """Write the trace and its metadata to `path`; the file appears whole or not at all.

        Raises:
            OutputFileError: the file cannot be written, for example because the disk is full.
        """
        table = self.table.replace_schema_metadata({_METADATA_KEY: self.metadata.to_json().encode()})
        write_parquet(table, path)

    @classmethod
    def read(cls, path: str) -> Self:
        """Read a Parquet file with the columns of `SCHEMA`, required ones at least, and validate it.

        Job ids are made from the rows where the file has none; other columns that it lacks are null.

        Raises:
            TraceFileError: the file is missing or damaged.
            TraceValueError: a column is missing, or a value breaks an invariant.
        """
        table = read_parquet(path)
        known = {name: table.column(name) for name in table.column_names if name in SCHEMA.names}
        missing = [name for name in REQUIRED if name not in known and name != "job_id"]
        if missing:
            has = f"only {', '.join(table.column_names)}"
            raise TraceValueError(f"{path}: no column {missing[0]}, {has}; write it with `autoscaler traces import`")
        text = (table.schema.metadata or {}).get(_METADATA_KEY)
        metadata = TraceMetadata() if text is None else TraceMetadata.from_json(text.decode())
        return cls.from_columns(known, uri=path, metadata=metadata, origin=Origin(name=path))


def _milliseconds(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    scaled = seconds * 1000.0
    whole = np.floor(scaled)
    # Not floor(x + 0.5): that sum itself rounds, and moves the largest double below one half up.
    rounded: NDArray[np.int64] = (whole + (scaled - whole >= 0.5)).astype(np.int64)
    return rounded


def _interval(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Milliseconds, at least 1 where there is an interval at all."""
    return np.maximum(_milliseconds(seconds), seconds > 0)


def _gpus_or(gpus: NDArray[np.int64], gpu_milli: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(gpus > 0, gpus * 1000, gpu_milli)


def describe_bad_rows(bad_rows: Mapping[str, int]) -> str:
    """Rows that were left out, for a line of text; empty where there are none."""
    if not bad_rows:
        return ""
    reasons = ", ".join(f"{count:,} because {reason}" for reason, count in bad_rows.items())
    return counted(sum(bad_rows.values()), "row", f" left out that cannot be used: {reasons}")
