"""A trace format: `toy:3` is three jobs of one GPU, one each minute."""

import numpy as np

from traces import Trace
from traces.format import Format
from traces.options import NoOptions


def load(path: str, _: NoOptions) -> Trace:
    """Make as many jobs as the path says."""
    jobs = int(path)
    columns = {
        "submit_time_seconds": 60.0 * np.arange(jobs),
        "duration_seconds": np.full(jobs, 600.0),
        "gpu_milli": np.full(jobs, 1000),
    }
    return Trace.from_columns(columns, uri=f"toy:{path}")


FORMAT = Format(
    name="toy",
    kind="jobs",
    description="equal jobs, one each minute",
    options=NoOptions,
    load=load,
    licence="none",
    citation="",
    example="toy:3",
)
