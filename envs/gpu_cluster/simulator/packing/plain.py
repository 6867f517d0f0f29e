"""The reference implementation of node packing: slow and obvious, it defines what the compiled packers must do.

Lists, searches over everything, and fragmentation straight from its definition instead of tables and kept keys. The
property tests give both the same nodes and pods, and every choice and number must be equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from envs.gpu_cluster.registry import PACKERS


@dataclass(frozen=True, slots=True)
class PlainPod:
    """What a pod requests; `models` are numbers of GPU models, `milli` is per GPU."""

    number: int
    cpu: int
    memory: int
    gpus: int
    milli: int
    models: frozenset[int]
    end: int

    @property
    def is_share(self) -> bool:
        """Whether it requests a share of one GPU."""
        return self.gpus == 1 and self.milli < 1000


@dataclass(slots=True, eq=False)
class PlainNode:
    """A node with what is free, and the pods that run on it."""

    cpu: int
    memory: int
    gpus: list[int]
    model: int
    linked: int
    is_open: bool = True
    latest_end: int = 0
    pods: list[PlainPod] = field(default_factory=list)

    @property
    def milli(self) -> int:
        """Free thousandths of all GPUs."""
        return sum(self.gpus)

    @property
    def blocks(self) -> list[list[int]]:
        """The numbers of the GPUs that are linked with each other."""
        numbers = list(range(len(self.gpus)))
        return [numbers[start : start + self.linked] for start in range(0, len(numbers), self.linked)]

    def fitting(self, pod: PlainPod) -> list[int]:
        """The GPUs with enough free for one of those that a pod requests."""
        return [gpu for gpu, milli in enumerate(self.gpus) if milli >= pod.milli]

    def fits(self, pod: PlainPod) -> bool:
        """Whether a pod can start here."""
        enough = pod.cpu <= self.cpu and pod.memory <= self.memory and len(self.fitting(pod)) >= pod.gpus
        return self.is_open and enough and self.model in pod.models

    def with_pod(self, pod: PlainPod, gpus: tuple[int, ...]) -> PlainNode:
        """What this node would be with a pod on some of its GPUs."""
        left = [milli - pod.milli if gpu in gpus else milli for gpu, milli in enumerate(self.gpus)]
        return PlainNode(self.cpu - pod.cpu, self.memory - pod.memory, left, self.model, self.linked)


@dataclass(slots=True, eq=False)
class PlainCluster:
    """Nodes, the pods that are typical for the workload, and the CPU and GPU thousandths of the largest node."""

    nodes: list[PlainNode]
    typical: list[PlainPod]
    most_cpu: int
    most_milli: int

    def fragmentation(self, node: PlainNode) -> int:
        """Free thousandths that typical pods cannot use, summed over these pods."""
        total = 0
        for pod in self.typical:
            fitting = node.fitting(pod)
            if pod.gpus == 0 or pod.cpu > node.cpu or node.model not in pod.models or len(fitting) < pod.gpus:
                total += node.milli
            else:
                total += node.milli - sum(node.gpus[gpu] for gpu in fitting)
        return total

    def usable(self, node: PlainNode) -> int:
        """Free thousandths that typical pods can use, summed over these pods."""
        return len(self.typical) * node.milli - self.fragmentation(node)

    def place(self, packer: str, pod: PlainPod, first: int, end: int) -> tuple[int, tuple[int, ...]]:
        """Start a pod on the node of [first, end) with the lowest key; return node (-1: it fits on none) and GPUs."""
        reference = PACKERS[packer].reference
        fitting = [number for number in range(first, end) if self.nodes[number].fits(pod)]
        if not fitting:
            return -1, ()
        chosen = min(fitting, key=lambda number: (reference.score(self, self.nodes[number], pod, number), number))
        gpus: tuple[int, ...] = reference.gpus(self, self.nodes[chosen], pod)
        self.start(pod, chosen, gpus)
        return chosen, gpus

    def start(self, pod: PlainPod, number: int, gpus: tuple[int, ...]) -> None:
        """Start a pod on GPUs of a node."""
        node = self.nodes[number]
        left = node.with_pod(pod, gpus)
        node.cpu, node.memory, node.gpus = left.cpu, left.memory, left.gpus
        node.pods.append(pod)
        node.latest_end = max(node.latest_end, pod.end)

    def end(self, pod: PlainPod, number: int, gpus: tuple[int, ...]) -> None:
        """End a pod."""
        node = self.nodes[number]
        node.cpu, node.memory = node.cpu + pod.cpu, node.memory + pod.memory
        node.gpus = [milli + pod.milli if gpu in gpus else milli for gpu, milli in enumerate(node.gpus)]
        node.pods.remove(pod)
        if not node.pods:
            node.latest_end = 0


PlainScore = Callable[[PlainCluster, PlainNode, PlainPod, int], object]
"""The key of a node for a pod; of equals the node with the lower number is chosen."""

PlainGpus = Callable[[PlainCluster, PlainNode, PlainPod], tuple[int, ...]]
"""The GPUs of a node for a pod."""
