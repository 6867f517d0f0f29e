"""Microsoft ITP: seven production clusters of 2021, released with ElasticFlow."""

from datetime import datetime

import pyarrow as pa

from traces.options import NoOptions
from traces.registry import Format
from traces.tables import read_csv
from traces.trace import Trace, TraceMetadata
from traces.validation import Origin, gpus_to_milli

_COLUMNS = {"job_id": pa.string(), "submission_time": pa.float64(), "duration": pa.float64(), "num_gpu": pa.float64()}
_NAMES = {"submit_time_seconds": "submission_time", "duration_seconds": "duration", "gpu_milli": "num_gpu"}
_START_TIME = datetime.fromisoformat("2021-03-04T00:00")


def load(path: str, _: NoOptions) -> Trace:
    """Return the jobs of one cluster: ``job_id,submission_time,duration,num_gpu``, seconds from 2021-03-04.

    The files are not sorted, hold no job shorter than 600 s (so none of length zero), and neither users, GPU models
    nor states.

    Source: Gu et al., "ElasticFlow" (ASPLOS 2023); github.com/microsoft/elasticflow-traces.

    Raises:
        TraceError: The file cannot be read or breaks a rule.
    """
    table = read_csv(path, _COLUMNS)
    origin = Origin(path, _NAMES)
    return Trace.from_columns(
        job_id=table["job_id"],
        submit_time_seconds=table["submission_time"],
        duration_seconds=table["duration"],
        gpu_milli=gpus_to_milli(table["num_gpu"], "gpu_milli", origin),
        metadata=TraceMetadata("Microsoft ITP (ElasticFlow)", FORMAT.licence, _START_TIME),
        origin=origin,
    )


FORMAT = Format(
    description="Microsoft ITP: 7 production GPU clusters, 60 days of 2021 (ElasticFlow, ASPLOS 2023)",
    licence="MIT",
    example="itp:cluster02.csv.gz",
    options=NoOptions,
    load=load,
)
