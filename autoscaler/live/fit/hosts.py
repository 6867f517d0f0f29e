"""A node as the scheduler sees it, with what is free on it; nodes that do not exist yet are made of a shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from autoscaler.live.constraints import Taint
from autoscaler.live.fit.rules import FIELD_NAME, LABEL_HOSTNAME, needs, port_taken, selects_node, shortage, untolerated
from autoscaler.live.model import ClusterView, NodeShape
from autoscaler.live.objects import NodeView, PodView


class Host:
    """A node, and the pods on it. What is free is counted when it is first asked for.

    Args:
        name: its name.
        labels: its labels; its name is added to them.
        taints: its taints.
        pods: the pods on it, looked up when they are first asked for.
        free: what is free besides them, in thousandths.
        ports: ports of it that others have.
        closed: why it takes no pods at all; empty: it does.
    """

    __slots__ = ("_find", "_free", "_pods", "_total", "closed", "labels", "name", "ports", "taints")

    def __init__(
        self,
        name: str,
        labels: Mapping[str, str],
        taints: Sequence[Taint],
        pods: Callable[[], Iterable[PodView]],
        free: Mapping[str, int],
        ports: Iterable[tuple[str, str, int]] = (),
        closed: str = "",
    ) -> None:
        self.name, self.taints, self.closed = name, taints, closed
        self.labels = {**labels, FIELD_NAME: name}
        self.ports = set(ports)
        self._find, self._total = pods, free
        self._pods: dict[str, PodView] | None = None
        self._free: dict[str, int] | None = None

    @property
    def pods(self) -> dict[str, PodView]:
        """The pods on it by uid."""
        if self._pods is None:
            self._pods = {pod.uid: pod for pod in self._find()}
            self.ports.update(port for pod in self._pods.values() for port in pod.host_ports)
        return self._pods

    @property
    def free(self) -> dict[str, int]:
        """What is free on it, in thousandths."""
        if self._free is None:
            # What a pod takes that cannot be read nobody knows: its node counts as full.
            full = not all(pod.readable for pod in self.pods.values())
            self._free = dict.fromkeys(self._total, 0) if full else dict(self._total)
            for pod in self.pods.values():
                self._count(pod, -1)
        return self._free

    def put(self, pod: PodView) -> None:
        """A pod comes."""
        if self._free is not None:
            self._count(pod, -1)
        self.pods[pod.uid] = pod
        self.ports.update(pod.host_ports)

    def take(self, pod: PodView) -> None:
        """A pod of it goes."""
        del self.pods[pod.uid]
        if self._free is not None:
            self._count(pod, 1)
        if pod.host_ports:
            kept = {port for other in self.pods.values() for port in other.host_ports}
            self.ports -= set(pod.host_ports) - kept

    def _count(self, pod: PodView, sign: int) -> None:
        free = self._free
        assert free is not None
        for resource, amount in needs(pod):
            free[resource] = free.get(resource, 0) + sign * amount

    def problem(self, pod: PodView) -> str:
        """Why it cannot take a pod, pods of other nodes aside; empty: it can."""
        if self.closed:
            return self.closed
        taint = untolerated(pod, self.taints)
        if taint is not None:
            return f"its taint {taint.key} is not tolerated"
        if not selects_node(pod, self.labels):
            return "the node selector or node affinity of the pod rules it out"
        lacking = shortage(pod, self.free)
        return lacking or (port_taken(pod, self.ports) if pod.host_ports else "")


def host_of(node: NodeView, view: ClusterView) -> Host:
    """A node that exists."""
    closed = ""
    if node.unschedulable or node.deleted_seconds is not None:
        closed = "it is cordoned or goes"
    return Host(node.name, node.labels, node.taints, lambda: view.pods_on(node), node.allocatable, closed=closed)


def host_to_come(shape: NodeShape, name: str, labels: Mapping[str, str] | None = None) -> Host:
    """A node of a shape that boots or may be ordered; DaemonSets have their pods on it already.

    Args:
        shape: what it is like.
        name: a name that no node has.
        labels: what is known of its own labels.
    """
    free = dict(shape.allocatable)
    for resource, amount in shape.overhead.items():
        free[resource] = free.get(resource, 0) - amount
    known = {**shape.labels, **(labels or {})}
    known.setdefault(LABEL_HOSTNAME, name)
    return Host(name, known, shape.taints, tuple, free, shape.ports)
