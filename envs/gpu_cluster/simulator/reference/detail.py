"""The reference implementation of detailed nodes: what a job requests, and which node and GPUs a packer gives it.

It keeps each node's CPUs, memory and GPUs as a `PlainNode` of `packing/plain.py`; `placement.py` uses it.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from envs.gpu_cluster.registry import PACKERS
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.packing.packer import Packer
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod
from envs.gpu_cluster.simulator.packing.settings import typical_pods
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.simulator.reference.custom_packer import PlainCustomPacker


class Placed(NamedTuple):
    """A part of a job on GPUs of a node, by its number in the cluster."""

    pod: PlainPod
    number: int
    gpus: tuple[int, ...]


class DetailedNodes:
    """CPUs, memory and GPUs of all nodes.

    Args:
        problem: the checked inputs.
    """

    def __init__(self, problem: Problem) -> None:
        self._pools = problem.pools
        self._jobs = problem.jobs
        packer: Packer = problem.custom_packer or PACKERS[problem.config.packer]
        self._reference = packer.reference
        self.idle_first = packer.idle_first
        most = problem.settings.detail.tables.most
        most_cpu = int(most[0])
        nodes = [PlainNode(0, 0, [], 0, 1, is_open=False) for _ in range(problem.num_nodes)]
        for pool, row in enumerate(self._pools.tolist()):
            for number in range(row[st.NODE_OFFSET], row[st.NODE_OFFSET] + row[st.MAX_NODES]):
                cpu = most_cpu if row[st.NODE_CPU] < 0 else row[st.NODE_CPU]
                memory = max(row[st.NODE_MEMORY], 0)
                nodes[number] = PlainNode(cpu, memory, [1000] * row[st.GPUS], pool, row[st.LINKED])
        self.cluster = PlainCluster(nodes, self._typical(), most_cpu, int(most[1]))
        own = problem.custom_packer
        self._own = None if own is None else PlainCustomPacker(problem, own, self.cluster)

    def _typical(self) -> list[PlainPod]:
        pods = typical_pods(self._jobs, self._pools)
        return [
            PlainPod(0, int(pod[ns.CPU]), 0, int(pod[ns.NUM_GPUS]), int(pod[ns.MILLI]), self._models(pod[ns.MODELS]), 1)
            for pod in pods
        ]

    def _models(self, bits: np.int64) -> frozenset[int]:
        return frozenset(pool for pool in range(len(self._pools)) if int(bits) >> pool & 1)

    def trial(self) -> DetailedNodes:
        """A copy to try things on: what is free on its nodes, and what runs there, is its own."""
        trial, nodes = copy.copy(self), self.cluster.nodes
        own = [replace(node, gpus=list(node.gpus), pods=list(node.pods)) for node in nodes]
        trial.cluster = replace(self.cluster, nodes=own)
        trial._own = None if self._own is None else self._own.on(trial.cluster)  # noqa: SLF001 (its own)
        return trial

    def number(self, pool: int, node: int) -> int:
        """The number in the cluster of a node of a pool."""
        return int(self._pools[pool, st.NODE_OFFSET]) + node

    def each(self, job: int, pool: int) -> tuple[int, int]:
        """CPUs (thousandths) and MiB that go with each GPU of a job, or with its share."""
        gpus = max(1, int(self._jobs[job, st.MILLI]) // 1000)
        cpu = int(self._jobs[job, st.CPU_MILLI]) if self._pools[pool, st.NODE_CPU] >= 0 else 0
        memory = int(self._jobs[job, st.MEMORY_MIB]) if self._pools[pool, st.NODE_MEMORY] >= 0 else 0
        return cpu // gpus, memory // gpus

    def pod(self, job: int, pool: int, gpus: int, is_last: bool, end: int) -> PlainPod:
        """What a job requests of one node: equal amounts with each GPU; its last part takes what cannot be divided."""
        cpu, memory = self.each(job, pool)
        left_cpu = left_memory = 0
        milli = int(self._jobs[job, st.MILLI])
        if is_last and milli >= 1000:
            left_cpu = (
                int(self._jobs[job, st.CPU_MILLI]) % (milli // 1000) if self._pools[pool, st.NODE_CPU] >= 0 else 0
            )
            if self._pools[pool, st.NODE_MEMORY] >= 0:
                left_memory = int(self._jobs[job, st.MEMORY_MIB]) % (milli // 1000)
        models = frozenset(range(len(self._pools)))
        return PlainPod(job, cpu * gpus + left_cpu, memory * gpus + left_memory, gpus, min(milli, 1000), models, end)

    def predicted_end(self, job: int, left: int, now: int) -> int:
        """When a job that starts now with `left` of its work is predicted to end; at least 1 ms from now."""
        done = int(self._jobs[job, st.DURATION_MS]) - -(-left // st.PPM)
        return now + max(1, int(self._jobs[job, st.LIFETIME_MS]) - done)

    def choose(self, numbers: list[int], pod: PlainPod) -> int | None:
        """The node that the packer takes among those where the pod fits, the one with the lowest key, then number."""
        nodes = self.cluster.nodes
        fitting = [number for number in numbers if nodes[number].fits(pod)]
        if self._own is not None:
            return self._own.choose(fitting, pod)
        assert self._reference is not None
        score = self._reference.score
        return min(fitting, key=lambda number: (score(self.cluster, nodes[number], pod, number), number), default=None)

    def start(self, pod: PlainPod, number: int) -> Placed:
        """Start a part of a job on a node, on the GPUs that the packer takes."""
        if self._own is not None:
            gpus = self._own.gpus(pod, number)
        else:
            assert self._reference is not None
            gpus = self._reference.gpus(self.cluster, self.cluster.nodes[number], pod)
        self.cluster.start(pod, number, gpus)
        return Placed(pod, number, gpus)

    def end(self, placed: Placed) -> None:
        """End a part of a job."""
        self.cluster.end(placed.pod, placed.number, placed.gpus)

    def free_gpu(self, number: int, gpu: int) -> int:
        """Free thousandths of a GPU."""
        return self.cluster.nodes[number].gpus[gpu]

    def fits(self, number: int, pod: PlainPod) -> bool:
        """Whether a part of a job fits on a node."""
        return self.cluster.nodes[number].fits(pod)

    def has_gpus(self, number: int, pod: PlainPod) -> bool:
        """Whether a node has the GPUs for a part of a job, whatever its CPUs and memory."""
        return len(self.cluster.nodes[number].fitting(pod)) >= pod.gpus

    def more_gpus(self, job: int, pool: int, number: int) -> int:
        """How many more GPUs of a node the CPUs and the memory left on it allow a job."""
        node, limits = self.cluster.nodes[number], [len(self.cluster.nodes[number].gpus)]
        limits += [
            free // each for free, each in zip((node.cpu, node.memory), self.each(job, pool), strict=True) if each
        ]
        return min(limits)

    def nodes_needed(self, pool: int, pods: list[PlainPod]) -> int:
        """Nodes that would hold these parts if they packed perfectly."""
        row = self._pools[pool]
        pairs = [
            (sum(pod.gpus * pod.milli for pod in pods), 1000 * int(row[st.GPUS])),
            (sum(pod.cpu for pod in pods), int(row[st.NODE_CPU])),
            (sum(pod.memory for pod in pods), int(row[st.NODE_MEMORY])),
        ]
        return max(-(-request // limit) for request, limit in pairs if limit > 0)
