"""Microsoft Philly as one CSV table."""

import pyarrow as pa

from traces.format import Format, has_columns
from traces.rows import read_rows
from traces.tables import TextOptions
from traces.times import from_timestamps
from traces.trace import Trace, TraceMetadata
from traces.validation import near

_COLUMNS = {
    "timestamp": pa.timestamp("s"),
    "duration": pa.float64(),
    "num_gpus": pa.float64(),
    "cluster": pa.string(),
}
_NAMES = {
    "submit_time_seconds": "timestamp",
    "duration_seconds": "duration",
    "gpu_milli": "num_gpus",
    "group": "cluster",
}


def load(path: str, options: TextOptions) -> Trace:
    """The jobs of `timestamp,duration,num_gpus,gpu_time,cluster`; second 0 is the earliest timestamp.

    Timestamps are local wall-clock times without a zone; `cluster` is the virtual cluster (our `group`);
    `gpu_time` is duration times GPUs and not read. The file has no job ids: they are made from its rows. Its
    shortest job runs for 1 s, so none has length zero.

    Source: Jeon et al., "Analysis of Large-Scale Multi-Tenant GPU Clusters" (ATC 2019);
    github.com/msr-fiddle/philly-traces, in the table of the Sia artifact (SOSP 2023).

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    rows = read_rows(path, _COLUMNS, _NAMES, options)
    rows.require("submit_time_seconds")
    rows.check(near(rows["submit_time_seconds"], "submit_time_seconds"))
    submit, start_time = from_timestamps(rows["submit_time_seconds"])
    rows.set("submit_time_seconds", submit)
    rows.convert_gpus("gpu_milli")
    return rows.trace(TraceMetadata("Microsoft Philly", FORMAT.licence, start_time))


FORMAT = Format(
    name="philly",
    kind="jobs",
    description="Microsoft Philly: deep-learning jobs of 2017, as one CSV table",
    options=TextOptions,
    load=load,
    licence="CC BY 4.0",
    citation="Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters, ATC 2019",
    example="philly:philly.csv.gz",
    url="https://github.com/msr-fiddle/philly-traces",
    detect=has_columns(*_COLUMNS),
)
