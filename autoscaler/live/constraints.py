"""What a pod demands of the taints and labels of nodes, and of the pods that are near them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LABEL_NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label of a namespace that says its name; others are not watched, so a selector by them selects nothing."""

PLATFORM_LABELS = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
"""Labels of every node unless its pool's template says otherwise."""


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node.

    Attributes:
        key: its key.
        value: its value.
        effect: `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    """

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, slots=True)
class Toleration:
    """A toleration of a pod; an empty key tolerates every key, an empty effect every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""

    def tolerates(self, taint: Taint) -> bool:
        """Whether it tolerates a taint, as the scheduler decides it."""
        if self.effect and self.effect != taint.effect:
            return False
        if self.operator == "Exists":
            return not self.key or self.key == taint.key
        return self.key == taint.key and self.value == taint.value


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression of a label selector or of a node affinity."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy it; an operator that we do not know matches nothing."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value in self.values
        if self.operator == "NotIn":
            return value not in self.values
        if self.operator == "Exists":
            return value is not None
        if self.operator == "DoesNotExist":
            return value is None
        if self.operator in ("Gt", "Lt") and value is not None:
            return _compares(value, self.operator, self.values)
        return False


def _compares(value: str, operator: str, values: tuple[str, ...]) -> bool:
    try:
        left, right = int(value), int(values[0])
    except (ValueError, IndexError):
        return False
    return left > right if operator == "Gt" else left < right


Selector = tuple[Requirement, ...] | None
"""A label selector: all of it must match. None, a selector that is missing, matches nothing."""


def selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches labels."""
    return selector is not None and all(requirement.matches(labels) for requirement in selector)


@dataclass(frozen=True, slots=True)
class PodTerm:
    """A term of a required affinity or anti-affinity to pods.

    Attributes:
        topology_key: nodes with the same value of this label are near each other.
        selector: which pods.
        namespaces: namespaces of these pods.
        namespace_selector: further namespaces, by their name; None: none.
    """

    topology_key: str
    selector: Selector
    namespaces: tuple[str, ...]
    namespace_selector: Selector = None

    def matches(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether it is about a pod with these labels."""
        near = namespace in self.namespaces or selects(self.namespace_selector, {LABEL_NAMESPACE_NAME: namespace})
        return near and selects(self.selector, labels)


@dataclass(frozen=True, slots=True)
class Spread:
    """A topology spread that must hold.

    Attributes:
        topology_key: nodes with the same value of this label are one domain.
        max_skew: a domain may have so many pods more than the emptiest.
        selector: which pods of the namespace count.
        min_domains: with fewer domains, the emptiest counts as having no pod.
        honors_affinity: only nodes that the pod selects count.
        honors_taints: only nodes whose taints the pod tolerates count.
    """

    topology_key: str
    max_skew: int
    selector: Selector
    min_domains: int = 1
    honors_affinity: bool = True
    honors_taints: bool = False
