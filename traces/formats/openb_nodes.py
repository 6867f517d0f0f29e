"""The nodes of Alibaba's GPU cluster of 2023 ("openb")."""

import pyarrow as pa

from traces.formats.openb import LICENCE
from traces.nodes import NODE_SCHEMA, Nodes
from traces.options import NoOptions
from traces.registry import Format
from traces.tables import read_csv
from traces.validation import Origin

_NAMES = {"node_id": "sn", "gpu_model": "model", "gpus": "gpu", "cpu_milli": "cpu_milli", "memory_mib": "memory_mib"}


def load_nodes(path: str, _: NoOptions) -> Nodes:
    """Return the nodes of ``sn,cpu_milli,memory_mib,gpu,model``.

    Source: Weng et al., "Beware of Fragmentation" (ATC 2023); github.com/alibaba/clusterdata, cluster-trace-gpu-v2023.

    Raises:
        TraceError: The file cannot be read or breaks a rule.
    """
    table = read_csv(path, {_NAMES[column.name]: column.type for column in NODE_SCHEMA})
    renamed = pa.table(table.columns, names=NODE_SCHEMA.names)
    source = "Alibaba GPU cluster 2023 (openb), nodes"
    return Nodes.from_table(renamed, origin=Origin(path, _NAMES), source=source, licence=LICENCE)


FORMAT = Format(
    description="Alibaba GPU cluster 2023: the nodes (FGD, ATC 2023)",
    licence=LICENCE,
    example="openb-nodes:openb_node_list_gpu_node.csv",
    options=NoOptions,
    load_nodes=load_nodes,
)
