"""Counts of pods by domain, for affinity and anti-affinity to pods and for topology spread.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/ (`InterPodAffinity`, `PodTopologySpread`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from autoscaler.live.constraints import PodTerm, Selector, Spread, selects
from autoscaler.live.fit.hosts import Host
from autoscaler.live.fit.rules import selects_node, untolerated
from autoscaler.live.objects import PodView

Placed = tuple[PodView, Host]
"""A pod, and the node that it is on."""


class PodIndex:
    """Pods on nodes by their labels and by their anti-affinity, so that a count need not look at all of them.

    Args:
        hosts: all nodes.
    """

    def __init__(self, hosts: Iterable[Host]) -> None:
        self._by_label: defaultdict[tuple[str, str], dict[tuple[str, str], Placed]] = defaultdict(dict)
        self._by_term: defaultdict[PodTerm, dict[tuple[str, str], Placed]] = defaultdict(dict)
        self._all: dict[tuple[str, str], Placed] = {}
        for host in hosts:
            for pod in host.pods.values():
                self.change(pod, host, 1)

    @property
    def terms(self) -> list[PodTerm]:
        """All terms of anti-affinity of pods on nodes."""
        return [term for term, pods in self._by_term.items() if pods]

    def change(self, pod: PodView, host: Host, sign: int) -> None:
        """A pod comes (1) or goes (-1)."""
        key = pod.uid, host.name
        tables = [self._all, *(self._by_label[label] for label in pod.labels.items())]
        tables += [self._by_term[term] for term in pod.pod_anti_affinity]
        for table in tables:
            if sign > 0:
                table[key] = pod, host
            else:
                table.pop(key, None)

    def selected(self, selector: Selector) -> list[Placed]:
        """Pods that a selector may match, others among them."""
        for requirement in selector or ():
            if requirement.operator == "In":
                labels = ((requirement.key, value) for value in requirement.values)
                return [placed for label in labels for placed in self._by_label[label].values()]
        return [] if selector is None else list(self._all.values())

    def wanting(self, term: PodTerm) -> list[Placed]:
        """Pods with a term of anti-affinity."""
        return list(self._by_term[term].values())


class DomainCount:
    """How many pods of some kind are in each domain.

    Args:
        key: label whose values are the domains.
        counts: how often a pod counts: 0, 1, or more.
        eligible: which nodes count.
        hosts: all nodes.
        pods: the pods on nodes, at least those that count.

    Attributes:
        pods: by domain.
        domains: nodes that count, by domain.
    """

    def __init__(
        self,
        key: str,
        counts: Callable[[PodView], int],
        eligible: Callable[[Host], bool],
        hosts: Iterable[Host],
        pods: Iterable[Placed],
    ) -> None:
        self.key, self._counts, self._eligible = key, counts, eligible
        self.pods: Counter[str] = Counter()
        self.domains: Counter[str] = Counter()
        self._least: int | None = None
        self._present = 0
        for host in hosts:
            self.change(host, 1)
        for pod, host in pods:
            self.add(pod, host, 1)

    def change(self, host: Host, sign: int) -> None:
        """A node comes (1) or goes (-1), its pods aside."""
        value = host.labels.get(self.key)
        if value is not None and self._eligible(host):
            self._least = None
            self.domains[value] += sign

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
        guarded: a pod has a required anti-affinity.
    """

    def __init__(self, hosts: Callable[[], Iterable[Host]], guarded: bool) -> None:
        self._hosts, self._guarded = hosts, guarded
        self._index: PodIndex | None = None
        self._counts: dict[object, DomainCount] = {}
        self._guards: dict[PodTerm, DomainCount] = {}
        self._last: tuple[PodView, _Rules] | None = None

    def add_host(self, host: Host) -> None:
        """A node comes."""
        self._host(host, 1)

    def drop_host(self, host: Host) -> None:
        """A node goes, with its pods."""
        self._host(host, -1)

    def _host(self, host: Host, sign: int) -> None:
        if self._index is None:
            return
        for count in self._all():
            count.change(host, sign)
        for pod in host.pods.values():
            self.add(pod, host, sign)

    def add(self, pod: PodView, host: Host, sign: int) -> None:
        """A pod is about to come (1), or has gone (-1)."""
        self._guarded = self._guarded or bool(pod.pod_anti_affinity)
        if self._index is None:
            return
        for count in self._all():
            count.add(pod, host, sign)
        self._index.change(pod, host, sign)
        self._guard(pod.pod_anti_affinity)

    def _all(self) -> list[DomainCount]:
        return [*self._counts.values(), *self._guards.values()]

    def problem(self, pod: PodView, host: Host) -> str:
        """Why other pods keep a pod off a node; empty: they do not."""
        if not self._guarded and not pod.depends_on_pods:
            return ""
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
        if self._index is None:
            self._index = PodIndex(self._hosts())
            self._guard(self._index.terms)
        guards = [count for term, count in self._guards.items() if term.matches(pod.namespace, pod.labels)]
        own = [self._matching((term,), term.topology_key) for term in pod.pod_anti_affinity]
        terms = pod.pod_affinity
        return _Rules(
            (*guards, *own),
            tuple(self._matching(terms, term.topology_key) for term in terms),
            all(term.matches(pod.namespace, pod.labels) for term in terms),
            tuple((each, self._spread(pod, each), int(selects(each.selector, pod.labels))) for each in pod.spreads),
        )

    def _guard(self, terms: Iterable[PodTerm]) -> None:
        """Count pods by what they want not near them."""
        for term in terms:
            if term not in self._guards:
                wanting = self._pods.wanting(term)
                self._guards[term] = DomainCount(term.topology_key, _terms_of(term), _any_host, self._hosts(), wanting)
                self._last = None

    @property
    def _pods(self) -> PodIndex:
        assert self._index is not None
        return self._index

    def _matching(self, terms: tuple[PodTerm, ...], key: str) -> DomainCount:
        """Counts of pods that all of some terms are about."""
        name = (terms, key)
        if name not in self._counts:

            def counts(pod: PodView) -> int:
                return int(all(term.matches(pod.namespace, pod.labels) for term in terms))

            chosen = self._pods.selected(terms[0].selector)
            self._counts[name] = DomainCount(key, counts, _any_host, self._hosts(), chosen)
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

            chosen = self._pods.selected(spread.selector)
            self._counts[name] = DomainCount(spread.topology_key, counts, eligible, self._hosts(), chosen)
        return self._counts[name]


def _terms_of(term: PodTerm) -> Callable[[PodView], int]:
    """How often pods have a term of anti-affinity."""
    return lambda pod: pod.pod_anti_affinity.count(term)


def _any_host(_: Host) -> bool:
    return True
