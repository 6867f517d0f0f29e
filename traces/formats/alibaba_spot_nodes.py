"""The nodes of Alibaba's GPU cluster of 2026 with high-priority and spot jobs."""

import pyarrow as pa

from traces import jobs
from traces.format import Format, has_columns
from traces.formats.alibaba_spot import CITATION, LICENCE, URL
from traces.node_lists import NodeOptions, nodes_of
from traces.nodes import Nodes
from traces.rows import read_rows

_NAMES = {"node_id": "node_name", "gpu_model": "gpu_model", "gpus": "gpu_capacity_num", "cpu_milli": "cpu_num"}


def load(path: str, options: NodeOptions) -> Nodes:
    """The nodes of `node_info_df.csv`, `gpu_model,gpu_capacity_num,cpu_num,node_name`; their memory is not known.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    columns = {name: pa.string() for name in ("node_name", "gpu_model")}
    columns |= {"gpu_capacity_num": pa.int64(), "cpu_num": pa.float64()}
    rows = read_rows(path, columns, _NAMES, options)
    rows.require("cpu_milli")
    rows.set("cpu_milli", jobs.whole(jobs.numbers(rows, "cpu_milli") * 1000))
    return nodes_of(rows, "Alibaba GPU cluster 2026 (spot), nodes", LICENCE)


FORMAT = Format(
    name="alibaba-spot-nodes",
    kind="nodes",
    description="Alibaba's GPU cluster of 2026: the nodes",
    options=NodeOptions,
    load=load,
    licence=LICENCE,
    citation=CITATION,
    example="alibaba-spot-nodes:node_info_df.csv",
    url=URL,
    detect=has_columns("node_name", "gpu_capacity_num", "cpu_num"),
)
