"""SenseTime's Helios: four clusters of 2020, one table of jobs each."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traces import jobs
from traces.arrow import is_null, to_numpy
from traces.clock import read_times, seconds_between, set_second_0
from traces.errors import TraceURIError
from traces.format import Format, has_columns
from traces.inputs import Input, find_inputs
from traces.merging import merge
from traces.rows import read_rows
from traces.tables import TextOptions
from traces.trace import Trace, TraceMetadata

_PAPER_BEGINS = datetime.fromisoformat("2020-04-01T00:00")
_NAMES = {
    "job_id": "job_id",
    "user": "user",
    "group": "vc",
    "gpu_milli": "gpu_num",
    "cpu_milli": "cpu_num",
    "status": "state",
    "submit_time_seconds": "submit_time",
    "start_time": "start_time",
    "end_time": "end_time",
    "duration_seconds": "duration",
}
_COLUMNS = dict.fromkeys(_NAMES.values(), pa.string()) | {
    "gpu_num": pa.float64(),
    "cpu_num": pa.float64(),
    "duration": pa.float64(),
}


@dataclass(frozen=True, slots=True)
class Options(TextOptions):
    """Options of helios."""

    cluster: Literal["Earth", "Saturn", "Uranus", "Venus"] | None = field(
        default=None, metadata={"help": "one cluster, where the path holds several; else all"}
    )
    warmup: Literal["keep", "drop"] = field(
        default="keep", metadata={"help": "jobs before 2020-04-01, where the paper begins"}
    )


def load(path: str, options: Options) -> Trace:
    """The GPU jobs of clusters (a `cluster_log.csv` each); second 0 is the earliest submission.

    - Several clusters are one trace, whose ids are `Venus/17`; `cluster` names one of them.
    - Times are wall-clock times in China without a zone. Run times are `duration`, whole seconds.
    - More than half of the rows request no GPU: dropped and counted, as are the few that still ran or were suspended,
      and those that never ran.
    - Some run times are longer than Slurm's limit of 14 days; they are kept as they are.
    - `vc` is our `group`. States are COMPLETED, CANCELLED, FAILED, TIMEOUT and NODE_FAIL.

    Source: Hu et al., "Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters"
    (SC 2021).

    Args:
        path: the table, or the release as an archive or a folder.
        options: as above.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    logs = _find(path, options.cluster)
    if len(logs) == 1:
        return _cluster(logs[0], options)
    names = [each.parent for each in logs]
    names = names if len(set(names)) == len(names) else [str(each) for each in logs]
    return merge({name: _cluster(each, options) for name, each in zip(names, logs, strict=True)})


def _cluster(source: Input, options: Options) -> Trace:
    """The jobs of one table."""
    rows = read_rows(source, _COLUMNS, _NAMES, options)
    rows.require("gpu_milli")
    rows.drop(to_numpy(rows["gpu_milli"]) == 0, jobs.NO_GPU)
    read_times(rows, ("submit_time_seconds", "start_time", "end_time"))
    states = np.array([state or "" for state in jobs.texts(rows, "status")])
    rows.drop(np.isin(states, ("RUNNING", "SUSPENDED", "PENDING")), jobs.STILL_RAN)
    rows.drop(is_null(rows["start_time"]), jobs.NEVER_RAN)
    spans = seconds_between(rows, "start_time", "end_time")
    rows.set("duration_seconds", pc.coalesce(rows["duration_seconds"], spans))
    rows.require("duration_seconds")
    rows.drop(to_numpy(rows["duration_seconds"]) == 0, jobs.NEVER_RAN)
    rows.require("submit_time_seconds")
    if options.warmup == "drop":
        begin = np.datetime64(_PAPER_BEGINS, "us").astype(np.int64)
        rows.drop(
            to_numpy(rows["submit_time_seconds"].cast(pa.int64())) < begin, "it is before 2020-04-01 (warmup=drop)"
        )
    start = set_second_0(rows)
    cpus = jobs.numbers(rows, "cpu_milli", np.nan)
    rows.set("cpu_milli", jobs.whole(cpus * 1000))
    rows.convert_gpus("gpu_milli")
    rows.table = rows.table.drop_columns(["start_time", "end_time"])
    cluster = f" {source.parent}" if source.parent in ("Earth", "Saturn", "Uranus", "Venus") else ""
    return rows.trace(TraceMetadata(f"SenseTime Helios{cluster}", FORMAT.licence, start))


def _find(path: str, cluster: str | None) -> list[Input]:
    found = find_inputs(path)
    logs = [each for each in found if each.name == "cluster_log.csv"] if len(found) > 1 else found
    chosen = [each for each in logs if cluster in (None, each.parent)]
    if not chosen:
        there = ", ".join(sorted({each.parent for each in logs})) or "none"
        wanted = "" if cluster is None else f" of {cluster}"
        raise TraceURIError(f"{path}: has no cluster_log.csv{wanted}; there is that of {there}")
    return chosen


FORMAT = Format(
    name="helios",
    kind="jobs",
    description="SenseTime Helios: the clusters Earth, Saturn, Uranus and Venus, six months of 2020",
    options=Options,
    load=load,
    licence="CC BY 4.0",
    citation="Hu et al., Characterization and Prediction of Deep Learning Workloads in GPU Datacenters, SC 2021",
    example="helios:data.zip?cluster=Venus",
    url="https://github.com/S-Lab-System-Group/HeliosData",
    detect=has_columns("job_id", "vc", "gpu_num", "node_num", "queue", without=("type",)),
    tables=True,
)
