"""Alibaba's GPU cluster of 2026 with high-priority and spot jobs."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from traces import jobs
from traces.arrow import nullable, to_numpy
from traces.format import Format, has_columns
from traces.rows import read_rows
from traces.tables import TextOptions
from traces.trace import Trace, TraceMetadata

LICENCE = "research and study use (Alibaba clusterdata)"
CITATION = "Alibaba clusterdata, GPU trace of 2026 with spot jobs"
URL = "https://github.com/alibaba/clusterdata/tree/master/cluster-trace-v2026-spot-gpu"

_NAMES = {
    "job_id": "job_name",
    "group": "organization",
    "model": "gpu_model",
    "cpu_milli": "cpu_request",
    "gpu_milli": "gpu_request",
    "workers": "worker_num",
    "submit_time_seconds": "submit_time",
    "duration_seconds": "duration",
    "kind": "job_type",
}
_TEXTS = ("job_name", "organization", "gpu_model", "job_type")
_PRIORITIES = {"HP": 1, "Spot": 0}


@dataclass(frozen=True, slots=True)
class Options(TextOptions):
    """Options of alibaba-spot."""

    gangs: jobs.Gangs = field(
        default="split", metadata={"help": "jobs whose workers share GPUs: split into workers, round up, or drop"}
    )
    initial: bool = field(
        default=True, metadata={"help": "false: leave out jobs of submit time 0, which ran already at the start"}
    )


def load(path: str, options: Options) -> Trace:
    """The GPU jobs of `job_info_df.csv`; seconds from the first job, whose date is not known.

    - `gpu_request` and `cpu_request` are of a worker. It may be a share of a GPU, or 0: such jobs are dropped and
      counted. Workers that share GPUs and fill no whole number of them are as `gangs` says.
    - Jobs of submit time 0 ran already when the collection began: 3,740 in its first hour.
    - High-priority jobs (HP) have priority 1, spot jobs 0. `job_type` is our status as well, so that they can be told
      apart.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    columns = {name: pa.string() if name in _TEXTS else pa.float64() for name in _NAMES.values()}
    rows = read_rows(path, columns, _NAMES, options)
    rows.require("gpu_milli")
    rows.drop(to_numpy(rows["gpu_milli"]) == 0, jobs.NO_GPU)
    if not options.initial:
        rows.drop(jobs.numbers(rows, "submit_time_seconds") == 0, "it ran at the start already (initial=false)")
    jobs.check_workers(rows, "workers")
    rows.set("cpu_milli", jobs.whole(jobs.numbers(rows, "cpu_milli", np.nan) * 1000 * jobs.numbers(rows, "workers")))
    rows.set("gpu_models", jobs.lists(jobs.texts(rows, "model")))
    levels = np.array([_PRIORITIES.get(kind or "", -1) for kind in jobs.texts(rows, "kind")], np.int64)
    rows.set("priority", nullable(levels, levels >= 0))
    rows.set("status", rows["kind"])
    rows.table = rows.table.drop_columns(["model", "kind"])
    jobs.gangs(rows, "gpu_milli", "workers", options.gangs)
    return rows.trace(TraceMetadata("Alibaba GPU cluster 2026 (spot)", LICENCE))


FORMAT = Format(
    name="alibaba-spot",
    kind="jobs",
    description="Alibaba's GPU cluster of 2026: high-priority and spot jobs with GPU models",
    options=Options,
    load=load,
    licence=LICENCE,
    citation=CITATION,
    example="alibaba-spot:job_info_df.csv",
    url=URL,
    detect=has_columns("job_name", "gpu_request", "worker_num", "job_type"),
)
