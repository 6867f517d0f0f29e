"""Which node of a heterogeneous cluster a pod gets, and which of its GPUs. Compiled, without allocating.

An engine calls it so, from its own kernels, with the `Nodes` of a cluster, its `Tables` and a row of a table of pods:

- ``node = choose(packer, nodes, tables, pod, first, end)``: the node among [first, end), a pool, or -1 where none has
  free capacity; or the node with the lowest ``key_of_node(packer, nodes, tables, pod, node)``, of those that an engine
  knows to have the GPUs;
- ``gpus = choose_gpus(packer, nodes, tables, pod, node)``: its GPUs as bits;
- ``take(nodes, tables, pod, node, gpus)`` when the pod starts, and ``give_back`` of the same when it ends;
- ``set_open(nodes, node, 0)`` for a node that is off, boots or is drained, and 1 when it is ready.

`packer` is a position in `PACKERS.listed`. Memory, tables and pods come from `node_packer.py`, whose `NodePacker` wraps
it all for Python, and takes packers that are not there, compiled or plain. `custom.py` does so for `Simulator`.

The keys of all nodes are kept for each shape of pod, and when a shape is needed again only the nodes that changed
since are scored anew (`Nodes.log`). Choosing is then one pass over a row of integers. That costs 8 bytes per shape and
node; `allocate(..., num_shapes=0)` goes without.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, kernel, rare
from envs.gpu_cluster.registry import PACKERS
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import INFEASIBLE, Nodes, Pod, Tables, fits, kind_of
from envs.gpu_cluster.simulator.packing.chain import chain
from envs.gpu_cluster.simulator.packing.fragmentation import usable
from envs.gpu_cluster.simulator.packing.packer import Packer, Score

LISTED: tuple[Packer, ...] = tuple(PACKERS[name] for name in PACKERS.listed)
PACKER_NUMBERS = {name: number for number, name in enumerate(PACKERS.listed)}
"""Kernels know the listed packers by their position; custom ones are not among them."""


def make_score_nodes(score: Score) -> Any:
    """A compiled function that writes the keys of many nodes for one pod, with a score function inlined in its loop."""
    compiled = helper(score)

    def score_nodes(nodes: Nodes, tables: Tables, pod: Pod, row: int, start: int, count: int, logged: bool) -> None:
        """Write `nodes.key[row]` of `count` nodes from node `start`, or from position `start` of the log of changes."""
        at = start
        for _ in range(count):
            node = nodes.log[at] if logged else at
            nodes.key[row, node] = compiled(nodes, tables, pod, node) if fits(nodes, pod, node) else INFEASIBLE
            at += 1
            if logged and at == nodes.log.shape[0]:
                at = 0

    return rare(score_nodes)


def make_adjust_nodes(per_pod: Score | None) -> Any:
    """A compiled function that adds what depends on the very pod to a row of keys, and returns the row to look at."""
    if per_pod is None:

        def keep_keys(nodes: Nodes, tables: Tables, pod: Pod, row: int, first: int, end: int) -> int:  # noqa: ARG001
            return row

        return helper(keep_keys)
    compiled = helper(per_pod)

    def adjust_nodes(nodes: Nodes, tables: Tables, pod: Pod, row: int, first: int, end: int) -> int:
        adjusted = nodes.synced.shape[0]
        for node in range(first, end):
            key = nodes.key[row, node]
            nodes.key[adjusted, node] = key if key == INFEASIBLE else key + compiled(nodes, tables, pod, node)
        return adjusted

    return helper(adjust_nodes)


def _make_key(packer: Packer) -> Any:
    """A compiled function that gives the key of one node for one pod."""
    score = helper(packer.score)
    if packer.per_pod is None:
        return score
    per_pod = helper(packer.per_pod)

    def key(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
        return int(score(nodes, tables, pod, node) + per_pod(nodes, tables, pod, node))

    return helper(key)


key_of_node = chain([_make_key(packer) for packer in LISTED])
score_nodes = chain([make_score_nodes(packer.score) for packer in LISTED])
adjust_nodes = chain([make_adjust_nodes(packer.per_pod) for packer in LISTED])
choose_gpus = chain([helper(packer.gpus) for packer in LISTED])


@helper
def stale_keys(packer: int, nodes: Nodes, pod: Pod) -> tuple[int, int, bool]:
    """The arguments of `score_nodes` (start, count, logged) that make the row of keys of a pod's shape right."""
    if nodes.clock[ns.PACKER] != packer:
        nodes.clock[ns.PACKER] = packer
        for shape in range(nodes.synced.shape[0]):
            nodes.synced[shape] = -1
    now, num_nodes = nodes.clock[ns.CHANGES], nodes.node.shape[0]
    since = nodes.synced[pod[ns.SHAPE]]  # the ring of changes holds the last `num_nodes` of them
    nodes.synced[pod[ns.SHAPE]] = now
    if since < 0 or now - since > num_nodes:
        return 0, num_nodes, False
    return since % num_nodes, now - since, True


@helper
def lowest_key(keys: NDArray[np.int64], first: int, end: int) -> int:
    """The first position in [first, end) with the lowest key, -1 if all are INFEASIBLE."""
    least = INFEASIBLE
    for node in range(first, end):  # a pass without a position, which compilers turn into vector instructions
        least = min(least, keys[node])
    if least == INFEASIBLE:
        return -1
    node = first
    while keys[node] != least:
        node += 1
    return node


@helper
def choose(packer: int, nodes: Nodes, tables: Tables, pod: Pod, first: int, end: int) -> int:
    """The node among [first, end) that a packer chooses for a pod, -1 if it fits on none."""
    row, start, count, logged = nodes.synced.shape[0], first, end - first, False  # the row of keys that are not kept
    if 0 <= pod[ns.SHAPE] < row:
        row = pod[ns.SHAPE]
        start, count, logged = stale_keys(packer, nodes, pod)
    score_nodes(packer, nodes, tables, pod, row, start, count, logged)
    row = adjust_nodes(packer, nodes, tables, pod, row, first, end)
    return lowest_key(nodes.key[row], first, end)


@helper
def note_change(nodes: Nodes, node: int) -> None:
    """Remember that the keys of a node are no longer right, where keys are kept."""
    if nodes.synced.shape[0] > 0:
        nodes.log[nodes.clock[ns.CHANGES] % nodes.log.shape[0]] = node
        nodes.clock[ns.CHANGES] += 1


@helper
def set_open(nodes: Nodes, node: int, is_open: int) -> None:
    """Let a node take pods (1) or not (0)."""
    nodes.node[node, ns.OPEN] = is_open
    note_change(nodes, node)


@helper
def refresh(nodes: Nodes, tables: Tables, node: int) -> None:
    """Bring what is derived from a node's free GPUs and CPU up to date."""
    total, whole, largest = 0, 0, 0
    for gpu in range(nodes.node[node, ns.GPUS]):
        milli = nodes.gpu[node, gpu]
        total += milli
        largest = max(largest, milli)
        if milli == 1000:
            whole += 1
    nodes.node[node, ns.FREE_MILLI] = total
    nodes.node[node, ns.WHOLE] = whole
    nodes.node[node, ns.LARGEST] = largest
    nodes.node[node, ns.USABLE] = usable(nodes, tables, node, nodes.node[node, ns.FREE_CPU])
    note_change(nodes, node)


@helper
def charge(nodes: Nodes, tables: Tables, pod: Pod, node: int, gpus: int, sign: int) -> None:
    """Add (1) or take away (-1) what a pod requests."""
    nodes.node[node, ns.FREE_CPU] += sign * pod[ns.CPU]
    nodes.node[node, ns.FREE_MEMORY] += sign * pod[ns.MEMORY]
    nodes.node[node, ns.PODS] -= sign
    for gpu in range(nodes.node[node, ns.GPUS]):
        if (gpus >> gpu) & 1 == 1:
            nodes.gpu[node, gpu] += sign * pod[ns.MILLI]
    kind = kind_of(pod)
    if kind >= 0:
        # A kind appears with its first pod, and goes with its last.
        if nodes.kind[node, kind] == (0 if sign < 0 else 1):
            nodes.node[node, ns.KINDS] -= sign
        nodes.kind[node, kind] -= sign
    refresh(nodes, tables, node)


@helper
def take(nodes: Nodes, tables: Tables, pod: Pod, node: int, gpus: int) -> None:
    """Start a pod on GPUs (bits) of a node that it fits on."""
    nodes.node[node, ns.LATEST_END] = max(nodes.node[node, ns.LATEST_END], pod[ns.END])
    charge(nodes, tables, pod, node, gpus, -1)


@helper
def give_back(nodes: Nodes, tables: Tables, pod: Pod, node: int, gpus: int) -> None:
    """End a pod.

    LATEST_END stays until the node is empty: while predictions hold, the pod that ends last leaves last.
    """
    if nodes.node[node, ns.PODS] == 1:
        nodes.node[node, ns.LATEST_END] = 0
    charge(nodes, tables, pod, node, gpus, 1)


@helper
def place_one(packer: int, nodes: Nodes, tables: Tables, pod: Pod, first: int, end: int) -> tuple[int, int]:
    """Start a pod on a node of [first, end); return the node, -1 if it fits on none, and its GPUs as bits."""
    node = choose(packer, nodes, tables, pod, first, end)
    if node < 0:
        return -1, 0
    gpus = choose_gpus(packer, nodes, tables, pod, node)
    take(nodes, tables, pod, node, gpus)
    return node, gpus


@kernel
def place_pods(
    packer: int,
    nodes: Nodes,
    tables: Tables,
    pods: NDArray[np.int64],
    first: int,
    end: int,
    chosen: NDArray[np.int64],
    chosen_gpus: NDArray[np.int64],
) -> None:
    """Start pods in their order on nodes of [first, end); `chosen` receives -1 for those that fit on none."""
    for index in range(pods.shape[0]):
        chosen[index], chosen_gpus[index] = place_one(packer, nodes, tables, pods[index], first, end)


@kernel
def change(nodes: Nodes, tables: Tables, pod: Pod, node: int, gpus: int, sign: int) -> None:
    """`take` (-1) or `give_back` (1), for Python."""
    if sign < 0:
        take(nodes, tables, pod, node, gpus)
    else:
        give_back(nodes, tables, pod, node, gpus)


@kernel
def refresh_all(nodes: Nodes, tables: Tables) -> None:
    """`refresh` every node."""
    for node in range(nodes.node.shape[0]):
        refresh(nodes, tables, node)
