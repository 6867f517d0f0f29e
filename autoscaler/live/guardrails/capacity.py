"""Which pods fit on which nodes now, with what has been promised already."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.model import ClusterView, NodeState, NodeView, PodView, PoolView
from autoscaler.live.names import LABEL_POOL

PODS_RESOURCE = "pods"
ONE_POD_MILLI = 1000
_BLOCKING_EFFECTS = ("NoSchedule", "NoExecute")


def may_run(pod: PodView, node: NodeView) -> bool:
    """Whether the scheduler could put a pod on a node, resources aside."""
    if node.unschedulable or node.deleted_seconds is not None:
        return False
    for taint in node.taints:
        if taint.effect in _BLOCKING_EFFECTS and not any(each.tolerates(taint) for each in pod.tolerations):
            return False
    if any(node.labels.get(key) != value for key, value in pod.node_selector.items()):
        return False
    terms = pod.affinity_terms
    return not terms or any(term and all(each.matches(node.labels) for each in term) for term in terms)


class Capacity:
    """Free resources of the ready nodes, from which gangs take. It belongs to one evaluation.

    Nodes are kept by their number of free GPUs, as the packers of the simulator keep them, so that a look for the
    fullest node with free capacity does not go through all of them.

    Attributes:
        claimed: names of the nodes on which something was placed that is not bound yet.
    """

    def __init__(self, view: ClusterView, state: GuardrailState, gpu_resources: Mapping[str, str]) -> None:
        self.claimed: set[str] = set()
        self._gpu_resources = gpu_resources
        self._nodes: dict[str, NodeView] = {}
        self._free: dict[str, dict[str, int]] = {}
        self._by_free_gpus: dict[str, dict[int, list[str]]] = {pool.name: {} for pool in view.pools}
        for pool in view.pools:
            for node in sorted(_usable(pool), key=lambda each: each.name):
                self._nodes[node.name] = node
                self._free[node.name] = free = _free(node, view, gpu_resources[pool.name])
                self._by_free_gpus[pool.name].setdefault(free[gpu_resources[pool.name]], []).append(node.name)
        self._keep_promises(view, state)

    def _keep_promises(self, view: ClusterView, state: GuardrailState) -> None:
        """Pods without a gate that are not bound yet: the scheduler is about to put them somewhere."""
        waiting = [
            pod
            for pod in view.pods.values()
            if not pod.node_name and not pod.finished and (not pod.gates or pod.uid in state.released)
        ]
        for pod in sorted(waiting, key=lambda each: (each.created_seconds, each.namespace, each.name)):
            released = state.released.get(pod.uid)
            chosen = released[0] if released is not None else pod.node_selector.get(LABEL_POOL)
            for pool in self._by_free_gpus if chosen is None else (chosen,):
                if self.place(pool, [pod]):
                    break

    def has_ready_gpus(self, pool: str) -> bool:
        """Whether a pool has a ready node with allocatable GPUs at all."""
        return any(self._by_free_gpus.get(pool, {}).values())

    def free_on(self, node: str) -> dict[str, int] | None:
        """A copy of the free resources of a ready node of a pool, promises taken off; None: of no such node."""
        free = self._free.get(node)
        return None if free is None else dict(free)

    def free_gpus_milli(self, pool: str) -> Counter[int]:
        """How many ready nodes of a pool have so many thousandths of GPUs free."""
        return Counter({free: len(names) for free, names in self._by_free_gpus[pool].items() if names})

    def place(self, pool: str, pods: Sequence[PodView], among: Collection[str] | None = None) -> bool:
        """Reserve capacity for all pods, or for none.

        Args:
            pool: the pool.
            pods: what is to fit.
            among: names of the nodes that count; None: all that are ready.

        Returns:
            Whether all fit.
        """
        chosen: list[tuple[str, PodView]] = []
        for pod in pods:
            name = self._best_fit(pool, pod, among)
            if name is None:
                for placed, back in chosen:
                    self._take(pool, placed, back, sign=1)
                return False
            self._take(pool, name, pod, sign=-1)
            chosen.append((name, pod))
        self.claimed.update(name for name, _ in chosen)
        return True

    def _best_fit(self, pool: str, pod: PodView, among: Collection[str] | None) -> str | None:
        """The fullest node that the pod fits on, as the packers of the simulator choose."""
        levels = self._by_free_gpus.get(pool, {})
        needed = pod.requests.get(self._gpu_resources.get(pool, ""), 0)
        for level in sorted(level for level in levels if level >= needed):
            for name in levels[level]:
                is_offered = among is None or name in among
                if is_offered and fits(pod, self._free[name]) and may_run(pod, self._nodes[name]):
                    return name
        return None

    def _take(self, pool: str, node: str, pod: PodView, sign: int) -> None:
        free, resource = self._free[node], self._gpu_resources[pool]
        before = free[resource]
        for each, amount in needs(pod):
            free[each] = free.get(each, 0) + sign * amount
        if free[resource] != before:
            levels = self._by_free_gpus[pool]
            levels[before].remove(node)
            insort(levels.setdefault(free[resource], []), node)


def _usable(pool: PoolView) -> tuple[NodeView, ...]:
    ready = pool.in_state(NodeState.IDLE, NodeState.BUSY)
    return tuple(node for node in ready if node.allocatable_gpu_milli > 0)


def needs(pod: PodView) -> Iterable[tuple[str, int]]:
    """What a pod takes of a node: resource and thousandths."""
    yield PODS_RESOURCE, ONE_POD_MILLI
    for resource, amount in pod.requests.items():
        if resource != PODS_RESOURCE:
            yield resource, amount


def fits(pod: PodView, free: Mapping[str, int]) -> bool:
    """Whether free resources suffice for a pod."""
    return all(amount <= 0 or free.get(resource, 0) >= amount for resource, amount in needs(pod))


def free_resources(node: NodeView, view: ClusterView) -> dict[str, int]:
    """What a node can allocate, less the requests of all pods on it, in thousandths."""
    free = dict(node.allocatable)
    for pod in view.pods_on(node):
        for resource, amount in needs(pod):
            free[resource] = free.get(resource, 0) - amount
    return free


def _free(node: NodeView, view: ClusterView, gpu_resource: str) -> dict[str, int]:
    free = free_resources(node, view)
    # `used_gpu_milli` also knows of pods that cannot be read.
    free[gpu_resource] = min(free.get(gpu_resource, 0), node.allocatable_gpu_milli - node.used_gpu_milli)
    return free
