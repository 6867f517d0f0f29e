"""Workloads of the simulators of Pollux and Sia: applications, whose run times follow from measured trainings."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from traces import jobs
from traces.curves.names import workload_name
from traces.curves.pollux import load_pollux_training
from traces.errors import TraceURIError
from traces.format import Format, has_columns
from traces.rows import read_rows
from traces.tables import TextOptions
from traces.trace import Trace, TraceMetadata
from traces.validation import MAX_GPUS

COLUMNS = ("name", "time", "application", "num_replicas", "batch_size")


@dataclass(frozen=True, slots=True)
class Options(TextOptions):
    """Options of pollux."""

    measured: str | None = field(
        default=None,
        metadata={"help": "folder <application>/placements.csv of Pollux: how long trainings take; needed"},
    )
    elastic_jobs: bool = field(default=True, metadata={"help": "jobs run on one GPU up to the most that was measured"})


def load(path: str, options: Options) -> Trace:
    """The jobs of `name,time,application,num_replicas,batch_size`; seconds from the start.

    A job is a training of an application: its run time is that of the measured training with that batch size on that
    many GPUs (`num_replicas`), on NVIDIA T4. `application` is our workload, so `curves.scaling=pollux:FOLDER` fits.

    - Batch size of 0 or none: the smallest that was measured.
    - Applications and GPU counts that were not measured are left out and counted.

    Source: Qiao et al., "Pollux" (OSDI 2021); Jayaram Subramanya et al., "Sia" (SOSP 2023).

    Raises:
        TraceError: a file cannot be read or breaks a rule.
    """
    if options.measured is None:
        raise TraceURIError(
            f"{path}: holds applications and no run times; add ?measured=FOLDER of <application>/placements.csv, which "
            "says how long they train"
        )
    trainings = load_pollux_training(options.measured)
    texts = ("name", "application")
    columns = {name: pa.string() if name in texts else pa.float64() for name in COLUMNS}
    names = {"job_id": "name", "submit_time_seconds": "time", "gpu_milli": "num_replicas"}
    rows = read_rows(path, columns, names | {name: name for name in ("application", "batch_size")}, options)
    for name in ("submit_time_seconds", "gpu_milli", "application"):
        rows.require(name)
    found = [trainings.get((kind or "").lower()) for kind in jobs.texts(rows, "application")]
    widths, batches = jobs.numbers(rows, "gpu_milli"), jobs.numbers(rows, "batch_size", np.nan)
    seconds = np.full(len(found), np.nan)
    for index, (training, width, batch) in enumerate(zip(found, widths, batches, strict=True)):
        if training is not None and width >= 1 and width == int(width):
            seconds[index] = training.run_seconds(int(width), batch if batch > 0 else float(training.batches[0]))
    rows.set("duration_seconds", seconds)
    rows.set(
        "workload",
        jobs.optional(None if kind is None else workload_name(kind) for kind in jobs.texts(rows, "application")),
    )
    if options.elastic_jobs:
        most = [0 if training is None else training.most_gpus for training in found]
        rows.set("min_gpus", np.ones(len(found), np.int64))
        rows.set("max_gpus", np.maximum(np.clip(np.nan_to_num(np.array(widths)), 0, MAX_GPUS), most).astype(np.int64))
    rows.drop(np.isnan(seconds), "its application was not measured on so many GPUs")
    rows.convert_gpus("gpu_milli")
    kept = ("job_id", "submit_time_seconds", "duration_seconds", "gpu_milli", "workload", "min_gpus", "max_gpus")
    rows.table = rows.table.select([name for name in kept if name in rows.table.column_names])
    return rows.trace(TraceMetadata("Pollux", FORMAT.licence))


FORMAT = Format(
    name="pollux",
    kind="jobs",
    description="workloads of the simulators of Pollux and Sia; run times from measured trainings; elastic",
    options=Options,
    load=load,
    licence="Apache-2.0",
    citation="Qiao et al., Pollux: Co-adaptive Cluster Scheduling for Goodput-Optimized Deep Learning, OSDI 2021",
    example="pollux:workload-1.csv?measured=pollux",
    url="https://github.com/petuum/adaptdl",
    detect=has_columns(*COLUMNS),
)
