"""Which pods fit on which nodes now, with what has been promised already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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

    Attributes:
        claimed: names of the nodes on which something was placed that is not bound yet.
    """

    def __init__(self, view: ClusterView, state: GuardrailState, gpu_resources: Mapping[str, str]) -> None:
        self.claimed: set[str] = set()
        self._gpu_resources = gpu_resources
        self._nodes = {pool.name: _usable(pool) for pool in view.pools}
        self._free: dict[str, dict[str, int]] = {}
        for nodes in self._nodes.values():
            for node in nodes:
                self._free[node.name] = _free(node, view, gpu_resources[node.pool or ""])
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
            for pool in self._nodes if chosen is None else (chosen,):
                if self.place(pool, [pod]):
                    break

    def has_ready_gpus(self, pool: str) -> bool:
        """Whether a pool has a ready node with allocatable GPUs at all."""
        return bool(self._nodes.get(pool))

    def free_gpus_milli(self, pool: str) -> list[int]:
        """Free GPUs of each ready node of a pool."""
        resource = self._gpu_resources[pool]
        return [self._free[node.name].get(resource, 0) for node in self._nodes.get(pool, ())]

    def place(self, pool: str, pods: Sequence[PodView]) -> bool:
        """Take room for all pods, or for none.

        Returns:
            Whether all fit.
        """
        chosen: list[tuple[str, PodView]] = []
        for pod in pods:
            name = self._best_fit(pool, pod)
            if name is None:
                for placed, back in chosen:
                    self._take(placed, back, sign=1)
                return False
            self._take(name, pod, sign=-1)
            chosen.append((name, pod))
        self.claimed.update(name for name, _ in chosen)
        return True

    def _best_fit(self, pool: str, pod: PodView) -> str | None:
        """The fullest node that the pod fits on, as the packers of the simulator choose."""
        resource = self._gpu_resources.get(pool, "")
        best: tuple[int, str] | None = None
        for node in self._nodes.get(pool, ()):
            free = self._free[node.name]
            key = (free.get(resource, 0), node.name)
            if (best is None or key < best) and _fits(pod, free) and may_run(pod, node):
                best = key
        return None if best is None else best[1]

    def _take(self, node: str, pod: PodView, sign: int) -> None:
        free = self._free[node]
        for resource, amount in _needs(pod):
            free[resource] = free.get(resource, 0) + sign * amount


def _usable(pool: PoolView) -> tuple[NodeView, ...]:
    ready = pool.in_state(NodeState.IDLE, NodeState.BUSY)
    return tuple(node for node in ready if node.allocatable_gpu_milli > 0)


def _needs(pod: PodView) -> Iterable[tuple[str, int]]:
    yield PODS_RESOURCE, ONE_POD_MILLI
    for resource, amount in pod.requests.items():
        if resource != PODS_RESOURCE:
            yield resource, amount


def _fits(pod: PodView, free: Mapping[str, int]) -> bool:
    return all(amount <= 0 or free.get(resource, 0) >= amount for resource, amount in _needs(pod))


def _free(node: NodeView, view: ClusterView, gpu_resource: str) -> dict[str, int]:
    free = dict(node.allocatable)
    for pod in view.pods_on(node):
        for resource, amount in _needs(pod):
            free[resource] = free.get(resource, 0) - amount
    # `used_gpu_milli` also knows of pods that cannot be read.
    free[gpu_resource] = min(free.get(gpu_resource, 0), node.allocatable_gpu_milli - node.used_gpu_milli)
    return free
