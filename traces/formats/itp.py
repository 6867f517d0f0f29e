"""Microsoft ITP: seven production clusters of 2021, released with ElasticFlow."""

from datetime import datetime

import pyarrow as pa

from traces.format import Format, has_columns
from traces.rows import read_rows
from traces.tables import TextOptions
from traces.trace import Trace, TraceMetadata

_COLUMNS = {"job_id": pa.string(), "submission_time": pa.float64(), "duration": pa.float64(), "num_gpu": pa.float64()}
_NAMES = {
    "job_id": "job_id",
    "submit_time_seconds": "submission_time",
    "duration_seconds": "duration",
    "gpu_milli": "num_gpu",
}
_START_TIME = datetime.fromisoformat("2021-03-04T00:00")


def load(path: str, options: TextOptions) -> Trace:
    """The jobs of one cluster: `job_id,submission_time,duration,num_gpu`, seconds from 2021-03-04.

    The files are not sorted, hold no job shorter than 600 s (so none of length zero), and neither users, GPU models
    nor states.

    Source: Gu et al., "ElasticFlow" (ASPLOS 2023); github.com/microsoft/elasticflow-traces.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    rows = read_rows(path, _COLUMNS, _NAMES, options)
    rows.convert_gpus("gpu_milli")
    return rows.trace(TraceMetadata("Microsoft ITP (ElasticFlow)", FORMAT.licence, _START_TIME))


FORMAT = Format(
    name="itp",
    kind="jobs",
    description="Microsoft ITP: 7 production GPU clusters, 60 days of 2021",
    options=TextOptions,
    load=load,
    licence="MIT",
    citation="Gu et al., ElasticFlow, ASPLOS 2023",
    example="itp:cluster02.csv.gz",
    url="https://github.com/microsoft/elasticflow-traces",
    detect=has_columns(*_COLUMNS),
)
