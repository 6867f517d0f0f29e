"""How many nodes waiting gangs really need: their pods are packed on what is there, on what comes, and on new nodes.

The codec counts GPUs. What it cannot see raises its targets here: CPUs, memory and other resources, affinity and
anti-affinity to pods, topology spread, ports, and what DaemonSets take of each new node (ADR 0013). The simulator has
the same rule for CPUs and memory, see "Ordering nodes" in docs/simulator.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler.live.fit.hosts import Host, host_to_come
from autoscaler.live.fit.rules import alone_key, as_placed
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.model import GangView, NodeShape
from autoscaler.live.objects import NodeView, PodView


@dataclass(frozen=True, slots=True)
class Need:
    """What gangs that wait use of a pool, when a gang gets all that it needs or nothing.

    Attributes:
        ready: names of the ready nodes.
        coming_for: how many of the nodes that come, by the key of the gang that is the first to use them.
        new_for: how many new nodes, likewise.
        unmet: keys of the gangs that get nothing.
    """

    ready: frozenset[str]
    coming_for: dict[str, int]
    new_for: dict[str, int]
    unmet: tuple[str, ...]

    @property
    def coming(self) -> int:
        """How many of the nodes that come."""
        return sum(self.coming_for.values())

    @property
    def new(self) -> int:
        """How many new nodes."""
        return sum(self.new_for.values())


def pods_without_place(gang: GangView, pool: str, capacity: Capacity) -> list[PodView]:
    """Pods of a gang that need a place in a pool: those that got none before, those not created yet too."""
    pods = (pod for pod in (*gang.pending, *gang.expected) if pod.uid not in capacity.placed)
    return as_placed(gang, pods, pool)


def need(
    gangs: Sequence[GangView],
    pool: str,
    capacity: Capacity,
    shape: NodeShape,
    coming: Sequence[NodeView | None],
    most_new: int,
) -> Need:
    """What gangs need of a pool.

    Args:
        gangs: in the order of the queue.
        pool: the pool.
        capacity: what is free; it is as before afterwards.
        shape: the next node of the pool.
        coming: nodes that come; None where no Node is there yet.
        most_new: new nodes that may be ordered.
    """
    packing = _Packing(pool, capacity, shape, coming, most_new)
    try:
        with capacity.trial():
            for gang in gangs:
                packing.add(gang)
        return packing.result()
    finally:
        packing.close()


class _Packing:
    """One look at a pool; nodes that come and new ones are in the simulation until it is closed."""

    def __init__(
        self, pool: str, capacity: Capacity, shape: NodeShape, coming: Sequence[NodeView | None], most_new: int
    ) -> None:
        self._pool, self._capacity, self._shape = pool, capacity, shape
        self._coming = [self._host(f"coming {index}", node) for index, node in enumerate(coming)]
        self._new: list[Host] = []
        self._most_new = most_new
        self._ready: set[str] = set()
        self._first: dict[str, str] = {}  # gang that was the first to use a node that comes or is new
        self._unmet: list[str] = []
        self._extra = list(self._coming)
        self._names = {host.name for host in self._extra}
        self._searched: dict[object, int] = {}

    def _host(self, name: str, node: NodeView | None = None) -> Host:
        # A space is in no name of a node, so it cannot be that of one.
        host = host_to_come(self._shape, f"{self._pool} {name}", None if node is None else node.labels)
        self._capacity.simulation.add(host)
        return host

    def close(self) -> None:
        for host in (*self._coming, *self._new):
            self._capacity.simulation.drop(host)

    def add(self, gang: GangView) -> None:
        """Place a gang, whole or not at all."""
        mark, before, searched = self._capacity.mark(), len(self._new), dict(self._searched)
        names = []
        for pod in pods_without_place(gang, self._pool, self._capacity):
            name = self._place(pod)
            if name is None:
                self._capacity.roll_back(mark)
                for host in self._new[before:]:
                    self._capacity.simulation.drop(host)
                    self._names.discard(host.name)
                del self._new[before:]
                del self._extra[len(self._coming) + before :]
                self._searched = searched
                self._unmet.append(gang.key)
                return
            names.append(name)
        self._ready.update(name for name in names if name not in self._names)
        for name in names:
            if name in self._names:
                self._first.setdefault(name, gang.key)

    def _place(self, pod: PodView) -> str | None:
        host = self._capacity.best_fit(self._pool, pod) or self._search(pod) or self._open(pod)
        if host is None:
            return None
        self._capacity.put(pod, host.name)
        return host.name

    def _search(self, pod: PodView) -> Host | None:
        """The first node that comes or is new where a pod fits."""
        key, simulation, found = alone_key(pod), self._capacity.simulation, None
        full = start = self._searched.get(key, 0)
        for at in range(start, len(self._extra)):
            host = self._extra[at]
            if host.problem(pod):
                # Where one pod did not fit by itself, one like it will not fit later: nothing goes in between.
                full = at + 1 if full == at else full
            elif not simulation.problem(pod, host):
                found = host
                break
        self._searched[key] = full
        return found

    def _open(self, pod: PodView) -> Host | None:
        """A new node, if the pod fits there."""
        if len(self._new) >= self._most_new:
            return None
        host = self._host(f"new {len(self._new)}")
        if self._capacity.simulation.problem(pod, host):
            self._capacity.simulation.drop(host)
            return None
        self._new.append(host)
        self._extra.append(host)
        self._names.add(host.name)
        return host

    def result(self) -> Need:
        coming, new = (self._used(hosts) for hosts in (self._coming, self._new))
        return Need(frozenset(self._ready), coming, new, tuple(self._unmet))

    def _used(self, hosts: Sequence[Host]) -> dict[str, int]:
        return dict(Counter(self._first[host.name] for host in hosts if host.name in self._first))
