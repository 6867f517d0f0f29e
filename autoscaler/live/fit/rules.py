"""What one node alone says to a pod: taints, labels, free resources and ports.

Source: https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins (`TaintToleration`, `NodeAffinity`,
`NodeResourcesFit`, `NodePorts`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from autoscaler.live.constraints import Taint
from autoscaler.live.model import GangView
from autoscaler.live.names import LABEL_POOL
from autoscaler.live.objects import PodView

BLOCKING_EFFECTS = frozenset({"NoSchedule", "NoExecute"})
PODS_RESOURCE = "pods"
ONE_POD_MILLI = 1000
LABEL_HOSTNAME = "kubernetes.io/hostname"
FIELD_NAME = "metadata.name"
"""`matchFields` of a node affinity name nodes by this field; hosts carry it like a label."""

ANY_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104, they are compared with what pods say
_BINARY = (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))
_LARGE = 1 << 20


def untolerated(pod: PodView, taints: Iterable[Taint]) -> Taint | None:
    """The first taint that keeps a pod off; None: none does."""
    for taint in taints:
        if taint.effect in BLOCKING_EFFECTS and not any(each.tolerates(taint) for each in pod.tolerations):
            return taint
    return None


def selects_node(pod: PodView, labels: Mapping[str, str]) -> bool:
    """Whether the node selector and the required node affinity of a pod allow a node with these labels."""
    if any(labels.get(key) != value for key, value in pod.node_selector.items()):
        return False
    terms = pod.affinity_terms
    return not terms or any(term and all(each.matches(labels) for each in term) for term in terms)


def needs(pod: PodView) -> Iterable[tuple[str, int]]:
    """What a pod takes of a node: resource and thousandths."""
    yield PODS_RESOURCE, ONE_POD_MILLI
    for resource, amount in pod.requests.items():
        if resource != PODS_RESOURCE:
            yield resource, amount


def fits(pod: PodView, free: Mapping[str, int]) -> bool:
    """Whether free resources suffice for a pod."""
    return all(amount <= 0 or free.get(resource, 0) >= amount for resource, amount in needs(pod))


def shortage(pod: PodView, free: Mapping[str, int]) -> str:
    """The first resource that does not suffice, with both amounts; empty: all do."""
    for resource, amount in needs(pod):
        left = free.get(resource, 0)
        if amount > 0 and left < amount:
            return f"it requests {quantity(amount)} of {resource}, {quantity(max(0, left))} are free"
    return ""


def quantity(milli: int) -> str:
    """Thousandths as Kubernetes writes a quantity: bytes in binary units where they are many."""
    amount = milli / 1000
    if amount >= _LARGE:
        for suffix, size in _BINARY:
            if amount >= size:
                return f"{amount / size:.4g}{suffix}"
    return f"{amount:g}"


def port_taken(pod: PodView, taken: Collection[tuple[str, str, int]]) -> str:
    """The first port of the host that a pod needs and that is taken; empty: none is."""
    for protocol, address, number in pod.host_ports:
        for other_protocol, other, other_number in taken:
            same = address == other or address in ANY_ADDRESSES or other in ANY_ADDRESSES
            if same and (protocol, number) == (other_protocol, other_number):
                return f"port {number} of the host is taken"
    return ""


def as_placed(gang: GangView, pods: Iterable[PodView], pool: str) -> list[PodView]:
    """Pods of a gang as they will be in a pool: those of one that waits for our word then select it."""
    if not gang.gated and gang.admission is None:
        return list(pods)
    return [replace(pod, node_selector={**pod.node_selector, LABEL_POOL: pool}) for pod in pods]


def alone_key(pod: PodView) -> object:
    """All of a pod that decides where it fits, other pods aside."""
    return (
        tuple(sorted(pod.requests.items())),
        tuple(sorted(pod.node_selector.items())),
        pod.affinity_terms,
        pod.tolerations,
        pod.host_ports,
    )


def shape_key(pod: PodView) -> object:
    """All of a pod that decides where it fits, besides other pods that it wants near or not near it."""
    return alone_key(pod), pod.namespace, tuple(sorted(pod.labels.items()))
