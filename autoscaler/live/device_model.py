"""Devices of Kubernetes' dynamic resource allocation: what nodes have and what claims request, parsed and typed.

Amounts of capacities and counters are in thousandths, as all quantities here.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from autoscaler.live.constraints import Taint, Toleration

Amounts = tuple[tuple[str, int], ...]
"""Names with thousandths, sorted by name."""


class DeviceId(NamedTuple):
    """Names one device in the whole cluster.

    Attributes:
        driver: its driver.
        pool: its pool of devices, often the name of its node.
        device: its name in that pool.
    """

    driver: str
    pool: str
    device: str


@dataclass(frozen=True, slots=True)
class PodClaim:
    """One entry of `spec.resourceClaims` of a pod, or the claim that the scheduler made for its extended resources.

    Attributes:
        name: in the pod; empty for one of the scheduler.
        claim: name of the ResourceClaim, empty: not made yet.
        template: name of the ResourceClaimTemplate from which it is made, empty: it is named by the pod.
    """

    name: str
    claim: str = ""
    template: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version."""

    text: str


AttributeValue = str | int | bool | Version


@dataclass(frozen=True, slots=True)
class DeviceKind:
    """All by which a claim can choose a device.

    Attributes:
        driver: its driver.
        attributes: values by domain and name.
        capacity: thousandths by domain and name.
        taints: those that keep claims off.
        classes: DeviceClasses that the config counts it to, whatever their selectors say.
    """

    driver: str
    attributes: tuple[tuple[tuple[str, str], AttributeValue], ...] = ()
    capacity: tuple[tuple[tuple[str, str], int], ...] = ()
    taints: tuple[Taint, ...] = ()
    classes: tuple[str, ...] = ()

    def attribute(self, name: str) -> AttributeValue | None:
        """The value of an attribute by its name with the domain, None: it has no such attribute."""
        domain, _, short = name.rpartition("/")
        return next((value for key, value in self.attributes if key == (domain or self.driver, short)), None)


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a ResourceSlice.

    Attributes:
        name: its name.
        kind: by what it is chosen.
        consumes: what it takes of shared counters, named `set/counter`.
        node_name: its node, where its slice does not say that; empty: none.
    """

    name: str
    kind: DeviceKind
    consumes: Amounts = ()
    node_name: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """Devices that satisfy a request.

    Attributes:
        device_class: name of the DeviceClass.
        selectors: CEL expressions, all of which must be true.
        count: how many; 0: every device that matches, and at least one.
        tolerations: of taints of devices.
    """

    device_class: str
    selectors: tuple[str, ...] = ()
    count: int = 1
    tolerations: tuple[Toleration, ...] = ()

    def tolerates(self, taints: tuple[Taint, ...]) -> bool:
        """Whether it tolerates all of some taints."""
        return all(any(each.tolerates(taint) for each in self.tolerations) for taint in taints)


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A request of a claim.

    Attributes:
        name: its name.
        options: the first that can be had is taken.
    """

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the devices of some requests must have in common, or must not.

    Attributes:
        requests: names of the requests; empty: all.
        attribute: with its domain.
        distinct: True: the values must all differ; False: they must be equal.
    """

    requests: tuple[str, ...]
    attribute: str
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class ClaimSpec:
    """What a claim requests, admin access left out: that holds nothing.

    Attributes:
        requests: its requests.
        constraints: its constraints.
        problem: why it cannot be served here whatever there is; empty: it can.
    """

    requests: tuple[DeviceRequest, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    problem: str = ""
