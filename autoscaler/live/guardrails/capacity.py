"""Which pods fit on which nodes now, with what has been promised already."""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from autoscaler.live.fit.hosts import Host
from autoscaler.live.fit.rules import shape_key
from autoscaler.live.fit.simulation import simulate
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.model import ClusterView, PoolView
from autoscaler.live.names import LABEL_POOL
from autoscaler.live.objects import NodeState, NodeView, PodView


class Capacity:
    """Free resources of the ready nodes, from which gangs take. It belongs to one evaluation.

    Nodes of pools are kept by their number of free GPUs, as the packers of the simulator keep them, so that a look for
    the fullest node with free capacity does not go through all of them.

    Attributes:
        simulation: all nodes with the pods on them, and those that were placed.
        claimed: names of the nodes on which something was placed that is not bound yet.
        placed: name of the node by uid of each pod that was placed.
    """

    def __init__(self, view: ClusterView, state: GuardrailState, gpu_resources: Mapping[str, str]) -> None:
        self.simulation = simulate(view)
        self.claimed: set[str] = set()
        self.placed: dict[str, str] = {}
        self._gpu_resources = gpu_resources
        self._pool_of: dict[str, str] = {}
        self._by_free_gpus: dict[str, dict[int, list[str]]] = {pool.name: {} for pool in view.pools}
        # What was found by shape of pods, until capacity comes back.
        self._hopeless: dict[str, set[object]] = {}
        self._candidates: dict[object, list[Host]] = {}
        self._journal: list[tuple[PodView, Host, int]] = []
        for pool in view.pools:
            for node in sorted(_usable(pool), key=lambda each: each.name):
                self._pool_of[node.name] = pool.name
                free = self.simulation.host(node.name).free.get(gpu_resources[pool.name], 0)
                self._by_free_gpus[pool.name].setdefault(free, []).append(node.name)
        self._keep_promises(view, state)

    def _keep_promises(self, view: ClusterView, state: GuardrailState) -> None:
        """Pods without a gate that are not bound yet: the scheduler is about to put them somewhere."""
        waiting = [
            pod
            for pod in view.pods.values()
            if not pod.node_name and not pod.finished and (not pod.gates or pod.uid in state.released)
        ]
        names = {node.name for pool in view.pools for node in pool.nodes}
        for pod in sorted(waiting, key=lambda each: (each.created_seconds, each.namespace, each.name)):
            if pod.nominated_node in names:
                # Those that it preempts are still there, so what is free does not matter.
                self.put(pod, pod.nominated_node)
                self.claimed.add(pod.nominated_node)
                continue
            released = state.released.get(pod.uid)
            chosen = released[0] if released is not None else pod.node_selector.get(LABEL_POOL)
            for pool in self._by_free_gpus if chosen is None else (chosen,):
                if self.place(pool, [pod]):
                    break

    def has_ready_gpus(self, pool: str) -> bool:
        """Whether a pool has a ready node with allocatable GPUs at all."""
        return any(self._by_free_gpus.get(pool, {}).values())

    def place(self, pool: str, pods: Sequence[PodView], among: Collection[str] | None = None) -> bool:
        """Reserve capacity for all pods, or for none.

        Args:
            pool: the pool.
            pods: what is to fit.
            among: names of the nodes that count; None: all that are ready.

        Returns:
            Whether all fit.
        """
        start = len(self._journal)
        for pod in pods:
            host = self.best_fit(pool, pod, among)
            if host is None:
                self.roll_back(start)
                return False
            self.put(pod, host.name)
        self.claimed.update(host.name for _, host, _ in self._journal[start:])
        return True

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Everything that is placed inside is taken back at the end."""
        start, claimed = len(self._journal), set(self.claimed)
        try:
            yield
        finally:
            self.roll_back(start)
            self.claimed = claimed

    def best_fit(self, pool: str, pod: PodView, among: Collection[str] | None = None) -> Host | None:
        """The fullest ready node of a pool that a pod fits on, as the packers of the simulator choose; None: none."""
        if pod.depends_on_pods:
            return self._best_near(pool, pod, among)
        shape = None if among is not None else shape_key(pod)
        hopeless = self._hopeless.setdefault(pool, set())
        if shape in hopeless:
            return None
        for name in self._with_gpus(pool, pod):
            host = self.simulation.host(name)
            if (among is None or name in among) and not self.simulation.problem(pod, host):
                return host
        if shape is not None:
            hopeless.add(shape)
        return None

    def _best_near(self, pool: str, pod: PodView, among: Collection[str] | None) -> Host | None:
        """The same for a pod that depends on where others are: each that is placed may open or close nodes to it."""
        key = pool, shape_key(pod)
        if key not in self._candidates:
            hosts = (self.simulation.host(name) for name in self._with_gpus(pool, pod))
            self._candidates[key] = [host for host in hosts if not host.problem(pod)]
        fullest = sorted(self._candidates[key], key=lambda host: (self._gpus(host), host.name))
        fitting = (host for host in fullest if among is None or host.name in among)
        return next((host for host in fitting if not self.simulation.problem(pod, host)), None)

    def _with_gpus(self, pool: str, pod: PodView) -> Iterator[str]:
        """Names of the ready nodes of a pool with enough free GPUs, the fullest first."""
        levels = self._by_free_gpus.get(pool, {})
        needed = pod.requests.get(self._gpu_resources.get(pool, ""), 0)
        for level in sorted(level for level in levels if level >= needed):
            yield from levels[level]

    def put(self, pod: PodView, node: str) -> None:
        """Put a pod on a node where it fits."""
        self._change(pod, self.simulation.host(node), 1)

    def lift(self, pod: PodView) -> None:
        """Take a pod from the node that it runs on: it is about to be evicted."""
        # What did not fit beside it may fit now.
        self._forget_hopeless()
        self._change(pod, self.simulation.host(pod.node_name), -1)

    def _change(self, pod: PodView, host: Host, sign: int) -> None:
        self._journal.append((pod, host, sign))
        self._apply(pod, host, sign)

    def _apply(self, pod: PodView, host: Host, sign: int) -> None:
        before = self._gpus(host)
        if sign > 0:
            self.simulation.put(pod, host)
            self.placed[pod.uid] = host.name
        else:
            self.simulation.take(pod, host)
            self.placed.pop(pod.uid, None)
        self._sort_in(host, before)

    def mark(self) -> int:
        """What `roll_back` goes back to."""
        return len(self._journal)

    def roll_back(self, start: int) -> None:
        """Take back everything since a `mark`."""
        if len(self._journal) > start:
            self._forget_hopeless()
        while len(self._journal) > start:
            pod, host, sign = self._journal.pop()
            self._apply(pod, host, -sign)

    def _forget_hopeless(self) -> None:
        self._hopeless.clear()
        self._candidates.clear()

    def _gpus(self, host: Host) -> int:
        pool = self._pool_of.get(host.name)
        return 0 if pool is None else host.free.get(self._gpu_resources[pool], 0)

    def _sort_in(self, host: Host, before: int) -> None:
        after = self._gpus(host)
        if after != before:
            levels = self._by_free_gpus[self._pool_of[host.name]]
            levels[before].remove(host.name)
            insort(levels.setdefault(after, []), host.name)


def _usable(pool: PoolView) -> tuple[NodeView, ...]:
    ready = pool.in_state(NodeState.IDLE, NodeState.BUSY)
    return tuple(node for node in ready if node.allocatable_gpu_milli > 0)
