"""Counts of pods by domain, for affinity and anti-affinity to pods and for topology spread.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/ (`InterPodAffinity`, `PodTopologySpread`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from autoscaler.live.constraints import PodTerm, Spread, selects
from autoscaler.live.fit.hosts import Host
from autoscaler.live.fit.rules import selects_node, untolerated
from autoscaler.live.model import PodView


class DomainCount:
    """How many pods of some kind are in each domain.

    Args:
        key: label whose values are the domains.
        counts: how often a pod counts: 0, 1, or more.
        eligible: which nodes count.
        hosts: all nodes.

    Attributes:
        pods: by domain.
        domains: nodes that count, by domain.
    """

    def __init__(
        self, key: str, counts: Callable[[PodView], int], eligible: Callable[[Host], bool], hosts: Iterable[Host]
    ) -> None:
        self.key, self._counts, self._eligible = key, counts, eligible
        self.pods: Counter[str] = Counter()
        self.domains: Counter[str] = Counter()
        self._least: int | None = None
        self._present = 0
        for host in hosts:
            self.add_host(host)

    def add_host(self, host: Host) -> None:
        """A node comes, with its pods."""
        self._host(host, 1)

    def drop_host(self, host: Host) -> None:
        """A node goes, with its pods."""
        self._host(host, -1)

    def _host(self, host: Host, sign: int) -> None:
        value = host.labels.get(self.key)
        if value is None or not self._eligible(host):
            return
        self._least = None
        self.domains[value] += sign
        self.pods[value] += sign * sum(map(self._counts, host.pods.values()))

    def add(self, pod: PodView, host: Host, sign: int) -> None:
        """A pod comes (1) or goes (-1)."""
        value = host.labels.get(self.key)
        if value is not None and self._eligible(host):
            self._least = None
            self.pods[value] += sign * self._counts(pod)

    def near(self, host: Host) -> int:
        """Pods in the domain of a node; 0 for a node without the label."""
        value = host.labels.get(self.key)
        return 0 if value is None else self.pods[value]

    def least(self, min_domains: int) -> int:
        """Pods in the emptiest domain."""
        if self._least is None:
            present = [self.pods[value] for value, nodes in self.domains.items() if nodes > 0]
            self._present, self._least = len(present), min(present, default=0)
        return 0 if self._present < min_domains else self._least


@dataclass(frozen=True, slots=True)
class _Rules:
    """What one pod has to heed of the others.

    Attributes:
        unwanted: counts of pods that want no such pod near them, and of pods that it wants not near it.
        wanted: counts of pods that it wants near it.
        leads: it may be the first of a group that wants to be together.
        spreads: its spreads, their counts, and how often it counts itself.
    """

    unwanted: tuple[DomainCount, ...]
    wanted: tuple[DomainCount, ...]
    leads: bool
    spreads: tuple[tuple[Spread, DomainCount, int], ...]


class Topology:
    """The counts that pods have asked for so far, kept up to date. It belongs to one simulation.

    Args:
        hosts: all nodes, when they are first needed.
        guarded: the pods with a required anti-affinity that are on nodes, likewise.
    """

    def __init__(self, hosts: Callable[[], Iterable[Host]], guarded: Callable[[], Iterable[PodView]]) -> None:
        self._hosts, self._guarded = hosts, guarded
        self._counts: dict[object, DomainCount] = {}
        self._guards: dict[PodTerm, DomainCount] | None = None
        self._terms: dict[PodTerm, None] = {}  # of pods that came before the guards were first counted
        self._last: tuple[PodView, _Rules] | None = None

    def add_host(self, host: Host) -> None:
        """A node comes."""
        for count in self._all():
            count.add_host(host)

    def drop_host(self, host: Host) -> None:
        """A node goes."""
        for count in self._all():
            count.drop_host(host)

    def add(self, pod: PodView, host: Host, sign: int) -> None:
        """A pod is about to come (1), or has gone (-1)."""
        if sign > 0 and pod.pod_anti_affinity:
            if self._guards is None:
                self._terms.update(dict.fromkeys(pod.pod_anti_affinity))
            elif not self._guards.keys() >= set(pod.pod_anti_affinity):
                self._guards.update((term, self._guard(term)) for term in pod.pod_anti_affinity)
                self._last = None
        for count in self._all():
            count.add(pod, host, sign)

    def _all(self) -> list[DomainCount]:
        return [*self._counts.values(), *(self._guards or {}).values()]

    def problem(self, pod: PodView, host: Host) -> str:
        """Why other pods keep a pod off a node; empty: they do not."""
        if self._last is None or self._last[0] is not pod:
            self._last = pod, self._rules(pod)
        rules = self._last[1]
        for count in rules.unwanted:
            if count.near(host) > 0:
                return f"anti-affinity to a pod there or near it (by {count.key})"
        if rules.wanted and not all(count.near(host) > 0 for count in rules.wanted):
            nowhere = rules.leads and not any(+count.pods for count in rules.wanted)
            if not nowhere or not all(count.key in host.labels for count in rules.wanted):
                return f"no pod is near it (by {rules.wanted[0].key}) that its affinity wants there"
        for spread, count, own in rules.spreads:
            if spread.topology_key not in host.labels:
                return f"it has no label {spread.topology_key}, over which the pods are spread"
            if count.near(host) + own - count.least(spread.min_domains) > spread.max_skew:
                return f"too many such pods are there (topology spread over {spread.topology_key})"
        return ""

    def _rules(self, pod: PodView) -> _Rules:
        if self._guards is None:
            known = (term for other in self._guarded() for term in other.pod_anti_affinity)
            self._guards = {term: self._guard(term) for term in dict.fromkeys((*known, *self._terms))}
        guards = [count for term, count in self._guards.items() if term.matches(pod.namespace, pod.labels)]
        own = [self._matching((term,), term.topology_key) for term in pod.pod_anti_affinity]
        terms = pod.pod_affinity
        return _Rules(
            (*guards, *own),
            tuple(self._matching(terms, term.topology_key) for term in terms),
            all(term.matches(pod.namespace, pod.labels) for term in terms),
            tuple((each, self._spread(pod, each), int(selects(each.selector, pod.labels))) for each in pod.spreads),
        )

    def _guard(self, term: PodTerm) -> DomainCount:
        guards = self._guards or {}
        if term in guards:
            return guards[term]
        return DomainCount(term.topology_key, lambda pod: pod.pod_anti_affinity.count(term), _any_host, self._hosts())

    def _matching(self, terms: tuple[PodTerm, ...], key: str) -> DomainCount:
        """Counts of pods that all of some terms are about."""
        name = (terms, key)
        if name not in self._counts:

            def counts(pod: PodView) -> int:
                return int(all(term.matches(pod.namespace, pod.labels) for term in terms))

            self._counts[name] = DomainCount(key, counts, _any_host, self._hosts())
        return self._counts[name]

    def _spread(self, pod: PodView, spread: Spread) -> DomainCount:
        keys, namespace = tuple(each.topology_key for each in pod.spreads), pod.namespace
        selector = tuple(sorted(pod.node_selector.items())), pod.affinity_terms
        name = (spread, namespace, keys, selector, pod.tolerations if spread.honors_taints else ())
        if name not in self._counts:

            def eligible(host: Host) -> bool:
                if not all(key in host.labels for key in keys):
                    return False
                if spread.honors_affinity and not selects_node(pod, host.labels):
                    return False
                return not spread.honors_taints or untolerated(pod, host.taints) is None

            def counts(other: PodView) -> int:
                going = other.deleted_seconds is not None
                return int(not going and other.namespace == namespace and selects(spread.selector, other.labels))

            self._counts[name] = DomainCount(spread.topology_key, counts, eligible, self._hosts())
        return self._counts[name]


def _any_host(_: Host) -> bool:
    return True
