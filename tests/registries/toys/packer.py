"""A packer: the busy node with the most free GPUs."""

from envs.gpu_cluster.simulator import Nodes, Packer, Pod, Tables
from envs.gpu_cluster.simulator.node_state import FREE_MILLI


def emptiest(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """The most free thousandths of a GPU first."""
    return -nodes.node[node, FREE_MILLI]


PACKER = Packer(emptiest)
