"""Fragmentation gradient descent: the node, and the GPU, where a pod leaves the fewest fragments.

Source: Weng et al., "Beware of Fragmentation" (ATC 2023); github.com/hkust-adsl/kubernetes-scheduler-simulator.
"""

from __future__ import annotations

from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import BEST_FIT_BITS, Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.fragmentation import usable_after
from envs.gpu_cluster.simulator.packing.gpus import lowest_gpus_compiled, plain_lowest
from envs.gpu_cluster.simulator.packing.packer import Packer, Reference
from envs.gpu_cluster.simulator.packing.packers.best_fit import best_fit_compiled, plain_best_fit
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod

FGD_STEP_MILLI = 40  # 1/25 GPU, see `fgd`


def fgd(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """The least growth of fragmentation in steps of 1/25 GPU, then best fit.

    The steps are those of the authors' scheduler, which scores with 100 times the sigmoid of the growth in GPUs,
    rounded down: at most 25 points per GPU. Without them (`fgd-exact`), thousandths decide against a tighter node.
    Source: Weng et al., "Beware of Fragmentation" (ATC 2023); github.com/hkust-adsl/kubernetes-scheduler-simulator.
    """
    lost = nodes.node[node, ns.USABLE] - usable_after(nodes, tables, pod, node)[0]
    return (lost // (FGD_STEP_MILLI * tables.most[2]) << BEST_FIT_BITS) + best_fit_compiled(nodes, tables, pod, node)


def fgd_exact(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """The least growth of fragmentation. Source: Weng et al., "Beware of Fragmentation" (ATC 2023), algorithm 1."""
    return nodes.node[node, ns.USABLE] - usable_after(nodes, tables, pod, node)[0]


def unfragmenting_gpus(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
    """For a share the GPU that fragmentation gradient descent takes."""
    if pod[ns.NUM_GPUS] != 1 or pod[ns.MILLI] == 1000:
        return lowest_gpus_compiled(nodes, tables, pod, node)
    return 1 << usable_after(nodes, tables, pod, node)[1]


def plain_unfragmenting(cluster: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    """`unfragmenting_gpus`, in plain Python."""
    if not pod.is_share:
        return plain_lowest(cluster, node, pod)
    return (min(node.fitting(pod), key=lambda gpu: (-cluster.usable(node.with_pod(pod, (gpu,))), gpu)),)


def plain_lost(cluster: PlainCluster, node: PlainNode, pod: PlainPod) -> int:
    """Usable thousandths that a pod takes from typical pods: growth of fragmentation plus what it uses itself."""
    after = node.with_pod(pod, plain_unfragmenting(cluster, node, pod))
    growth = cluster.fragmentation(after) - cluster.fragmentation(node)
    return growth + len(cluster.typical) * pod.gpus * pod.milli


def plain_fgd(cluster: PlainCluster, node: PlainNode, pod: PlainPod, number: int) -> tuple[int, int]:
    """`fgd`, in plain Python."""
    steps = plain_lost(cluster, node, pod) // (FGD_STEP_MILLI * len(cluster.typical))
    return steps, plain_best_fit(cluster, node, pod, number)


def plain_fgd_exact(cluster: PlainCluster, node: PlainNode, pod: PlainPod, _: int) -> int:
    """`fgd_exact`, in plain Python."""
    return plain_lost(cluster, node, pod)


PACKER = Packer(fgd, unfragmenting_gpus, reference=Reference(plain_fgd, plain_unfragmenting))
EXACT = Packer(fgd_exact, unfragmenting_gpus, reference=Reference(plain_fgd_exact, plain_unfragmenting))
