"""Our own format on disk: the table of `traces.Trace` as Parquet."""

from traces.format import Format
from traces.options import NoOptions
from traces.trace import Trace


def load(path: str, _: NoOptions) -> Trace:
    """The trace that `Trace.to_parquet` (or `autoscaler traces import`) wrote.

    Any Parquet file with the required columns of `traces.SCHEMA` will do.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    return Trace.read(path)


FORMAT = Format(
    name="parquet",
    kind="jobs",
    description="a trace of this project (any Parquet file with its columns); `x.parquet` alone works too",
    options=NoOptions,
    load=load,
    licence="as imported",
    citation="",
    example="parquet:trace.parquet",
    detect=lambda _name, text: "it is Parquet" if text.startswith("PAR1") else "",
)
