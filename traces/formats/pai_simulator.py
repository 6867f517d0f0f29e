"""Job lists of the simulator of Alibaba PAI 2020: one table, `pai_job_no_estimate_100K.csv`."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

from traces import jobs
from traces.arrow import to_numpy
from traces.format import Format, has_columns
from traces.formats.pai import models_of
from traces.rows import read_rows
from traces.tables import SEPARATORS, TextOptions, as_input, find_separator, read_header
from traces.trace import Trace, TraceMetadata

_NAMES = {
    "job_id": "job_id",
    "user": "user",
    "model": "gpu_type",
    "gpu_milli": "num_gpu",
    "cpu_milli": "num_cpu",
    "instances": "num_inst",
    "submit_time_seconds": "submit_time",
    "duration_seconds": "duration",
}
_TEXTS = ("job_id", "user", "gpu_type")


@dataclass(frozen=True, slots=True)
class Options(TextOptions):
    """Options of pai-simulator."""

    gangs: jobs.Gangs = field(
        default="split", metadata={"help": "jobs whose instances share GPUs: split into instances, round up, or drop"}
    )
    estimates: Literal["group_gpu_dur", "group_dur", "user_dur", "none"] = field(
        default="group_gpu_dur", metadata={"help": "column of estimated run times, where the list has them"}
    )


def load(path: str, options: Options) -> Trace:
    """The GPU jobs of `job_id,num_inst,submit_time,num_cpu,num_gpu,gpu_type,duration,user`; seconds from the start.

    - GPUs and CPUs are of an instance, in units: 0.5 is half a GPU (the simulator makes percent of them). Instances
      that share GPUs and do not fill whole ones together are as `gangs` says.
    - A run time of 0 or less is 1 s, as in the simulator. MISC is any GPU model.
    - `pai_job_duration_estimate_100K.csv` has estimates of run times as well: see `estimates`.
    - Jobs without GPUs are dropped and counted.

    Source: Weng et al., "MLaaS in the Wild" (NSDI 2022).

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    source = as_input(path)
    separator = SEPARATORS.get(options.separator) or find_separator(source, list(_NAMES.values()))
    has_estimates = options.estimates in read_header(source, separator)
    names = _NAMES | ({"predicted_duration_seconds": options.estimates} if has_estimates else {})
    columns = {theirs: pa.string() if theirs in _TEXTS else pa.float64() for theirs in names.values()}
    rows = read_rows(source, columns, names, options)
    rows.require("gpu_milli")
    rows.drop(to_numpy(rows["gpu_milli"]) == 0, jobs.NO_GPU)
    rows.require("duration_seconds")
    rows.set("duration_seconds", np.maximum(to_numpy(rows["duration_seconds"]), 1.0))
    if has_estimates:
        estimates = jobs.numbers(rows, "predicted_duration_seconds").tolist()
        rows.set("predicted_duration_seconds", jobs.floats(each if each > 0 else None for each in estimates))
    jobs.check_workers(rows, "instances")
    cores = jobs.numbers(rows, "cpu_milli", np.nan) * jobs.numbers(rows, "instances")
    rows.set("cpu_milli", jobs.whole(cores * 1000))
    rows.set("gpu_models", models_of(jobs.texts(rows, "model")))
    rows.table = rows.table.drop_columns(["model"])
    jobs.gangs(rows, "gpu_milli", "instances", options.gangs)
    return rows.trace(TraceMetadata("Alibaba PAI 2020, simulator", FORMAT.licence))


FORMAT = Format(
    name="pai-simulator",
    kind="jobs",
    description="job lists of the simulator of Alibaba PAI 2020, one table",
    options=Options,
    load=load,
    licence="CC BY 4.0",
    citation="Weng et al., MLaaS in the Wild: Workload Analysis and Scheduling in GPU Clusters, NSDI 2022",
    example="pai-simulator:pai_job_no_estimate_100K.csv",
    url="https://github.com/alibaba/clusterdata/tree/master/cluster-trace-gpu-v2020/simulator",
    detect=has_columns("job_id", "num_inst", "num_gpu", "gpu_type", "duration"),
)
