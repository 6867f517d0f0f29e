"""The jobs of a cluster as functions that run once for each job."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from configs.checks import check_number
from traces.errors import TraceURIError
from traces.format import Format
from traces.invocations import Invocations

MILLI = 1000


@dataclass(frozen=True, slots=True)
class Options:
    """Options of job-functions."""

    gpus_per_node: int = field(default=8, metadata={"help": "a larger job is several requests for whole nodes at once"})
    memory_mib_per_gpu: float = field(default=8192.0, metadata={"help": "memory of a container for each GPU"})

    def __post_init__(self) -> None:
        check_number("gpus_per_node", self.gpus_per_node, TraceURIError, low=1, high=1024)
        check_number("memory_mib_per_gpu", self.memory_mib_per_gpu, TraceURIError, low=1.0)


def load(path: str, options: Options) -> Invocations:
    """The jobs of another trace, whose URI is the path, without options.

    Jobs of one user and one number of GPUs call one function; where users are not known, all jobs of one number of
    GPUs do.

    Raises:
        TraceError: the trace cannot be loaded.
    """
    from traces.registry import load as load_jobs  # it lists the formats, this one too

    trace = load_jobs(path)
    milli, most = trace.gpu_milli, options.gpus_per_node * MILLI
    parts = np.maximum(1, -(-milli // most))
    rows = np.repeat(np.arange(trace.num_jobs), parts)
    share = np.where(milli > most, most, milli)
    users = trace.table["user"].to_pylist()
    names = [f"{user or 'all'}-{size / MILLI:g}" for user, size in zip(users, share.tolist(), strict=True)]
    ids, function = np.unique(np.array(names), return_inverse=True)
    sizes = np.zeros(len(ids), np.int64)
    sizes[function] = share
    start = int(trace.submit_milliseconds.min())
    time_ms = trace.submit_milliseconds - start
    return Invocations.from_columns(
        ids.tolist(),
        time_ms[rows],
        function[rows].astype(np.int64),
        trace.duration_milliseconds[rows],
        span_ms=int(time_ms.max()) + 1,
        memory_mib=np.maximum(1.0, options.memory_mib_per_gpu * sizes / MILLI),
        gpu_milli=sizes,
        source=f"{trace.metadata.source}, jobs as functions",
        licence=trace.metadata.licence,
        bad_rows=dict(trace.metadata.dropped),
    )


FORMAT: Format[Any] = Format(
    name="job-functions",
    kind="invocations",
    description="the jobs of another trace, each a call of a function of its user and size",
    options=Options,
    load=load,
    licence="that of the trace",
    citation="",
    example="job-functions:itp:cluster02.csv.gz",
)
