"""Where a pod may run because of other pods: affinity to pods, topology spread, ports of the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.live.constraints import PodTerm, Requirement, Selector, Spread
from autoscaler.live.kube.fields import count, items, mapping, requirements, string_map, strings, text

Port = tuple[str, str, int]

ANY_ADDRESS = "0.0.0.0"  # noqa: S104, it is compared with what pods say


def selector(value: Any, path: str) -> Selector:
    """A label selector; None where it is missing."""
    if value is None:
        return None
    part = mapping(value, path)
    labels = string_map(part.get("matchLabels"), f"{path}.matchLabels")
    equal = tuple(Requirement(key, "In", (labels[key],)) for key in sorted(labels))
    return equal + requirements(part.get("matchExpressions"), f"{path}.matchExpressions")


def pod_terms(spec: Mapping[str, Any], kind: str, namespace: str) -> tuple[PodTerm, ...]:
    """The required terms of `podAffinity` or `podAntiAffinity`.

    Args:
        spec: of the pod.
        kind: which of the two.
        namespace: of the pod; terms that name none mean it.
    """
    path = f"spec.affinity.{kind}"
    affinity = mapping(mapping(spec.get("affinity"), "spec.affinity").get(kind), path)
    found = []
    for term in items(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"), path):
        others = selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
        named = strings(term.get("namespaces"), f"{path}.namespaces")
        spaces = named if named or others is not None else (namespace,)
        key = text(term.get("topologyKey"), f"{path}.topologyKey")
        found.append(PodTerm(key, selector(term.get("labelSelector"), f"{path}.labelSelector"), spaces, others))
    return tuple(found)


def spreads(spec: Mapping[str, Any], labels: Mapping[str, str]) -> tuple[Spread, ...]:
    """The topology spreads of a pod that must hold."""
    path = "spec.topologySpreadConstraints"
    found = []
    for item in items(spec.get("topologySpreadConstraints"), path):
        if item.get("whenUnsatisfiable") == "ScheduleAnyway":
            continue
        chosen = selector(item.get("labelSelector"), f"{path}.labelSelector")
        keys = strings(item.get("matchLabelKeys"), f"{path}.matchLabelKeys")
        alike = tuple(Requirement(key, "In", (labels[key],)) for key in keys if key in labels)
        found.append(
            Spread(
                text(item.get("topologyKey"), f"{path}.topologyKey"),
                count(item.get("maxSkew"), f"{path}.maxSkew", 1),
                None if chosen is None else chosen + tuple(each for each in alike if each not in chosen),
                count(item.get("minDomains"), f"{path}.minDomains", 1),
                item.get("nodeAffinityPolicy") != "Ignore",
                item.get("nodeTaintsPolicy") == "Honor",
            )
        )
    return tuple(found)


def host_ports(spec: Mapping[str, Any]) -> tuple[Port, ...]:
    """Protocol, address and number of each port of the host that a pod takes."""
    found = []
    # Init containers that restart always run beside the others.
    sidecars = [
        each
        for each in items(spec.get("initContainers"), "spec.initContainers")
        if each.get("restartPolicy") == "Always"
    ]
    for container in (*items(spec.get("containers"), "spec.containers"), *sidecars):
        for port in items(container.get("ports"), "spec.containers.ports"):
            number = count(port.get("hostPort"), "spec.containers.ports.hostPort")
            if number:
                protocol = text(port.get("protocol"), "spec.containers.ports.protocol") or "TCP"
                found.append(
                    (protocol, text(port.get("hostIP"), "spec.containers.ports.hostIP") or ANY_ADDRESS, number)
                )
    return tuple(dict.fromkeys(found))
