"""The rights that every config needs. Providers add theirs, see `autoscaler.live.preflight.needed_rights`."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.live.names import CONFIG_MAP, ORDERS_CONFIG_MAP, STATUS_CONFIG_MAP


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource.

    Attributes:
        group: API group, empty for the core group.
        resource: in the plural, with its subresource: `pods/eviction`.
        verb: such as `list`.
        purpose: what for, in a few words.
        namespaced: only in the Lease's namespace.
        name: only on this object, empty: on all.
    """

    group: str
    resource: str
    verb: str
    purpose: str
    namespaced: bool = False
    name: str = ""

    def __str__(self) -> str:
        """As people say it."""
        where = f".{self.group}" if self.group else ""
        return f"{self.verb} {self.resource}{where}"


def each_verb(group: str, resource: str, verbs: str, purpose: str) -> tuple[Right, ...]:
    """One right for each of some verbs, which are separated by spaces."""
    return tuple(Right(group, resource, verb, purpose) for verb in verbs.split())


OBSERVE = (
    *each_verb("", "nodes", "list watch", "observe"),
    *each_verb("", "pods", "list watch", "observe"),
    *each_verb("batch", "jobs", "list watch", "observe"),
    *each_verb("policy", "poddisruptionbudgets", "list watch", "observe"),
    *(
        right
        for resource in ("resourceslices", "resourceclaims", "resourceclaimtemplates", "deviceclasses")
        for right in each_verb("resource.k8s.io", resource, "list watch", "observe devices and claims")
    ),
    *each_verb("apps", "daemonsets", "list watch", "observe"),
    *each_verb("", "resourcequotas", "list watch", "observe"),
)
ACT = (
    *each_verb("", "nodes", "get patch", "taint and annotate nodes"),
    *each_verb("", "pods", "patch", "place pods: select a pool and remove the gate"),
    *each_verb("", "pods/eviction", "create", "evict pods"),
    *each_verb("", "events", "create get patch", "explain in Events, and count repeated ones"),
)


def _of_one(group: str, resource: str, verb: str, name: str, purpose: str) -> tuple[Right, ...]:
    """Verbs on one object; nobody can be allowed to create only objects of some name."""
    named = [Right(group, resource, each, purpose, namespaced=True, name=name) for each in ("get", verb)]
    return (*named, Right(group, resource, "create", purpose, namespaced=True))


def orders() -> tuple[Right, ...]:
    """The ConfigMap with the numbers of orders."""
    return _of_one("", "configmaps", "patch", ORDERS_CONFIG_MAP, "count orders, so that none is made twice")


def status() -> tuple[Right, ...]:
    """The ConfigMap with the status; `orders` brings the right to create it."""
    purpose = "say how it is, remember cooldowns and backoffs, and obey the kill switch"
    verbs = ("get", "patch", "list", "watch")
    return tuple(Right("", "configmaps", verb, purpose, True, STATUS_CONFIG_MAP) for verb in verbs)


def switch() -> tuple[Right, ...]:
    """The ConfigMap with a key that is the kill switch."""
    purpose = "obey the kill switch"
    return tuple(Right("", "configmaps", verb, purpose, True, CONFIG_MAP) for verb in ("list", "watch"))


def lead(lease_name: str) -> tuple[Right, ...]:
    """The Lease."""
    return _of_one("coordination.k8s.io", "leases", "update", lease_name, "lead")
