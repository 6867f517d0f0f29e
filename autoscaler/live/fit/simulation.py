"""Puts pods on nodes as the scheduler would, and takes them back: what would be if."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from autoscaler.live.fit.hosts import Host, host_of
from autoscaler.live.fit.topology import Topology
from autoscaler.live.model import ClusterView
from autoscaler.live.objects import PodView

__all__ = ["Host", "Simulation", "simulate"]


class Simulation:
    """Nodes with the pods on them.

    Args:
        hosts: the nodes.
        guarded: a pod on them has a required anti-affinity to others.
    """

    def __init__(self, hosts: Iterable[Host], guarded: bool) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._topology = Topology(self._hosts.values, guarded)

    def host(self, name: str) -> Host:
        """The node of a name.

        Raises:
            KeyError: there is none.
        """
        return self._hosts[name]

    def problem(self, pod: PodView, host: Host) -> str:
        """Why a pod cannot go to a node; empty: it can."""
        return host.problem(pod) or self._topology.problem(pod, host)

    def put(self, pod: PodView, host: Host) -> None:
        """Put a pod on a node, whether or not it fits."""
        self._topology.add(pod, host, 1)
        host.put(pod)

    def take(self, pod: PodView, host: Host) -> None:
        """Take a pod from its node."""
        host.take(pod)
        self._topology.add(pod, host, -1)

    def add(self, host: Host) -> None:
        """Add a node."""
        self._hosts[host.name] = host
        self._topology.add_host(host)

    def drop(self, host: Host) -> None:
        """Take a node away, with the pods on it."""
        self._topology.drop_host(host)
        del self._hosts[host.name]


def simulate(view: ClusterView) -> Simulation:
    """The cluster as a view shows it; every node counts for topology, whatever its state."""
    nodes = chain(view.unmanaged_nodes, *(pool.nodes for pool in view.pools))
    guarded = any(pod.pod_anti_affinity for pod in view.pods.values())
    return Simulation((host_of(node, view) for node in nodes), guarded)
