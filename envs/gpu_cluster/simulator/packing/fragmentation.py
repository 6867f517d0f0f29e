"""Fragmentation of GPUs against the pods that are typical for a workload.

The fragmentation of a node for one typical pod is the part of its free GPU thousandths that this pod cannot use: all
of them where the pod does not fit (too little CPU, the wrong model, too few GPUs with enough free), else those of the
GPUs that have less free than the pod requests of one. The fragmentation of a node is the sum over typical pods,
weighted with how often they occur. Source: Weng et al., "Beware of Fragmentation" (ATC 2023), section 3.

Kept is what is *usable*, weight times free thousandths minus fragmentation: whatever node takes a pod, weight times
free thousandths falls alike, so the placement that raises fragmentation least is the one that costs the least usable
thousandths. And usable thousandths separate: for shares, GPU f contributes f times the weight of the shares that fit
(in CPU and in f), and for whole GPUs, w free ones contribute 1000 w times the weight of the pods that request up to w.
So a node costs one look-up per GPU, whatever the number of typical pods. Weights are integers: numbers of pods.

As in the paper, memory plays no part, and pods without a GPU (to which all free thousandths are fragments) add the
same everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables


@helper
def whole_usable(tables: Tables, model: int, level: int, whole: int) -> int:
    """Usable thousandths of `whole` free GPUs for pods that request whole GPUs."""
    return 1000 * whole * tables.whole_weight[model, level, whole]


@helper
def share_usable(tables: Tables, model: int, level: int, milli: int) -> int:
    """Usable thousandths of a GPU with `milli` free for pods that request a share."""
    return milli * tables.share_weight[model, level, tables.share_level[milli]]


@helper
def usable(nodes: Nodes, tables: Tables, node: int, cpu: int) -> int:
    """Usable thousandths of a node if `cpu` thousandths of a core were free."""
    model, level = nodes.node[node, ns.MODEL], tables.cpu_level[cpu]
    total = whole_usable(tables, model, level, nodes.node[node, ns.WHOLE])
    if tables.share_weight.shape[2] == 1:  # no typical pod requests a share
        return total
    for gpu in range(nodes.node[node, ns.GPUS]):
        total += share_usable(tables, model, level, nodes.gpu[node, gpu])
    return total


@helper
def usable_after(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> tuple[int, int]:
    """Usable thousandths of a node with a pod on it, at best, and the GPU of a share that keeps so many (else -1)."""
    cpu = nodes.node[node, ns.FREE_CPU] - pod[ns.CPU]
    if pod[ns.NUM_GPUS] == 0:
        return usable(nodes, tables, node, cpu), -1
    model, level, whole = nodes.node[node, ns.MODEL], tables.cpu_level[cpu], nodes.node[node, ns.WHOLE]
    before = whole_usable(tables, model, level, whole)
    if pod[ns.MILLI] == 1000:
        taken = pod[ns.NUM_GPUS]
        lost = before - whole_usable(tables, model, level, whole - taken)
        return usable(nodes, tables, node, cpu) - lost - taken * share_usable(tables, model, level, 1000), -1
    # A share of a whole GPU also takes that GPU from the pods that request whole ones.
    broken = before - whole_usable(tables, model, level, whole - 1) if whole > 0 else 0
    total, least, chosen = before, ns.INFEASIBLE, -1
    for gpu in range(nodes.node[node, ns.GPUS]):
        milli = nodes.gpu[node, gpu]
        now = share_usable(tables, model, level, milli)
        total += now
        if milli >= pod[ns.MILLI]:
            lost = now - share_usable(tables, model, level, milli - pod[ns.MILLI])
            if milli == 1000:
                lost += broken
            if lost < least:
                least, chosen = lost, gpu
    return total - least, chosen


def make_tables(
    pods: NDArray[np.int64], *, most_cpu_milli: int, most_gpus: int, num_models: int, popularity: float = 1.0
) -> Tables:
    """The popularity tables of the pods that are typical for a workload.

    Args:
        pods: [pods, POD_COLUMNS] int64, a sample of the workload.
        most_cpu_milli: CPU of the largest node, thousandths of a core.
        most_gpus: GPUs of the largest node.
        num_models: GPU models of the cluster.
        popularity: share of the pods that the typical ones cover, the most frequent requests first.
    """
    requested = pods[:, [ns.CPU, ns.NUM_GPUS, ns.MILLI, ns.MODELS]]
    requests, counts = np.unique(requested, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    enough = int(np.searchsorted(np.cumsum(counts[order]), popularity * len(pods))) + 1
    typical = order[:enough]
    weight = int(counts[typical].sum())
    typical = typical[requests[typical, 1] > 0]
    requests, counts = requests[typical], counts[typical].astype(np.int64)
    cpus, shares = np.unique(requests[:, 0]), np.unique(requests[requests[:, 2] < 1000, 2])
    share_weight = np.zeros((num_models, len(cpus) + 1, len(shares) + 1), np.int64)
    whole_weight = np.zeros((num_models, len(cpus) + 1, most_gpus + 1), np.int64)
    for (cpu, gpus, milli, models), count in zip(requests.tolist(), counts.tolist(), strict=True):
        allowed = [model for model in range(num_models) if models >> model & 1]
        level = int(np.searchsorted(cpus, cpu)) + 1
        if milli < 1000:
            share_weight[allowed, level:, int(np.searchsorted(shares, milli)) + 1 :] += count
        else:
            whole_weight[allowed, level:, gpus:] += count
    return Tables(
        most=np.maximum(np.array([most_cpu_milli, 1000 * most_gpus, weight]), 1),
        cpu_level=np.searchsorted(cpus, np.arange(most_cpu_milli + 1), side="right").astype(np.int16),
        share_level=np.searchsorted(shares, np.arange(1001), side="right").astype(np.int16),
        share_weight=share_weight,
        whole_weight=whole_weight,
    )
