"""Every right that the live autoscaler needs: `autoscaler deploy` asks for them, and `deploy/rbac.yaml` grants them.

A test on a real control plane takes each one away and sees something fail.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.live.config import LiveConfig, ProviderKind
from autoscaler.live.names import ORDERS_CONFIG_MAP, STATUS_CONFIG_MAP


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


def _each(group: str, resource: str, verbs: str, purpose: str, namespaced: bool = False) -> list[Right]:
    return [Right(group, resource, verb, purpose, namespaced) for verb in verbs.split()]


OBSERVE = (
    *_each("", "nodes", "list watch", "observe"),
    *_each("", "pods", "list watch", "observe"),
    *_each("batch", "jobs", "list watch", "observe"),
    *_each("policy", "poddisruptionbudgets", "list watch", "observe"),
)
OBSERVE_KARPENTER = tuple(_each("karpenter.sh", "nodeclaims", "list watch", "observe orders"))
ACT = (
    *_each("", "nodes", "get patch", "taint and annotate nodes"),
    *_each("", "pods", "patch", "place pods: select a pool and remove the gate"),
    *_each("", "pods/eviction", "create", "evict pods"),
    *_each("", "events", "create", "explain in Events"),
)
ACT_KWOK = tuple(_each("", "nodes", "create delete", "make and delete nodes of the provider kwok"))
ACT_KARPENTER = tuple(_each("karpenter.sh", "nodeclaims", "get create delete", "make and delete NodeClaims"))


def _of_one(group: str, resource: str, verb: str, name: str, purpose: str) -> tuple[Right, ...]:
    """Verbs on one object; nobody can be allowed to create only objects of some name."""
    named = [Right(group, resource, each, purpose, namespaced=True, name=name) for each in ("get", verb)]
    return (*named, Right(group, resource, "create", purpose, namespaced=True))


def orders() -> tuple[Right, ...]:
    """The ConfigMap with the numbers of orders."""
    return _of_one("", "configmaps", "patch", ORDERS_CONFIG_MAP, "count orders, so that none is made twice")


def status() -> tuple[Right, ...]:
    """The ConfigMap with the status; `orders` brings the right to create it."""
    purpose = "say how it is, and remember cooldowns and backoffs"
    return tuple(Right("", "configmaps", verb, purpose, True, STATUS_CONFIG_MAP) for verb in ("get", "patch"))


def lead(lease_name: str) -> tuple[Right, ...]:
    """The Lease."""
    return _of_one("coordination.k8s.io", "leases", "update", lease_name, "lead")


def _groups(config: LiveConfig) -> list[Right]:
    """The node groups that say what pools are like."""
    groups = [pool.node_group for pool in config.pools if pool.node_group is not None]
    kinds = dict.fromkeys((group.group, group.resource) for group in groups)
    return [Right(group, resource, "get", "read bounds and templates of node groups") for group, resource in kinds]


def needed(config: LiveConfig) -> tuple[Right, ...]:
    """The rights that a config needs; a dry run only observes."""
    rights = [*OBSERVE, *(OBSERVE_KARPENTER if config.uses_karpenter else ()), *_groups(config)]
    if config.dry_run:
        return tuple(rights)
    rights += [*ACT, *orders(), *status()]
    providers = {pool.provider for pool in config.pools}
    if ProviderKind.KWOK in providers:
        rights += ACT_KWOK
    if ProviderKind.KARPENTER in providers:
        rights += ACT_KARPENTER
    if config.leader_election.enabled:
        rights += lead(config.leader_election.name)
    return tuple(rights)
