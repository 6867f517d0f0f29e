"""Reads ResourceSlices, ResourceClaims, their templates and DeviceClasses (`resource.k8s.io/v1`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.live.clock import Clock
from autoscaler.live.constraints import Requirement, Taint, Toleration
from autoscaler.live.device_model import (
    Amounts,
    AttributeValue,
    ClaimSpec,
    Constraint,
    Device,
    DeviceId,
    DeviceKind,
    DeviceRequest,
    Option,
    PodClaim,
    Version,
)
from autoscaler.live.kube.client import Json
from autoscaler.live.kube.fields import ParseError, count, items, mapping, requirements, strings, text
from autoscaler.live.kube.metadata import common_fields, read_metadata
from autoscaler.live.kube.quantities import QuantityError, parse_milli
from autoscaler.live.objects import ObjectView

BLOCKING_EFFECTS = ("NoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceView(ObjectView):
    """A ResourceSlice.

    Attributes:
        driver: its driver.
        pool: its pool of devices.
        generation: of the pool; only slices of the newest one count.
        pool_slices: how many slices the pool has in that generation.
        node_name: the node whose devices it has, empty: devices say it, or they are of no single node.
        devices: its devices.
        counters: shared counters of the pool, named `set/counter`.
    """

    driver: str
    pool: str
    generation: int = 0
    pool_slices: int = 1
    node_name: str = ""
    devices: tuple[Device, ...] = ()
    counters: Amounts = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimView(ObjectView):
    """A ResourceClaim.

    Attributes:
        spec: what it requests.
        devices: what is allocated to it, admin access left out; None: it is not allocated.
        node_terms: where it can be used once it is allocated: one of the terms must match.
    """

    spec: ClaimSpec
    devices: tuple[DeviceId, ...] | None = None
    node_terms: tuple[tuple[Requirement, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTemplateView(ObjectView):
    """A ResourceClaimTemplate.

    Attributes:
        spec: what its claims request.
    """

    spec: ClaimSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClassView(ObjectView):
    """A DeviceClass.

    Attributes:
        selectors: CEL expressions, all of which must be true for a device of it.
        extended_resource: name of the extended resource that its devices serve, empty: none but the implicit one.
    """

    selectors: tuple[str, ...] = ()
    extended_resource: str = ""


class DeviceParser:
    """Reads them with a clock.

    Args:
        clock: in whose seconds the views' times are.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def resource_slice(self, raw: Json) -> SliceView:
        """A ResourceSlice.

        Raises:
            ParseError: it cannot be read.
        """
        spec = mapping(raw.get("spec"), "spec")
        pool = mapping(spec.get("pool"), "spec.pool")
        driver = text(spec.get("driver"), "spec.driver")
        return SliceView(
            **common_fields(read_metadata(raw, self._clock)),
            driver=driver,
            pool=text(pool.get("name"), "spec.pool.name"),
            generation=count(pool.get("generation"), "spec.pool.generation"),
            pool_slices=count(pool.get("resourceSliceCount"), "spec.pool.resourceSliceCount", 1),
            node_name=text(spec.get("nodeName"), "spec.nodeName"),
            devices=tuple(_device(device, driver) for device in items(spec.get("devices"), "spec.devices")),
            counters=_counters(spec.get("sharedCounters"), "spec.sharedCounters", "name"),
        )

    def claim(self, raw: Json) -> ClaimView:
        """A ResourceClaim.

        Raises:
            ParseError: it cannot be read.
        """
        status = mapping(raw.get("status"), "status")
        allocation = status.get("allocation")
        # Nobody uses one that is reserved for nobody: Kubernetes takes its devices back.
        held = allocation is not None and bool(items(status.get("reservedFor"), "status.reservedFor"))
        return ClaimView(
            **common_fields(read_metadata(raw, self._clock)),
            spec=claim_spec(raw.get("spec"), "spec"),
            devices=_allocated(allocation) if held else None,
            node_terms=_node_terms(allocation) if held else (),
        )

    def claim_template(self, raw: Json) -> ClaimTemplateView:
        """A ResourceClaimTemplate.

        Raises:
            ParseError: it cannot be read.
        """
        spec = mapping(raw.get("spec"), "spec").get("spec")
        base = common_fields(read_metadata(raw, self._clock))
        return ClaimTemplateView(**base, spec=claim_spec(spec, "spec.spec"))

    def device_class(self, raw: Json) -> DeviceClassView:
        """A DeviceClass.

        Raises:
            ParseError: it cannot be read.
        """
        spec = mapping(raw.get("spec"), "spec")
        return DeviceClassView(
            **common_fields(read_metadata(raw, self._clock)),
            selectors=_selectors(spec, "spec"),
            extended_resource=text(spec.get("extendedResourceName"), "spec.extendedResourceName"),
        )


def pod_claims(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[PodClaim, ...]:
    """The claims of a pod. Those that its containers use are among them.

    Raises:
        ParseError: one cannot be read.
    """
    path = "status.resourceClaimStatuses"
    made = {
        text(each.get("name"), f"{path}.name"): text(each.get("resourceClaimName"), f"{path}.resourceClaimName")
        for each in items(status.get("resourceClaimStatuses"), path)
    }
    found = []
    for each in items(spec.get("resourceClaims"), "spec.resourceClaims"):
        name = text(each.get("name"), "spec.resourceClaims.name")
        template = text(each.get("resourceClaimTemplateName"), "spec.resourceClaims.resourceClaimTemplateName")
        claim = text(each.get("resourceClaimName"), "spec.resourceClaims.resourceClaimName")
        found.append(PodClaim(name, claim or made.get(name, ""), template))
    extended = mapping(status.get("extendedResourceClaimStatus"), "status.extendedResourceClaimStatus")
    if extended:
        path = "status.extendedResourceClaimStatus.resourceClaimName"
        found.append(PodClaim("", text(extended.get("resourceClaimName"), path)))
    return tuple(found)


def claim_spec(raw: Any, path: str) -> ClaimSpec:
    """`spec` of a claim, or of a template.

    Raises:
        ParseError: it cannot be read.
    """
    path = f"{path}.devices"
    devices = mapping(mapping(raw, path).get("devices"), path)
    requests: list[DeviceRequest] = []
    problem = ""
    for each in items(devices.get("requests"), f"{path}.requests"):
        where, name = f"{path}.requests", text(each.get("name"), f"{path}.requests.name")
        exactly = mapping(each.get("exactly"), f"{where}.exactly")
        if exactly.get("adminAccess") is True:
            continue
        parts = items(each.get("firstAvailable"), f"{where}.firstAvailable") or [exactly]
        if any(mapping(part.get("capacity"), f"{where}.capacity").get("requests") for part in parts):
            problem = f"request {name} wants a part of a device's capacity, which is not counted here"
        requests.append(DeviceRequest(name, tuple(_option(part, where) for part in parts)))
    constraints = tuple(_constraint(each, path) for each in items(devices.get("constraints"), f"{path}.constraints"))
    return ClaimSpec(tuple(requests), constraints, problem)


def _option(raw: Mapping[str, Any], path: str) -> Option:
    every = text(raw.get("allocationMode"), f"{path}.allocationMode") == "All"
    return Option(
        text(raw.get("deviceClassName"), f"{path}.deviceClassName"),
        _selectors(raw, path),
        0 if every else count(raw.get("count"), f"{path}.count", 1) or 1,
        tuple(
            Toleration(
                text(each.get("key"), path),
                text(each.get("operator"), path) or "Equal",
                text(each.get("value"), path),
                text(each.get("effect"), path),
            )
            for each in items(raw.get("tolerations"), f"{path}.tolerations")
        ),
    )


def _constraint(raw: Mapping[str, Any], path: str) -> Constraint:
    names = strings(raw.get("requests"), f"{path}.constraints.requests")
    equal = text(raw.get("matchAttribute"), f"{path}.constraints.matchAttribute")
    distinct = text(raw.get("distinctAttribute"), f"{path}.constraints.distinctAttribute")
    return Constraint(names, equal or distinct, not equal)


def _selectors(raw: Mapping[str, Any], path: str) -> tuple[str, ...]:
    return tuple(
        text(mapping(each.get("cel"), f"{path}.selectors.cel").get("expression"), f"{path}.selectors.cel.expression")
        for each in items(raw.get("selectors"), f"{path}.selectors")
    )


def _allocated(allocation: Any) -> tuple[DeviceId, ...]:
    path = "status.allocation.devices.results"
    devices = mapping(mapping(allocation, "status.allocation").get("devices"), "status.allocation.devices")
    return tuple(
        DeviceId(*(text(each.get(key), f"{path}.{key}") for key in ("driver", "pool", "device")))
        for each in items(devices.get("results"), path)
        if each.get("adminAccess") is not True
    )


def _node_terms(allocation: Any) -> tuple[tuple[Requirement, ...], ...]:
    path = "status.allocation.nodeSelector"
    selector = mapping(mapping(allocation, "status.allocation").get("nodeSelector"), path)
    return tuple(
        requirements(term.get("matchExpressions"), path) + requirements(term.get("matchFields"), path)
        for term in items(selector.get("nodeSelectorTerms"), path)
    )


def _device(raw: Mapping[str, Any], driver: str) -> Device:
    path = "spec.devices"
    taints = tuple(
        Taint(*(text(each.get(key), f"{path}.taints.{key}") for key in ("key", "value", "effect")))
        for each in items(raw.get("taints"), f"{path}.taints")
    )
    kind = device_kind(
        driver,
        mapping(raw.get("attributes"), f"{path}.attributes"),
        {
            name: mapping(each, f"{path}.capacity").get("value")
            for name, each in mapping(raw.get("capacity"), f"{path}.capacity").items()
        },
        tuple(taint for taint in taints if taint.effect in BLOCKING_EFFECTS),
    )
    return Device(
        text(raw.get("name"), f"{path}.name"),
        kind,
        _counters(raw.get("consumesCounters"), f"{path}.consumesCounters", "counterSet"),
        text(raw.get("nodeName"), f"{path}.nodeName"),
    )


def device_kind(
    driver: str,
    attributes: Mapping[str, Any],
    capacity: Mapping[str, Any],
    taints: tuple[Taint, ...] = (),
    classes: tuple[str, ...] = (),
) -> DeviceKind:
    """By what a device is chosen.

    Args:
        driver: its driver, which is the domain of names that have none.
        attributes: as in a slice, `{"model": {"string": "A100"}}`, or plain values.
        capacity: quantities by name.
        taints: those that keep claims off.
        classes: see `DeviceKind`.

    Raises:
        ParseError: a value cannot be read.
    """
    values = {_qualified(name, driver): _attribute(value, name) for name, value in attributes.items()}
    amounts = {_qualified(name, driver): _milli(value, f"capacity.{name}") for name, value in capacity.items()}
    known = ((key, value) for key, value in sorted(values.items()) if value is not None)
    return DeviceKind(driver, tuple(known), tuple(sorted(amounts.items())), taints, classes)


def _qualified(name: str, driver: str) -> tuple[str, str]:
    domain, slash, short = name.partition("/")
    return (domain, short) if slash else (driver, name)


def _attribute(raw: Any, name: str) -> AttributeValue | None:
    """Its value; None: of a type that is not known here, such as a list."""
    if isinstance(raw, str | bool | int):
        return raw
    path = f"attributes.{name}"
    for key, value in mapping(raw, path).items():
        if key in ("string", "version"):
            return Version(text(value, path)) if key == "version" else text(value, path)
        if (key == "bool" and isinstance(value, bool)) or (key == "int" and type(value) is int):
            known: bool | int = value
            return known
        if key in ("bool", "int"):
            raise ParseError(f"{path}.{key}", f"is a {type(value).__name__}")
    return None


def _counters(raw: Any, path: str, key: str) -> Amounts:
    found: dict[str, int] = {}
    for each in items(raw, path):
        name = text(each.get(key), f"{path}.{key}")
        for counter, value in mapping(each.get("counters"), f"{path}.counters").items():
            amount = mapping(value, f"{path}.counters.{counter}").get("value")
            found[f"{name}/{counter}"] = _milli(amount, f"{path}.counters.{counter}")
    return tuple(sorted(found.items()))


def _milli(value: Any, path: str) -> int:
    try:
        return parse_milli(value)
    except QuantityError as error:
        raise ParseError(path, str(error)) from error
