"""Whether the pods of a node fit on the other nodes of the cluster: nobody is evicted to wait for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from autoscaler.live.guardrails.capacity import Capacity, fits, free_resources, may_run, needs
from autoscaler.live.guardrails.protection import evictable_pods
from autoscaler.live.model import ClusterView, NodeState, NodeView, PodView


def pods_to_move(node: NodeView, view: ClusterView, expendable_below: int) -> tuple[PodView, ...]:
    """The pods of a node that need another place when it goes: not those on their way out, nor expendable ones."""
    return tuple(
        pod for pod in evictable_pods(node, view) if pod.deleted_seconds is None and pod.priority >= expendable_below
    )


class Elsewhere:
    """Free capacity of all ready nodes, of pools and of others. It belongs to one evaluation.

    Args:
        view: the cluster.
        capacity: knows what waiting pods are about to use, and is told which nodes are to receive pods.
    """

    def __init__(self, view: ClusterView, capacity: Capacity) -> None:
        self._view, self._capacity = view, capacity
        self._free: dict[str, dict[str, int]] = {}
        pools = [node for pool in view.pools for node in pool.nodes]
        self._nodes = [node for node in (*view.unmanaged_nodes, *pools) if _receives(node)]

    def place(self, pods: Iterable[PodView], leaving: Collection[str], reserve: bool = True) -> str:
        """Reserve capacity for all of some pods, or for none.

        Args:
            pods: what is to fit.
            leaving: names of the nodes that go.
            reserve: False: only look.

        Returns:
            Why that is not possible, empty: it is.
        """
        taken: list[tuple[str, PodView]] = []
        problem = ""
        for pod in pods:
            if pod.depends_on_pods:
                problem = f"pod {pod.namespace}/{pod.name} depends on where other pods are (affinity or spread)"
            elif (name := self._fitting(pod, leaving)) is None:
                problem = f"pod {pod.namespace}/{pod.name} fits on no other ready node"
            else:
                self._take(name, pod, 1)
                taken.append((name, pod))
            if problem:
                break
        if problem or not reserve:
            for name, pod in taken:
                self._take(name, pod, -1)
        else:
            self._capacity.claimed.update(name for name, _ in taken)
        return problem

    def _fitting(self, pod: PodView, leaving: Collection[str]) -> str | None:
        for node in self._nodes:
            if node.name not in leaving and may_run(pod, node) and fits(pod, self._of(node)):
                return node.name
        return None

    def _of(self, node: NodeView) -> dict[str, int]:
        if node.name not in self._free:
            known = self._capacity.free_on(node.name)
            self._free[node.name] = free_resources(node, self._view) if known is None else known
        return self._free[node.name]

    def _take(self, name: str, pod: PodView, sign: int) -> None:
        free = self._free[name]
        for resource, amount in needs(pod):
            free[resource] = free.get(resource, 0) - sign * amount


def _receives(node: NodeView) -> bool:
    """Whether the scheduler may put pods on a node; nodes of no pool need no GPUs for that."""
    return node.ready and node.state is not NodeState.DRAINING and not node.unschedulable
