"""Custom packers in the reference simulator: the same functions in plain Python, on arrays made of its nodes."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np

from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.custom import key_of, wrong_gpus
from envs.gpu_cluster.simulator.packing.packer import Packer, plain_function
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod
from envs.gpu_cluster.simulator.problem import Problem


class PlainCustomPacker:
    """How a custom packer chooses among plain nodes.

    Args:
        problem: the checked inputs.
        packer: its functions.
        cluster: the nodes.
    """

    def __init__(self, problem: Problem, packer: Packer, cluster: PlainCluster) -> None:
        self._name = problem.config.packer
        self._packer = packer
        self._tables: Tables = problem.settings.detail.tables
        self._cluster = cluster

        @cache
        def usable(cpu: int, gpus: tuple[int, ...], model: int) -> int:
            return cluster.usable(PlainNode(cpu, 0, list(gpus), model, 1))

        self._usable = usable

    def on(self, cluster: PlainCluster) -> PlainCustomPacker:
        """The same for another state of the nodes."""
        other = copy.copy(self)
        other._cluster = cluster  # noqa: SLF001 (its own)
        return other

    def choose(self, fitting: list[int], pod: PlainPod) -> int | None:
        """The node with the lowest key, then number, among those where the pod fits."""
        nodes, request = self._nodes(), self._pod(pod)
        keys = {number: key_of(self._packer, nodes, self._tables, request, number) for number in sorted(fitting)}
        return min(keys, key=lambda number: keys[number], default=None)

    def gpus(self, pod: PlainPod, number: int) -> tuple[int, ...]:
        """The GPUs of a node that a pod gets.

        Raises:
            PackingError: they are not as many as it requests, or are not free.
        """
        pick, node = plain_function(self._packer.gpus), self._cluster.nodes[number]
        bits = int(pick(self._nodes(opened=number), self._tables, self._pod(pod), number))
        gpus = tuple(gpu for gpu in range(len(node.gpus)) if bits >> gpu & 1)
        if bits >> len(node.gpus) or len(gpus) != pod.gpus or not set(gpus) <= set(node.fitting(pod)):
            raise wrong_gpus(self._name, number)
        return gpus

    def _nodes(self, opened: int = -1) -> Nodes:
        """All nodes; open are those with pods, and the one that is just taken."""
        nodes = self._cluster.nodes
        most_gpus, none = self._cluster.most_milli // 1000, np.zeros(0, np.int64)
        n = Nodes(
            node=np.zeros((len(nodes), ns.NODE_COLUMNS), np.int64),
            gpu=np.zeros((len(nodes), most_gpus), np.int64),
            kind=np.zeros((len(nodes), most_gpus + 1), np.int64),
            key=np.zeros((0, len(nodes)), np.int64),
            synced=none,
            log=none,
            clock=none,
        )
        for number, node in enumerate(nodes):
            if not node.gpus:
                continue  # no pool has a node of this number
            n.gpu[number, : len(node.gpus)] = node.gpus
            for pod in node.pods:
                n.kind[number, 0 if pod.is_share else pod.gpus] += 1
            row: list[int] = [
                int(bool(node.pods) or number == opened),
                node.cpu,
                node.memory,
                node.milli,
                node.gpus.count(1000),
                max(node.gpus),
                len(node.gpus),
                node.model,
                node.linked,
                node.latest_end,
                len(node.pods),
                int(np.count_nonzero(n.kind[number])),
                self._usable(node.cpu, tuple(node.gpus), node.model),
            ]
            n.node[number] = row
        return n

    @staticmethod
    def _pod(pod: PlainPod) -> Pod:
        return np.array([pod.cpu, pod.memory, pod.gpus, pod.milli, -1, pod.end, -1, pod.number], np.int64)
