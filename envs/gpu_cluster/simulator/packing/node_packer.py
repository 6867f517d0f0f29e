"""Node packing for Python: pods and nodes as arrays, and a cluster that a packer, also a custom one, fills."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, uncached_kernel
from envs.errors import PackingError
from envs.gpu_cluster.registry import PACKERS
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import BEST_FIT_BITS, INFEASIBLE, Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.choice import (
    PACKER_NUMBERS,
    change,
    lowest_key,
    make_adjust_nodes,
    make_score_nodes,
    place_one,
    place_pods,
    refresh_all,
)
from envs.gpu_cluster.simulator.packing.custom import answer_plainly
from envs.gpu_cluster.simulator.packing.packer import Packer, Score, plain_function


def make_pods(
    cpu_milli: NDArray[np.int64],
    memory_mib: NDArray[np.int64],
    num_gpus: NDArray[np.int64],
    gpu_milli: NDArray[np.int64],
    models: NDArray[np.int64] | None = None,
    end: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """A table of pods, numbered in their order; pods that request the same share the number of their shape.

    Args:
        cpu_milli: [pods] int64, thousandths of a core.
        memory_mib: [pods] int64, MiB.
        num_gpus: [pods] int64.
        gpu_milli: [pods] int64, thousandths of each GPU: 1000, less where `num_gpus` is 1, 0 where it is 0.
        models: [pods] int64, bit m: may run on model m. None: on all.
        end: [pods] int64, predicted end in any unit, above 0. None: 1.

    Raises:
        PackingError: A pod requests a share of several GPUs, or a share that is not in [1, 1000].
    """
    wrong = np.flatnonzero(
        np.where(num_gpus == 0, gpu_milli != 0, (gpu_milli < 1) | (gpu_milli > 1000))
        | ((num_gpus > 1) & (gpu_milli != 1000))
    )
    if wrong.size:
        row = int(wrong[0])
        requested = f"{num_gpus[row]} GPUs of {gpu_milli[row]} thousandths each"
        raise PackingError(
            f"pod {row} requests {requested}; request a share of one GPU, or whole GPUs of 1000 thousandths"
        )
    pods = np.zeros((len(cpu_milli), ns.POD_COLUMNS), np.int64)
    pods[:, ns.CPU], pods[:, ns.MEMORY], pods[:, ns.NUM_GPUS], pods[:, ns.MILLI] = (
        cpu_milli,
        memory_mib,
        num_gpus,
        gpu_milli,
    )
    pods[:, ns.MODELS] = INFEASIBLE if models is None else models
    pods[:, ns.END] = 1 if end is None else end
    pods[:, ns.SHAPE] = np.unique(pods[:, : ns.END], axis=0, return_inverse=True)[1].reshape(-1)
    pods[:, ns.NUMBER] = np.arange(len(pods))
    return pods


def allocate(
    cpu_milli: NDArray[np.int64],
    memory_mib: NDArray[np.int64],
    num_gpus: NDArray[np.int64],
    models: NDArray[np.int64],
    tables: Tables,
    *,
    num_shapes: int = 0,
    linked: NDArray[np.int64] | None = None,
) -> Nodes:
    """Memory for nodes that are open and empty.

    Args:
        cpu_milli: [nodes] int64, thousandths of a core.
        memory_mib: [nodes] int64, MiB.
        num_gpus: [nodes] int64.
        models: [nodes] int64, number of the GPU model.
        tables: of the workload.
        num_shapes: shapes of pods whose keys are kept.
        linked: [nodes] int64, GPUs that share a fast link. None: all of a node.

    Raises:
        PackingError: A node is too large for the keys.
    """
    num_nodes, most_gpus = len(cpu_milli), int(num_gpus.max(initial=1))
    if 2 * int(tables.most[0]) * int(tables.most[1]) >= 1 << BEST_FIT_BITS:
        raise PackingError(
            f"the largest node has {tables.most[0]} thousandths of a core and {tables.most[1]} of a GPU; "
            f"their product must be below 2**{BEST_FIT_BITS - 1}"
        )
    nodes = Nodes(
        node=np.zeros((num_nodes, ns.NODE_COLUMNS), np.int64),
        gpu=np.where(np.arange(most_gpus) < num_gpus[:, None], 1000, 0).astype(np.int64),
        kind=np.zeros((num_nodes, most_gpus + 1), np.int64),
        key=np.zeros((num_shapes + 1, num_nodes), np.int64),
        synced=np.full(num_shapes, -1, np.int64),
        log=np.zeros(num_nodes, np.int64),
        clock=np.array([0, -1], np.int64),
    )
    nodes.node[:, ns.OPEN] = 1
    nodes.node[:, ns.FREE_CPU], nodes.node[:, ns.FREE_MEMORY] = cpu_milli, memory_mib
    nodes.node[:, ns.GPUS], nodes.node[:, ns.MODEL] = num_gpus, models
    nodes.node[:, ns.LINKED] = np.maximum(num_gpus if linked is None else linked, 1)
    refresh_all(nodes, tables)
    return nodes


def _compile(packer: Packer) -> Any:
    """`place_pods` for a custom packer; not cached, for nothing says when its source changes."""
    score, per_pod = plain_function(packer.score), plain_function(packer.per_pod)
    score_nodes, adjust_nodes = make_score_nodes(score), make_adjust_nodes(per_pod)
    pick = helper(plain_function(packer.gpus))

    def choose_own(packer: int, nodes: Nodes, tables: Tables, pod: Pod, first: int, end: int) -> int:  # noqa: ARG001
        row = nodes.synced.shape[0]
        score_nodes(nodes, tables, pod, row, first, end - first, False)
        row = adjust_nodes(nodes, tables, pod, row, first, end)
        return lowest_key(nodes.key[row], first, end)

    def choose_own_gpus(packer: int, nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:  # noqa: ARG001
        return pick(nodes, tables, pod, node)

    def copy(function: Any, **replaced: Any) -> Any:
        plain = plain_function(function)
        return types.FunctionType(plain.__code__, {**plain.__globals__, **replaced}, plain.__name__)

    place_own = copy(place_one, choose=helper(choose_own), choose_gpus=helper(choose_own_gpus))
    return uncached_kernel(copy(place_pods, place_one=helper(place_own)))


def _interpret(packer: Packer) -> Any:
    """`place_pods` for a packer in plain Python, which may do what numba cannot compile."""

    def place_plain(
        packer_number: int,  # noqa: ARG001
        nodes: Nodes,
        tables: Tables,
        pods: NDArray[np.int64],
        first: int,
        end: int,
        chosen: NDArray[np.int64],
        chosen_gpus: NDArray[np.int64],
    ) -> None:
        for index, pod in enumerate(pods):
            chosen[index] = answer_plainly(packer, nodes, tables, pod, first, end)
            chosen_gpus[index] = (
                answer_plainly(packer, nodes, tables, pod, chosen[index], -1) if chosen[index] >= 0 else 0
            )
            if chosen[index] >= 0:
                change(nodes, tables, pod, chosen[index], chosen_gpus[index], -1)

    return place_plain


class NodePacker:
    """A cluster that a packer fills, for Python.

    Attributes:
        nodes: the state, which changes.
        tables: the workload's.

    Example:
        >>> packer = NodePacker(nodes, tables, "fgd")
        >>> placed, gpus = packer.place(pods)

    Args:
        nodes: from `allocate`.
        tables: from `make_tables`.
        packer: a name in `PACKERS`; or a score function or a custom `Packer`.
        compiled: whether to compile a custom packer; a plain one may be any Python, and is some thousand times slower.

    Raises:
        EnvironmentConfigError: no packer has this name.
    """

    def __init__(self, nodes: Nodes, tables: Tables, packer: str | Score | Packer, *, compiled: bool = True) -> None:
        self.nodes = nodes
        self.tables = tables
        if isinstance(packer, str) and packer not in PACKER_NUMBERS:
            packer = PACKERS[packer]
        if isinstance(packer, str):
            self._number = PACKER_NUMBERS[packer]
            self._place: Any = place_pods
        else:
            own = packer if isinstance(packer, Packer) else Packer(packer)
            self._number = len(PACKER_NUMBERS)
            self._place = _compile(own) if compiled and own.compiled else _interpret(own)

    def place(
        self, pods: NDArray[np.int64], first: int = 0, end: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Start pods in their order; return each one's node of [first, end), -1: none, and GPUs as bits."""
        nodes, gpus = np.zeros(len(pods), np.int64), np.zeros(len(pods), np.int64)
        last = len(self.nodes.node) if end is None else end
        self._place(self._number, self.nodes, self.tables, pods, first, last, nodes, gpus)
        return nodes, gpus

    def give_back(self, pod: Pod, node: int, gpus: int) -> None:
        """End a pod that was placed on a node and on GPUs (bits)."""
        change(self.nodes, self.tables, pod, node, gpus, 1)
