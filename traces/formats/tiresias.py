"""Job lists of the simulator of Tiresias, in seconds; those of Muri are the same in milliseconds (`muri`)."""

import numpy as np
import pyarrow as pa

from traces import jobs
from traces.format import Format, has_columns
from traces.rows import read_rows
from traces.tables import TextOptions
from traces.trace import Trace, TraceMetadata

COLUMNS = ("job_id", "num_gpu", "submit_time", "iterations", "model_name", "duration", "interval")
"""The columns of a list; others do no harm."""

_NAMES = {
    "job_id": "job_id",
    "submit_time_seconds": "submit_time",
    "duration_seconds": "duration",
    "gpu_milli": "num_gpu",
    "workload": "model_name",
}


def read(path: str, options: TextOptions, *, units_per_second: float, metadata: TraceMetadata) -> Trace:
    """The jobs of a list.

    Args:
        path: the file.
        options: separator, and what to do with bad rows.
        units_per_second: of its times.
        metadata: of the trace.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    texts = ("job_id", "model_name")
    columns = {name: pa.string() if name in texts else pa.float64() for name in _NAMES.values()}
    rows = read_rows(path, columns, _NAMES, options)
    for name in ("submit_time_seconds", "duration_seconds"):
        rows.require(name)
        rows.set(name, np.array(jobs.numbers(rows, name)) / units_per_second)
    rows.convert_gpus("gpu_milli")
    return rows.trace(metadata)


def load(path: str, options: TextOptions) -> Trace:
    """The jobs of `job_id,num_gpu,submit_time,iterations,model_name,duration,interval`; times are seconds.

    `model_name` is our workload. `iterations` and `interval` follow from the other columns and are not read.

    Source: Gu et al., "Tiresias" (NSDI 2019).

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    return read(path, options, units_per_second=1.0, metadata=TraceMetadata("Tiresias", FORMAT.licence))


FORMAT = Format(
    name="tiresias",
    kind="jobs",
    description="job lists of the simulator of Tiresias, in seconds",
    options=TextOptions,
    load=load,
    licence="the publisher states no licence",
    citation="Gu et al., Tiresias: A GPU Cluster Manager for Distributed Deep Learning, NSDI 2019",
    example="tiresias:60_job.csv",
    url="https://github.com/SymbioticLab/Tiresias",
    detect=has_columns(*COLUMNS),
)
