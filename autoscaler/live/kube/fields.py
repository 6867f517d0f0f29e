"""Typed reads of fields of raw JSON objects; each raises `ParseError` where the value is of the wrong kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from autoscaler.live.constraints import Requirement, Taint, Toleration
from autoscaler.live.kube.quantities import QuantityError, parse_gpu_milli, parse_milli
from autoscaler.live.objects import ObjectRef

MAX_ANNOTATION_BYTES = 65536
"""An annotation longer than this is left out of a view: nothing that we read is as long."""


class ParseError(ValueError):
    """An object that cannot be read.

    Attributes:
        path: the field, such as `spec.containers`.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


def text(value: Any, path: str) -> str:
    """A string, empty for a missing one."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ParseError(path, f"must be a string, is a {type(value).__name__}")
    return value


def mapping(value: Any, path: str) -> dict[str, Any]:
    """A mapping, empty for a missing one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ParseError(path, f"must be a mapping, is a {type(value).__name__}")
    return value


def items(value: Any, path: str) -> list[dict[str, Any]]:
    """A list of mappings, empty for a missing one."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ParseError(path, "must be a list of mappings")
    return value


def strings(value: Any, path: str) -> tuple[str, ...]:
    """A list of strings, empty for a missing one."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ParseError(path, "must be a list of strings")
    return tuple(value)


def count(value: Any, path: str, default: int = 0) -> int:
    """A whole number, not negative."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ParseError(path, f"must be a whole number from 0 on, is {str(value)[:40]!r}")
    return value


def string_map(value: Any, path: str) -> dict[str, str]:
    """Labels or annotations; values that are no strings, or far too long, are left out."""
    return {
        key: item
        for key, item in mapping(value, path).items()
        if isinstance(item, str) and len(item) <= MAX_ANNOTATION_BYTES
    }


def unix_seconds(value: Any, path: str) -> float | None:
    """An RFC 3339 time, None for a missing one."""
    stamp = text(value, path)
    if not stamp:
        return None
    try:
        moment = datetime.fromisoformat(stamp)
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        return moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise ParseError(path, f"{stamp[:40]!r} is no time: {error}") from error


def conditions(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The conditions of a status, by type."""
    found: dict[str, dict[str, Any]] = {}
    for condition in items(status.get("conditions"), "status.conditions"):
        kind = condition.get("type")
        if isinstance(kind, str):
            found[kind] = condition
    return found


def controller(metadata: Mapping[str, Any]) -> ObjectRef | None:
    """The owner that controls an object, None: a bare object."""
    for owner in items(metadata.get("ownerReferences"), "metadata.ownerReferences"):
        if owner.get("controller") is True:
            path = "metadata.ownerReferences"
            kind, name, uid = (text(owner.get(key), f"{path}.{key}") for key in ("kind", "name", "uid"))
            return ObjectRef(
                kind, name, text(metadata.get("namespace"), path), uid, text(owner.get("apiVersion"), path)
            )
    return None


def requirements(value: Any, path: str) -> tuple[Requirement, ...]:
    """`matchExpressions` of a selector or of a node affinity."""
    return tuple(
        Requirement(
            text(item.get("key"), f"{path}.key"),
            text(item.get("operator"), f"{path}.operator"),
            strings(item.get("values"), f"{path}.values"),
        )
        for item in items(value, path)
    )


def taints(value: Any, path: str) -> tuple[Taint, ...]:
    """`spec.taints`."""
    return tuple(
        Taint(*(text(item.get(key), f"{path}.{key}") for key in ("key", "value", "effect")))
        for item in items(value, path)
    )


def tolerations(spec: Mapping[str, Any]) -> tuple[Toleration, ...]:
    """`spec.tolerations` of a pod."""
    path = "spec.tolerations"
    return tuple(
        Toleration(
            text(item.get("key"), path),
            text(item.get("operator"), path) or "Equal",
            text(item.get("value"), path),
            text(item.get("effect"), path),
        )
        for item in items(spec.get("tolerations"), path)
    )


def affinity_terms(spec: Mapping[str, Any]) -> tuple[tuple[Requirement, ...], ...]:
    """The required node affinity of a pod; `matchFields` name single nodes and become a requirement on the host."""
    path = "spec.affinity.nodeAffinity"
    affinity = mapping(mapping(spec.get("affinity"), "spec.affinity").get("nodeAffinity"), path)
    required = mapping(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"), path)
    return tuple(
        requirements(term.get("matchExpressions"), path) + requirements(term.get("matchFields"), path)
        for term in items(required.get("nodeSelectorTerms"), path)
    )


def gates(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the scheduling gates of a pod."""
    path = "spec.schedulingGates"
    return tuple(text(item.get("name"), path) for item in items(spec.get("schedulingGates"), path))


def local_volumes(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the volumes whose data die with the pod's node: hostPath, and emptyDir that is not in memory."""
    found: list[str] = []
    for volume in items(spec.get("volumes"), "spec.volumes"):
        empty = mapping(volume.get("emptyDir"), "spec.volumes.emptyDir")
        on_disk = volume.get("emptyDir") is not None and empty.get("medium") != "Memory"
        if on_disk or volume.get("hostPath") is not None:
            found.append(text(volume.get("name"), "spec.volumes.name"))
    return tuple(found)


def quantities(value: Any, path: str, gpu_resources: tuple[str, ...]) -> dict[str, int]:
    """Resources in thousandths."""
    amounts: dict[str, int] = {}
    for resource, amount in mapping(value, path).items():
        try:
            amounts[resource] = parse_gpu_milli(amount) if resource in gpu_resources else parse_milli(amount)
        except QuantityError as error:
            raise ParseError(f"{path}.{resource}", str(error)) from error
    return amounts


def requests(spec: Mapping[str, Any], gpu_resources: tuple[str, ...]) -> dict[str, int]:
    """What a pod requests, in thousandths, as the scheduler counts it.

    Containers and sidecars (init containers that restart always) run together; each other init container runs alone
    beside the sidecars that were started before it.
    """
    total: dict[str, int] = {}
    for container in items(spec.get("containers"), "spec.containers"):
        _add(total, _container_requests(container, "spec.containers", gpu_resources))
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in items(spec.get("initContainers"), "spec.initContainers"):
        wanted = _container_requests(container, "spec.initContainers", gpu_resources)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, wanted)
            wanted = {}
        _add(wanted, sidecars)
        peak = {key: max(peak.get(key, 0), wanted.get(key, 0)) for key in {*peak, *wanted}}
    _add(total, sidecars)
    total = {key: max(total.get(key, 0), peak.get(key, 0)) for key in {*total, *peak}}
    # What the pod requests as a whole counts instead of what its containers do.
    total |= _container_requests(spec, "spec", gpu_resources)
    _add(total, quantities(spec.get("overhead"), "spec.overhead", gpu_resources))
    return total


def _container_requests(owner: Mapping[str, Any], path: str, gpu_resources: tuple[str, ...]) -> dict[str, int]:
    resources = mapping(owner.get("resources"), f"{path}.resources")
    limits = quantities(resources.get("limits"), f"{path}.resources.limits", gpu_resources)
    requested = quantities(resources.get("requests"), f"{path}.resources.requests", gpu_resources)
    return {**limits, **requested}


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for key, amount in more.items():
        total[key] = total.get(key, 0) + amount


def priority(spec: Mapping[str, Any]) -> int:
    """`spec.priority` of a pod, 0 where it is missing."""
    value = spec.get("priority")
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise ParseError("spec.priority", f"must be a whole number, is {str(value)[:40]!r}")
    return value
