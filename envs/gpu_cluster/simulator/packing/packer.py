"""What a packer is: functions that choose a node and its GPUs for a part of a job.

A custom packer is a function ``score(nodes, tables, pod, node) -> int`` and one line at run time, wherever the program
is; nothing else is compiled anew:

    PACKERS["emptiest"] = Packer(lambda nodes, tables, pod, node: -nodes.node[node, FREE_MILLI])

It is called only for nodes that the pod fits on, is compiled, and must use integers: keys below `INFEASIBLE`, the
smaller the better. To add one to the package, write a file in `packers/` and a line in `envs.gpu_cluster.registry`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from envs.errors import PackingError
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.gpus import tightest_gpus
from envs.gpu_cluster.simulator.packing.plain import PlainGpus, PlainScore
from envs.gpu_cluster.simulator.state import Cluster, Table

Score = Callable[[Nodes, Tables, Pod, int], int]
"""The key of a node for a pod, or the GPUs of a node for a pod as bits."""


class Reference(NamedTuple):
    """The same packer in plain Python, which defines it; the property tests compare both.

    Attributes:
        score: the key of a node; any type that can be compared.
        gpus: the numbers of the GPUs.
    """

    score: PlainScore
    gpus: PlainGpus


class Counted(NamedTuple):
    """How a packer chooses where only the number of free GPUs of each node is kept, which is many times faster.

    Attributes:
        busy_node: (cluster, pools, pool, GPUs) to a busy node with so many GPUs free, -1 without; compiled.
        key: the same in plain Python, (free GPUs, number of the node) to a key, the lowest is chosen.
    """

    busy_node: Callable[[Cluster, Table, int, int], int]
    key: Callable[[int, int], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Packer:
    """How one packer chooses.

    Attributes:
        score: the key of a node; the lowest key, then node, is chosen. It may depend on what the pod requests (the
            columns before END), for keys are kept for each shape.
        gpus: the GPUs of the chosen node, as bits.
        per_pod: what is added to the key and may depend on END and NUMBER.
        compiled: whether numba compiles the functions; plain ones may be any Python, and are many times slower.
        idle_first: whether a job gets an idle node rather than a part of a busy one.
        reference: the same in plain Python; None for a custom packer, whose own functions are called as plain Python.
        counted: how it chooses where CPUs, memory and single GPUs do not count; None: it needs to know them always.
    """

    score: Score
    gpus: Score = tightest_gpus
    per_pod: Score | None = None
    compiled: bool = True
    idle_first: bool = False
    reference: Reference | None = None
    counted: Counted | None = None


def plain_function(function: Any) -> Any:
    """A function as it was before numba compiled it."""
    return getattr(function, "py_func", function)


def check_packer(name: str, packer: Any) -> None:
    """Refuse what cannot be a packer.

    Raises:
        PackingError: that is why.
    """
    if not isinstance(packer, Packer):
        raise PackingError(f"packer {name!r} is a {type(packer).__name__}; write Packer(score)")
    for part in ("score", "gpus", "per_pod"):
        function = plain_function(getattr(packer, part))
        if function is None and part == "per_pod":
            continue
        if not callable(function):
            raise PackingError(
                f"packer {name!r}: {part} is {function!r}; it must be a function (nodes, tables, pod, node)"
            )
        if packer.compiled and not inspect.isfunction(function):
            raise PackingError(
                f"packer {name!r}: {part} is a {type(function).__name__}, and numba compiles functions only; "
                "write Packer(..., compiled=False)"
            )
