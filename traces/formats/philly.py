"""Microsoft Philly as one CSV table."""

import pyarrow as pa

from traces.options import NoOptions
from traces.registry import Format
from traces.tables import read_csv
from traces.times import from_timestamps
from traces.trace import Trace, TraceMetadata
from traces.validation import Origin, gpus_to_milli

_COLUMNS = {
    "timestamp": pa.timestamp("s"),
    "duration": pa.float64(),
    "num_gpus": pa.float64(),
    "cluster": pa.string(),
}
_NAMES = {"submit_time_seconds": "timestamp", "duration_seconds": "duration", "gpu_milli": "num_gpus"}


def load(path: str, _: NoOptions) -> Trace:
    """Return the jobs of ``timestamp,duration,num_gpus,gpu_time,cluster``; second 0 is the earliest timestamp.

    Timestamps are local wall-clock times without a zone; ``cluster`` is the virtual cluster (our ``group``);
    ``gpu_time`` is duration times GPUs and not read. The file has no job ids: they are made from its rows. Its
    shortest job runs for 1 s, so none has length zero.

    Source: Jeon et al., "Analysis of Large-Scale Multi-Tenant GPU Clusters" (ATC 2019);
    github.com/msr-fiddle/philly-traces, in the table of the Sia artifact (SOSP 2023).

    Raises:
        TraceError: The file cannot be read or breaks a rule.
    """
    table = read_csv(path, _COLUMNS)
    origin = Origin(path, _NAMES)
    submit, start_time = from_timestamps(table["timestamp"], "submit_time_seconds", origin)
    return Trace.from_columns(
        submit_time_seconds=submit,
        duration_seconds=table["duration"],
        gpu_milli=gpus_to_milli(table["num_gpus"], "gpu_milli", origin),
        group=table["cluster"],
        metadata=TraceMetadata("Microsoft Philly", FORMAT.licence, start_time),
        origin=origin,
    )


FORMAT = Format(
    description="Microsoft Philly: deep-learning jobs of 2017, as one CSV table (ATC 2019)",
    licence="CC BY 4.0",
    example="philly:philly.csv.gz",
    options=NoOptions,
    load=load,
)
