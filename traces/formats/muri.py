"""Job lists of the simulator of Muri: those of Tiresias with milliseconds."""

from traces.format import Format, has_columns
from traces.formats import tiresias
from traces.tables import TextOptions
from traces.trace import Trace, TraceMetadata


def load(path: str, options: TextOptions) -> Trace:
    """The jobs of a list as `tiresias`, whose times are milliseconds.

    Source: Zhao et al., "Multi-Resource Interleaving for Deep Learning Training" (SIGCOMM 2022).

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    return tiresias.read(path, options, units_per_second=1000.0, metadata=TraceMetadata("Muri", FORMAT.licence))


FORMAT = Format(
    name="muri",
    kind="jobs",
    description="job lists of the simulator of Muri, in milliseconds",
    options=TextOptions,
    load=load,
    licence="the publisher states no licence",
    citation="Zhao et al., Multi-Resource Interleaving for Deep Learning Training, SIGCOMM 2022",
    example="muri:cluster_trace.csv",
    url="https://github.com/Rivendile/Muri",
    detect=has_columns(*tiresias.COLUMNS),
)
