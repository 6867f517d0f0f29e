"""Every right that the live autoscaler needs: `autoscaler deploy` asks for them, and `deploy/rbac.yaml` grants them.

A test on a real control plane takes each one away and sees something fail.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.live.config import LiveConfig, ProviderKind


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource.

    Attributes:
        group: API group, empty for the core group.
        resource: in the plural, with its subresource: `pods/eviction`.
        verb: such as `list`.
        purpose: what for, in a few words.
        namespaced: only in the Lease's namespace.
    """

    group: str
    resource: str
    verb: str
    purpose: str
    namespaced: bool = False

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
    *_each("", "pods", "get patch", "place pods: select a pool and remove the gate"),
    *_each("", "pods/eviction", "create", "evict pods"),
    *_each("", "events", "create", "explain in Events"),
)
ACT_KWOK = tuple(_each("", "nodes", "create delete", "make and delete nodes of the provider kwok"))
ACT_KARPENTER = tuple(_each("karpenter.sh", "nodeclaims", "get create delete", "make and delete NodeClaims"))
ORDERS = tuple(_each("", "configmaps", "get create patch", "count orders, so that none is made twice", namespaced=True))
LEAD = tuple(_each("coordination.k8s.io", "leases", "get create update", "lead", namespaced=True))


def needed(config: LiveConfig) -> tuple[Right, ...]:
    """The rights that a config needs; a dry run only observes."""
    rights = [*OBSERVE, *(OBSERVE_KARPENTER if config.uses_karpenter else ())]
    if config.dry_run:
        return tuple(rights)
    rights += [*ACT, *ORDERS]
    providers = {pool.provider for pool in config.pools}
    if ProviderKind.KWOK in providers:
        rights += ACT_KWOK
    if ProviderKind.KARPENTER in providers:
        rights += ACT_KARPENTER
    if config.leader_election.enabled:
        rights += LEAD
    return tuple(rights)
