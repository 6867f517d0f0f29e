"""The nodes of Alibaba's GPU cluster of 2023 ("openb")."""

from dataclasses import dataclass, field

from traces.format import Format
from traces.formats.openb import CITATION, LICENCE
from traces.nodes import NODE_RULES, NODE_SCHEMA, Nodes
from traces.rows import read_rows
from traces.tables import TextOptions

_NAMES = {"node_id": "sn", "gpu_model": "model", "gpus": "gpu", "cpu_milli": "cpu_milli", "memory_mib": "memory_mib"}


@dataclass(frozen=True, slots=True)
class Options(TextOptions):
    """Options of openb-nodes: strict unless told otherwise, because a missing node is a smaller cluster in silence."""

    strict: bool = field(
        default=True, metadata={"help": "a row that cannot be used is an error, else it is left out and counted"}
    )


def load(path: str, options: Options) -> Nodes:
    """The nodes of `sn,cpu_milli,memory_mib,gpu,model`.

    Source: Weng et al., "Beware of Fragmentation" (ATC 2023); github.com/alibaba/clusterdata, cluster-trace-gpu-v2023.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    rows = read_rows(path, {_NAMES[column.name]: column.type for column in NODE_SCHEMA}, _NAMES, options)
    for rules in NODE_RULES:
        rows.check(rules(rows.table, rows.origin))
    rows.finish()
    source = "Alibaba GPU cluster 2023 (openb), nodes"
    return Nodes.from_table(rows.table, origin=rows.origin, source=source, licence=LICENCE, bad_rows=rows.bad)


FORMAT = Format(
    name="openb-nodes",
    kind="nodes",
    description="Alibaba GPU cluster 2023: the nodes",
    options=Options,
    load=load,
    licence=LICENCE,
    citation=CITATION,
    example="openb-nodes:openb_node_list_gpu_node.csv",
)
