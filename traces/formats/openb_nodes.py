"""The nodes of Alibaba's GPU cluster of 2023 ("openb")."""

from traces.format import Format, has_columns
from traces.formats.openb import CITATION, LICENCE
from traces.node_lists import NodeOptions, nodes_of
from traces.nodes import NODE_SCHEMA, Nodes
from traces.rows import read_rows

_NAMES = {"node_id": "sn", "gpu_model": "model", "gpus": "gpu", "cpu_milli": "cpu_milli", "memory_mib": "memory_mib"}


def load(path: str, options: NodeOptions) -> Nodes:
    """The nodes of `sn,cpu_milli,memory_mib,gpu,model`.

    Source: Weng et al., "Beware of Fragmentation" (ATC 2023); github.com/alibaba/clusterdata, cluster-trace-gpu-v2023.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    columns = {theirs: NODE_SCHEMA.field(ours).type for ours, theirs in _NAMES.items()}
    rows = read_rows(path, columns, _NAMES, options)
    return nodes_of(rows, "Alibaba GPU cluster 2023 (openb), nodes", LICENCE)


FORMAT = Format(
    name="openb-nodes",
    kind="nodes",
    description="Alibaba GPU cluster 2023: the nodes",
    options=NodeOptions,
    load=load,
    licence=LICENCE,
    citation=CITATION,
    example="openb-nodes:openb_node_list_gpu_node.csv",
    detect=has_columns("sn", "cpu_milli", "gpu", "model"),
)
