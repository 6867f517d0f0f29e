"""The machines of Microsoft Philly."""

import pyarrow as pa

from traces import jobs
from traces.format import Format, has_columns
from traces.node_lists import NodeOptions, nodes_of
from traces.nodes import Nodes
from traces.rows import read_rows
from traces.tables import SEPARATORS, as_input, find_separator, read_header

_NAMES = {"node_id": "machineId", "gpus": "number of GPUs"}
_MODEL = "single GPU mem"


def load(path: str, options: NodeOptions) -> Nodes:
    """The machines of `cluster_machine_list`, `machineId, number of GPUs, single GPU mem`.

    Their CPUs and memory are not known, nor is what they did: the tables of utilisation are not read. The model of a
    GPU is known by its memory only, such as 24GB. Its numbers of GPUs are said to be wrong for some machines;
    `revised_machine_list.csv` of the scripts about this trace, which names no memory, is read as well.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    source = as_input(path)
    separator = SEPARATORS.get(options.separator) or find_separator(source, list(_NAMES.values()))
    names = _NAMES | ({"gpu_model": _MODEL} if _MODEL in read_header(source, separator) else {})
    columns = {theirs: pa.int64() if ours == "gpus" else pa.string() for ours, theirs in names.items()}
    rows = read_rows(source, columns, names, options)
    if "gpu_model" not in names:
        rows.set("gpu_model", jobs.optional(["unknown"] * rows.table.num_rows))
    return nodes_of(rows, "Microsoft Philly, machines", FORMAT.licence)


FORMAT = Format(
    name="philly-nodes",
    kind="nodes",
    description="Microsoft Philly: the machines",
    options=NodeOptions,
    load=load,
    licence="CC BY 4.0",
    citation="Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters, ATC 2019",
    example="philly-nodes:trace-data/cluster_machine_list",
    url="https://github.com/msr-fiddle/philly-traces",
    detect=has_columns("machineId", "number of GPUs"),
)
