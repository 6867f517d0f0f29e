"""The hosts of Alibaba Lingjun 2023, and the switches of its three-layer Clos network that each is connected to."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from configs.checks import check_number
from traces.arrow import from_numpy, strings
from traces.errors import TraceURIError
from traces.format import Format, has_columns
from traces.formats.lingjun import CITATION, LICENCE, URL
from traces.node_lists import NodeOptions, nodes_of
from traces.nodes import Nodes
from traces.rows import read_rows

_LAYERS = ("DSW", "PSW", "ASW")
_NAMES = {"node_id": "ip", **{layer: layer for layer in _LAYERS}}


@dataclass(frozen=True, slots=True)
class Options(NodeOptions):
    """Options of lingjun-nodes."""

    gpus: int = field(default=8, metadata={"help": "GPUs of a host; the release does not say"})
    gpu_model: str = field(default="unknown", metadata={"help": "their model; the release does not say"})

    def __post_init__(self) -> None:
        check_number("gpus", self.gpus, TraceURIError, low=1)


def load(path: str, options: Options) -> Nodes:
    """The hosts of `topo.csv`, `ip,DSW,PSW,ASW`.

    - Switches of one layer have the same names under different ones of the layer above (S2 is there under P10 and under
      P12), so each has the names of those above it in front: `G6/P10/S2`.
    - The release names neither GPUs nor CPUs of a host: see `gpus` and `gpu_model`. About one in seven hosts of
      `worker.csv` is missing from the table.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    rows = read_rows(path, dict.fromkeys(_NAMES.values(), pa.string()), _NAMES, options)
    for name in _NAMES:
        rows.require(name)
    hosts = zip(*(rows[name].to_pylist() for name in _LAYERS), strict=True)
    switches = ["/".join(host[: layers + 1]) for host in hosts for layers in reversed(range(len(_LAYERS)))]
    rows.table = rows.table.select(["node_id"])
    count = rows.table.num_rows
    ends = from_numpy(np.arange(count + 1, dtype=np.int32) * len(_LAYERS))
    rows.set("switches", pa.ListArray.from_arrays(ends, strings(switches)))
    rows.set("gpus", from_numpy(np.full(count, options.gpus)))
    rows.set("gpu_model", strings([options.gpu_model] * count))
    return nodes_of(rows, "Alibaba Lingjun 2023, hosts", LICENCE)


FORMAT = Format(
    name="lingjun-nodes",
    kind="nodes",
    description="Alibaba Lingjun 2023: the hosts and the switches that connect them",
    options=Options,
    load=load,
    licence=LICENCE,
    citation=CITATION,
    example="lingjun-nodes:topo.csv",
    url=URL,
    detect=has_columns("ip", "DSW", "PSW", "ASW"),
)
