"""The memory of node packing: what each node of a heterogeneous cluster has free, as flat arrays of integers.

Unlike `Cluster`, whose pools hold equal nodes and count whole GPUs, every node here has its own CPUs, memory, GPUs and
GPU model, and every GPU its own free thousandths. `packing/choice.py` says how an engine uses it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper

Pod = NDArray[np.int64]
"""One row of a table of pods: [POD_COLUMNS] int64."""

# Columns of a table of pods: thousandths of a core, MiB, number of GPUs, thousandths of each of them (1000, or less of
# a single one), bits of the GPU models allowed, predicted end (any unit, above 0), number of the shape (pods with the
# same request), number of the pod.
CPU, MEMORY, NUM_GPUS, MILLI, MODELS, END, SHAPE, NUMBER = range(8)
POD_COLUMNS = 8

# Columns of `Nodes.node`. LARGEST: most free thousandths of one GPU. LINKED: GPUs that share a fast link or a NUMA
# node, in blocks from GPU 0. LATEST_END: of the pods that run here, 0 without pods. USABLE: see `fragmentation.py`.
OPEN, FREE_CPU, FREE_MEMORY, FREE_MILLI, WHOLE, LARGEST, GPUS, MODEL, LINKED, LATEST_END, PODS, KINDS, USABLE = range(
    13
)
NODE_COLUMNS = 13
# Scratch behind them, where jobs on detailed nodes pass a reservation or are preempted: what the node has free while a
# plan is tried, of CPUs, memory and, from TRIAL_GPUS on, of each GPU.
TRIAL_CPU, TRIAL_MEMORY, TRIAL_GPUS = range(13, 16)

# Entries of `Nodes.clock`: changes of any node so far, and the packer that `Nodes.key` belongs to.
CHANGES, PACKER = range(2)

INFEASIBLE = int(np.iinfo(np.int64).max)
"""The key of a node that cannot take a pod."""

BEST_FIT_BITS = 40
"""Keys that put something before best fit shift it by so many bits; `allocate` checks that best fit stays below."""


class Nodes(NamedTuple):
    """The state of M nodes with G GPUs at most, and the keys of S shapes of pods; a `Simulator` keeps no keys.

    Attributes:
        node: [M, NODE_COLUMNS] int64, or with the scratch columns behind them [M, TRIAL_GPUS + G].
        gpu: [M, G] int64, free thousandths of each GPU, 0 where a node has no such GPU.
        kind: [M, G + 1] int64, running pods that request a share (column 0) or so many whole GPUs.
        key: [S + 1, M] int64, the packer's key of each node for each shape, right but for the changes since `synced`;
            in the last row keys that are not kept.
        synced: [S] int64, the value of `clock[CHANGES]` up to which a row of `key` is right, -1: never filled.
        log: [M] int64, ring of the nodes that changed last.
        clock: [2] int64.
    """

    node: NDArray[np.int64]
    gpu: NDArray[np.int64]
    kind: NDArray[np.int64]
    key: NDArray[np.int64]
    synced: NDArray[np.int64]
    log: NDArray[np.int64]
    clock: NDArray[np.int64]


class Tables(NamedTuple):
    """What does not change: the largest node, and the popularity of requests (see `fragmentation.py`).

    Attributes:
        most: [3] int64, the most CPU and the most GPU thousandths of any node, and the weight of all typical pods; at
            least 1.
        cpu_level: [most CPU + 1] int16, how many of the CPU requests that occur are covered by so much free CPU.
        share_level: [1001] int16, how many of the GPU shares that occur are covered by so many free thousandths.
        share_weight: [models, CPU levels, share levels] int64, pods that request a share, that a node of the model may
            run, and whose CPU and share are covered.
        whole_weight: [models, CPU levels, G + 1] int64, the same of pods that request up to so many whole GPUs.
    """

    most: NDArray[np.int64]
    cpu_level: NDArray[np.int16]
    share_level: NDArray[np.int16]
    share_weight: NDArray[np.int64]
    whole_weight: NDArray[np.int64]


def empty_tables() -> Tables:
    """`Tables` without rows, of the types that all tables have."""
    one, three = np.zeros(0, np.int64), np.zeros((0, 0, 0), np.int64)
    return Tables(one, one.astype(np.int16), one.astype(np.int16), three, three)


@helper
def fits(nodes: Nodes, pod: Pod, node: int) -> bool:
    """Whether a node is open and a pod fits on it."""
    row = nodes.node[node]
    if row[OPEN] == 0 or row[FREE_CPU] < pod[CPU] or row[FREE_MEMORY] < pod[MEMORY]:
        return False
    if (pod[MODELS] >> row[MODEL]) & 1 == 0:
        return False
    if pod[MILLI] == 1000:
        return row[WHOLE] >= pod[NUM_GPUS]
    return row[LARGEST] >= pod[MILLI]


@helper
def kind_of(pod: Pod) -> int:
    """The column of `Nodes.kind` of a pod, -1 for a pod without a GPU."""
    if pod[NUM_GPUS] == 0:
        return -1
    return pod[NUM_GPUS] if pod[MILLI] == 1000 else 0
