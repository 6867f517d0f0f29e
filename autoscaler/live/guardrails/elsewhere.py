"""Whether the pods of a node fit on the other nodes of the cluster: nobody is evicted to wait for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.protection import evictable_pods
from autoscaler.live.model import ClusterView
from autoscaler.live.objects import NodeState, NodeView, PodView


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
        self._capacity = capacity
        pools = [node for pool in view.pools for node in pool.nodes]
        self._names = [node.name for node in (*view.unmanaged_nodes, *pools) if _receives(node)]

    def place(self, pods: Iterable[PodView], leaving: Collection[str], reserve: bool = True) -> str:
        """Reserve capacity for all of some pods, or for none.

        Args:
            pods: what is to fit.
            leaving: names of the nodes that go.
            reserve: False: only look.

        Returns:
            Why that is not possible, empty: it is.
        """
        moves: list[tuple[PodView, str]] = []
        problem = ""
        with self._capacity.trial():
            for pod in pods:
                self._capacity.lift(pod)
                name = self._fitting(pod, leaving)
                if name is None:
                    problem = f"pod {pod.namespace}/{pod.name} fits on no other ready node"
                    break
                self._capacity.put(pod, name)
                moves.append((pod, name))
        if not problem and reserve:
            for pod, name in moves:
                self._capacity.lift(pod)
                self._capacity.put(pod, name)
            self._capacity.claimed.update(name for _, name in moves)
        return problem

    def _fitting(self, pod: PodView, leaving: Collection[str]) -> str | None:
        simulation = self._capacity.simulation
        for name in self._names:
            if name not in leaving and not simulation.problem(pod, simulation.host(name)):
                return name
        return None


def _receives(node: NodeView) -> bool:
    """Whether the scheduler may put pods on a node; nodes of no pool need no GPUs for that."""
    return node.ready and node.state is not NodeState.DRAINING and not node.unschedulable
