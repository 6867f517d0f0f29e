"""The plain Python twin of node packing: slow and obvious, it defines what the compiled packers must do.

Lists, searches over everything, and fragmentation straight from its definition instead of tables and kept keys. The
property tests give both the same nodes and pods, and every choice and number must be equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from envs.gpu_cluster.simulator.packing.scoring import FGD_STEP_MILLI, lot


@dataclass(frozen=True, slots=True)
class PlainPod:
    """What a pod asks; `models` are numbers of GPU models, `milli` is per GPU."""

    number: int
    cpu: int
    memory: int
    gpus: int
    milli: int
    models: frozenset[int]
    end: int

    @property
    def is_share(self) -> bool:
        """Whether it asks a share of one GPU."""
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
        """The GPUs with enough free for one of those that a pod asks."""
        return [gpu for gpu, milli in enumerate(self.gpus) if milli >= pod.milli]

    def has_room(self, pod: PlainPod) -> bool:
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
        """Start a pod on the node of [first, end) with the lowest key; return the node, -1 without room, and GPUs."""
        score, choose_gpus = PLAIN_PACKERS[packer]
        room = [number for number in range(first, end) if self.nodes[number].has_room(pod)]
        if not room:
            return -1, ()
        chosen = min(room, key=lambda number: (score(self, self.nodes[number], pod, number), number))
        gpus = choose_gpus(self, self.nodes[chosen], pod)
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

    def place_gang(
        self, packer: str, pod: PlainPod, size: int, first: int, end: int
    ) -> list[tuple[int, tuple[int, ...]]] | None:
        """Start equal pods or none of them; the topology-aware packer fills the node with most room first."""
        placed: list[tuple[int, tuple[int, ...]]] = []
        while len(placed) < size:
            left = size - len(placed)
            pool, count = (first, end), 1
            if packer == "topology-aware":
                rooms = {number: min(self.room_for(pod, number), left) for number in range(first, end)}
                count = max(rooms.values())
                if left > 1 and count > 0:
                    most = [number for number, room in rooms.items() if room == count]
                    node = min(
                        most, key=lambda number: (_topology_aware(self, self.nodes[number], pod, number), number)
                    )
                    pool = (node, node + 1)
            for _ in range(max(count, 1)):
                number, gpus = self.place(packer, pod, *pool)
                if number < 0:
                    for number_before, gpus_before in placed:
                        self.end(pod, number_before, gpus_before)
                    return None
                placed.append((number, gpus))
        return placed

    def room_for(self, pod: PlainPod, number: int) -> int:
        """How many pods like this one a node has room for."""
        node = self.nodes[number]
        if not node.has_room(pod):
            return 0
        limits = [10**9]
        if pod.cpu:
            limits.append(node.cpu // pod.cpu)
        if pod.memory:
            limits.append(node.memory // pod.memory)
        if pod.gpus:
            limits.append(sum(milli // pod.milli for milli in node.gpus) // pod.gpus)
        return min(limits)


PlainScore = Callable[[PlainCluster, PlainNode, PlainPod, int], object]
PlainGpus = Callable[[PlainCluster, PlainNode, PlainPod], tuple[int, ...]]


def _lowest(_: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    return tuple(node.fitting(pod)[: pod.gpus])


def _tightest(cluster: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    if not pod.is_share:
        return _lowest(cluster, node, pod)
    return (min(node.fitting(pod), key=lambda gpu: (node.gpus[gpu], gpu)),)


def _loosest(cluster: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    if not pod.is_share:
        return _lowest(cluster, node, pod)
    return (min(node.fitting(pod), key=lambda gpu: (-node.gpus[gpu], gpu)),)


def _any(cluster: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    if not pod.is_share:
        return _lowest(cluster, node, pod)
    return (min(node.fitting(pod), key=lambda gpu: (lot(pod.number, gpu), gpu)),)


def _unfragmenting(cluster: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    if not pod.is_share:
        return _lowest(cluster, node, pod)
    return (min(node.fitting(pod), key=lambda gpu: (-cluster.usable(node.with_pod(pod, (gpu,))), gpu)),)


def _aligned(node: PlainNode, pod: PlainPod) -> tuple[int, tuple[int, ...]]:
    """The cost of the best linked blocks, and the GPUs."""
    free = [[gpu for gpu in block if node.gpus[gpu] == 1000] for block in node.blocks]
    if pod.gpus == 0:
        return 0, ()
    if pod.is_share:
        shared = [gpu for gpu in node.fitting(pod) if node.gpus[gpu] < 1000]
        if shared:
            return 0, (min(shared, key=lambda gpu: (node.gpus[gpu], gpu)),)
        fullest = min((block for block in free if block), key=lambda block: (len(block), block))
        return len(fullest), (fullest[0],)
    chosen: list[int] = []
    blocks = unused = 0
    while len(chosen) < pod.gpus:
        left = pod.gpus - len(chosen)
        holding = [block for block in free if len(block) >= left]
        block = min(holding, key=len) if holding else max(free, key=len)
        chosen += block[:left]
        unused += max(len(block) - left, 0)
        blocks += 1
        free.remove(block)
    fewest = -(-pod.gpus // node.linked)
    return 64 * (blocks - fewest) + unused, tuple(sorted(chosen))


def _linked(_: PlainCluster, node: PlainNode, pod: PlainPod) -> tuple[int, ...]:
    return _aligned(node, pod)[1]


def _first_fit(*_: object) -> int:
    return 0


def _best_fit(cluster: PlainCluster, node: PlainNode, pod: PlainPod, _: int) -> int:
    left = node.milli - pod.gpus * pod.milli
    return (node.cpu - pod.cpu) * cluster.most_milli + left * cluster.most_cpu


def _worst_fit(cluster: PlainCluster, node: PlainNode, pod: PlainPod, number: int) -> int:
    return -_best_fit(cluster, node, pod, number)


def _random_fit(_: PlainCluster, __: PlainNode, pod: PlainPod, number: int) -> int:
    return int(lot(pod.number, number + 64))


def _dot_product(cluster: PlainCluster, node: PlainNode, pod: PlainPod, _: int) -> int:
    cpu = node.cpu * pod.cpu // cluster.most_cpu
    milli = node.milli * pod.gpus * pod.milli // cluster.most_milli
    return cpu * cluster.most_milli + milli * cluster.most_cpu


def _gpu_packing(_: PlainCluster, node: PlainNode, pod: PlainPod, __: int) -> tuple[int, int]:
    if pod.gpus == 0:
        return 0, 0
    if all(milli == 1000 for milli in node.gpus):
        return 2, len(node.gpus)
    shared = [node.gpus[gpu] for gpu in node.fitting(pod) if node.gpus[gpu] < 1000]
    return (0, min(shared)) if shared else (1, 0)


def _gpu_clustering(_: PlainCluster, node: PlainNode, pod: PlainPod, __: int) -> tuple[int, int]:
    if pod.gpus == 0:
        return 0, 0
    kinds = {(other.gpus, other.is_share) for other in node.pods if other.gpus}
    mine = (pod.gpus, pod.is_share)
    tier = (0 if kinds == {mine} else 1) if mine in kinds else (3 if kinds else 2)
    return tier, node.milli


def _lost(cluster: PlainCluster, node: PlainNode, pod: PlainPod) -> int:
    """Usable thousandths that a pod takes from typical pods: growth of fragmentation plus what it uses itself."""
    after = node.with_pod(pod, _unfragmenting(cluster, node, pod))
    growth = cluster.fragmentation(after) - cluster.fragmentation(node)
    return growth + len(cluster.typical) * pod.gpus * pod.milli


def _fgd(cluster: PlainCluster, node: PlainNode, pod: PlainPod, number: int) -> tuple[int, int]:
    steps = _lost(cluster, node, pod) // (FGD_STEP_MILLI * len(cluster.typical))
    return steps, _best_fit(cluster, node, pod, number)


def _fgd_exact(cluster: PlainCluster, node: PlainNode, pod: PlainPod, _: int) -> int:
    return _lost(cluster, node, pod)


def _lifetime_aware(cluster: PlainCluster, node: PlainNode, pod: PlainPod, number: int) -> tuple[int, int]:
    later = max(pod.end - node.latest_end, 0)
    return later.bit_length(), _best_fit(cluster, node, pod, number)


def _topology_aware(cluster: PlainCluster, node: PlainNode, pod: PlainPod, number: int) -> tuple[int, int]:
    return _aligned(node, pod)[0], _best_fit(cluster, node, pod, number)


PLAIN_PACKERS: dict[str, tuple[PlainScore, PlainGpus]] = {
    "first-fit": (_first_fit, _lowest),
    "best-fit": (_best_fit, _tightest),
    "worst-fit": (_worst_fit, _loosest),
    "random-fit": (_random_fit, _any),
    "dot-product": (_dot_product, _tightest),
    "gpu-packing": (_gpu_packing, _tightest),
    "gpu-clustering": (_gpu_clustering, _tightest),
    "fgd": (_fgd, _unfragmenting),
    "fgd-exact": (_fgd_exact, _unfragmenting),
    "lifetime-aware": (_lifetime_aware, _tightest),
    "topology-aware": (_topology_aware, _linked),
}
"""Key and choice of GPUs of each packer."""
