"""From raw JSON to views. One odd object is one typed error, never the end of the loop.

Only fields that a view has are read, so anything else in an object may be as strange as it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from autoscaler.live.clock import Clock
from autoscaler.live.cluster_objects import DaemonSetView, QuotaView
from autoscaler.live.config import GPU_MILLI, LiveConfig
from autoscaler.live.constraints import Toleration
from autoscaler.live.gangs.base import Member
from autoscaler.live.gangs.registry import group_of
from autoscaler.live.kube import fields, topology
from autoscaler.live.kube.accelerators import accelerators
from autoscaler.live.kube.client import Json
from autoscaler.live.kube.devices import DeviceParser, pod_claims
from autoscaler.live.kube.fields import ParseError, conditions, count, items, mapping, string_map, text
from autoscaler.live.kube.metadata import clock_seconds, common_fields, read_metadata
from autoscaler.live.names import ANNOTATION_CHECKPOINTABLE, ANNOTATION_FLEXIBILITY, LABEL_POOL, RESOURCE_GPUS
from autoscaler.live.objects import JobView, NodeView, ObjectView, PdbView, PodView
from autoscaler.live.providers import pool_finder
from autoscaler.live.repair_config import Repair

DAEMON_TOLERATIONS = (
    *(Toleration(f"node.kubernetes.io/{key}", "Exists", "", "NoExecute") for key in ("not-ready", "unreachable")),
    *(
        Toleration(f"node.kubernetes.io/{key}", "Exists", "", "NoSchedule")
        for key in ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable", "network-unavailable")
    ),
)
"""What the controller of DaemonSets adds to their pods.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations
"""

MAX_PROBLEM = 300


class Parser:
    """Reads objects with the pools and the clock of a config.

    Args:
        config: pools and GPU resources.
        clock: in whose seconds the views' times are.

    Attributes:
        devices: reads devices and claims.
    """

    def __init__(self, config: LiveConfig, clock: Clock) -> None:
        self._clock = clock
        self._pools = {pool.name: pool for pool in config.pools}
        self._gpu_resources = config.gpu_resources
        self._gpu_sizes, self._counts_parts = config.gpu_sizes, config.counts_parts
        self._accelerators = config.guardrails.protection.accelerators
        self._pool_of = pool_finder(config)
        self.devices = DeviceParser(clock)

    def node(self, raw: Json) -> NodeView:
        """A Node, without what depends on pods.

        Raises:
            ParseError: it cannot be read.
        """
        spec, status = _part(raw, "spec"), _part(raw, "status")
        ready = conditions(status).get("Ready", {})
        base = self.metadata(raw)
        pool = self._pool_of(base.labels)
        allocatable = fields.quantities(status.get("allocatable"), "status.allocatable", self._gpu_resources)
        gpu_milli = self._gpu_milli(allocatable, self._gpu_resources if pool is None else self._pools[pool].gpu_sizes)
        faults, tolerated = ((), 0.0) if pool is None else _faults(conditions(status), self._pools[pool].repair)
        return NodeView(
            **common_fields(base),
            pool=pool,
            provider_id=text(spec.get("providerID"), "spec.providerID"),
            unschedulable=spec.get("unschedulable") is True,
            taints=fields.taints(spec.get("taints"), "spec.taints"),
            ready=ready.get("status") == "True",
            ready_reason=text(ready.get("reason"), "status.conditions.reason"),
            allocatable_gpu_milli=gpu_milli,
            allocatable=self._with_gpus(allocatable, gpu_milli),
            faults=faults,
            tolerated_seconds=tolerated,
            ready_since_seconds=self._time(ready.get("lastTransitionTime"), "status.conditions.lastTransitionTime"),
        )

    def pod(self, raw: Json) -> PodView:
        """A Pod.

        Raises:
            ParseError: it cannot be read.
        """
        metadata, spec, status = _part(raw, "metadata"), _part(raw, "spec"), _part(raw, "status")
        base = self.metadata(raw)
        requests = fields.requests(spec, self._gpu_resources)
        gpu_milli = self._gpu_milli(requests, self._gpu_resources)
        owner = fields.controller(metadata)
        scheduled = conditions(status).get("PodScheduled", {})
        waits = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
        started = self._time(status.get("startTime"), "status.startTime")
        return PodView(
            **common_fields(base),
            phase=text(status.get("phase"), "status.phase") or "Pending",
            node_name=text(spec.get("nodeName"), "spec.nodeName"),
            scheduler_name=text(spec.get("schedulerName"), "spec.schedulerName") or "default-scheduler",
            priority=fields.priority(spec),
            priority_class=text(spec.get("priorityClassName"), "spec.priorityClassName"),
            gates=fields.gates(spec),
            gpu_milli=gpu_milli,
            accelerators=accelerators(spec, status, requests, self._gpu_resources, self._accelerators),
            claims=pod_claims(spec, status),
            requests=self._with_gpus(requests, gpu_milli),
            node_selector=string_map(spec.get("nodeSelector"), "spec.nodeSelector"),
            affinity_terms=fields.affinity_terms(spec),
            pod_affinity=topology.pod_terms(spec, "podAffinity", base.namespace),
            pod_anti_affinity=topology.pod_terms(spec, "podAntiAffinity", base.namespace),
            spreads=topology.spreads(spec, base.labels),
            host_ports=topology.host_ports(spec),
            tolerations=fields.tolerations(spec),
            owner=owner,
            gang=owner.uid if owner is not None and owner.kind == "Job" else base.uid,
            group=group_of(Member(base.labels, base.annotations, spec, owner)),
            unschedulable=waits,
            unschedulable_message=text(scheduled.get("message"), "status.conditions.message")[:1000] if waits else "",
            nominated_node=text(status.get("nominatedNodeName"), "status.nominatedNodeName"),
            local_volumes=fields.local_volumes(spec),
            grace_seconds=float(
                count(spec.get("terminationGracePeriodSeconds"), "spec.terminationGracePeriodSeconds", 30)
            ),
            started_seconds=started if spec.get("nodeName") else None,
            finished_seconds=self._finished_at(status),
        )

    def unreadable_pod(self, raw: Any, problem: str = "") -> PodView | None:
        """What can be said of a pod that `pod` refuses; it protects its node. None: not even that it has a node."""
        try:
            base = self.metadata(raw)
            node_name = text(_part(raw, "spec").get("nodeName"), "spec.nodeName")
        except ParseError:
            return None
        status = raw.get("status")
        phase = status.get("phase") if isinstance(status, dict) else None
        known = phase if isinstance(phase, str) and phase else "Unknown"
        return PodView(
            **common_fields(base),
            phase=known,
            node_name=node_name,
            gang=base.uid,
            readable=False,
            problem=problem[:MAX_PROBLEM],
        )

    def job(self, raw: Json) -> JobView:
        """A Job.

        Raises:
            ParseError: it cannot be read.
        """
        spec, status = _part(raw, "spec"), _part(raw, "status")
        template = mapping(mapping(spec.get("template"), "spec.template").get("spec"), "spec.template.spec")
        requests = fields.requests(template, self._gpu_resources)
        completions = spec.get("completions")
        ends = [
            condition
            for kind, condition in conditions(status).items()
            if kind in ("Complete", "Failed") and condition.get("status") == "True"
        ]
        ended = [self._time(end.get("lastTransitionTime"), "status.conditions.lastTransitionTime") for end in ends]
        return JobView(
            **common_fields(self.metadata(raw)),
            parallelism=count(spec.get("parallelism"), "spec.parallelism", 1),
            completions=None if completions is None else count(completions, "spec.completions"),
            indexed=spec.get("completionMode") == "Indexed",
            suspended=spec.get("suspend") is True,
            active=count(status.get("active"), "status.active"),
            succeeded=count(status.get("succeeded"), "status.succeeded"),
            failed=count(status.get("failed"), "status.failed"),
            finished=bool(ends),
            finished_seconds=next((moment for moment in ended if moment is not None), None),
            gpu_milli_per_pod=self._gpu_milli(requests, self._gpu_resources),
            gates=fields.gates(template),
            template_pool=string_map(template.get("nodeSelector"), "spec.template.spec.nodeSelector").get(LABEL_POOL),
            failures_left=_failures_left(spec, status),
            ignores_disruptions=_ignores_disruptions(spec),
            owner=fields.controller(mapping(raw.get("metadata"), "metadata")),
        )

    def daemon_set(self, raw: Json) -> DaemonSetView:
        """A DaemonSet.

        Raises:
            ParseError: it cannot be read.
        """
        pod = self._template(raw)
        tolerations = tuple(dict.fromkeys((*pod.tolerations, *DAEMON_TOLERATIONS)))
        return DaemonSetView(**common_fields(self.metadata(raw)), template=replace(pod, tolerations=tolerations))

    def quota(self, raw: Json) -> QuotaView:
        """A ResourceQuota; what its controller has not counted yet does not limit.

        Raises:
            ParseError: it cannot be read.
        """
        spec, status = _part(raw, "spec"), _part(raw, "status")
        hard = fields.quantities(status.get("hard"), "status.hard", ())
        used = fields.quantities(status.get("used"), "status.used", ())
        selector = mapping(spec.get("scopeSelector"), "spec.scopeSelector")
        path = "spec.scopeSelector"
        scopes: list[tuple[str, str, tuple[str, ...]]] = []
        scopes += [(name, "Exists", ()) for name in fields.strings(spec.get("scopes"), "spec.scopes")]
        for item in items(selector.get("matchExpressions"), path):
            values = fields.strings(item.get("values"), path)
            scopes.append((text(item.get("scopeName"), path), text(item.get("operator"), path), values))
        return QuotaView(
            **common_fields(self.metadata(raw)),
            free={resource: amount - used.get(resource, 0) for resource, amount in hard.items()},
            scopes=tuple(scopes),
        )

    def _template(self, raw: Json) -> PodView:
        """A pod as the controller of an object will create it, under the uid of the object."""
        owner = self.metadata(raw)
        template = mapping(_part(raw, "spec").get("template"), "spec.template")
        metadata = {**mapping(template.get("metadata"), "spec.template.metadata"), "name": owner.name, "uid": owner.uid}
        return self.pod(
            {"metadata": {**metadata, "namespace": owner.namespace}, "spec": template.get("spec"), "status": {}}
        )

    def pdb(self, raw: Json) -> PdbView:
        """A PodDisruptionBudget.

        Raises:
            ParseError: it cannot be read.
        """
        spec, status = _part(raw, "spec"), _part(raw, "status")
        selector = mapping(spec.get("selector"), "spec.selector")
        return PdbView(
            **common_fields(self.metadata(raw)),
            match_labels=string_map(selector.get("matchLabels"), "spec.selector.matchLabels"),
            match_expressions=fields.requirements(selector.get("matchExpressions"), "spec.selector.matchExpressions"),
            has_selector=spec.get("selector") is not None,
            disruptions_allowed=count(status.get("disruptionsAllowed"), "status.disruptionsAllowed"),
        )

    def _gpu_milli(self, amounts: Mapping[str, int], resources: Iterable[str]) -> int:
        """Thousandths of a GPU that some resources are together."""
        return sum(amounts.get(resource, 0) * self._gpu_sizes[resource] // GPU_MILLI for resource in resources)

    def _with_gpus(self, amounts: dict[str, int], gpu_milli: int) -> dict[str, int]:
        return {**amounts, RESOURCE_GPUS: gpu_milli} if self._counts_parts and gpu_milli else amounts

    def metadata(self, raw: Any) -> ObjectView:
        """The metadata of an object.

        Raises:
            ParseError: they cannot be read.
        """
        return read_metadata(raw, self._clock)

    def _time(self, value: Any, path: str) -> float | None:
        return clock_seconds(value, path, self._clock)

    def _finished_at(self, status: Mapping[str, Any]) -> float | None:
        if status.get("phase") not in ("Succeeded", "Failed"):
            return None
        ends: list[float] = []
        for container in items(status.get("containerStatuses"), "status.containerStatuses"):
            state = mapping(container.get("state"), "status.containerStatuses.state")
            ended = mapping(state.get("terminated"), "status.containerStatuses.state.terminated")
            end = self._time(ended.get("finishedAt"), "status.containerStatuses.state.terminated.finishedAt")
            if end is not None:
                ends.append(end)
        return max(ends, default=None)


def odd_annotation(pod: PodView) -> str:
    """What is wrong with an annotation that was read as if it were not there; empty: nothing."""
    tier = pod.annotations.get(ANNOTATION_FLEXIBILITY, "0")
    if tier not in ("0", "1", "2", "3"):
        return f'metadata.annotations.{ANNOTATION_FLEXIBILITY}: must be "0", "1", "2" or "3", is {tier[:40]!r}'
    value = pod.annotations.get(ANNOTATION_CHECKPOINTABLE, "false")
    if value in ("true", "false"):
        return ""
    return f'metadata.annotations.{ANNOTATION_CHECKPOINTABLE}: must be "true" or "false", is {value[:40]!r}'


def _faults(states: Mapping[str, Mapping[str, Any]], repair: Repair) -> tuple[tuple[str, ...], float]:
    """Types of the conditions that say that a node is broken, and how long it may be unwell with these."""
    found = {
        kind: each.toleration_seconds
        for each in reversed(repair.conditions if repair.enabled else ())
        for kind, state in states.items()
        if state.get("status") == each.status and fnmatchcase(kind, each.type)
    }
    return tuple(sorted(found)), min(found.values(), default=0.0)


def _failures_left(spec: Mapping[str, Any], status: Mapping[str, Any]) -> int:
    """Pods that may fail before the Job does. A limit per index says nothing of their sum, so it counts as none."""
    default = 0 if "backoffLimitPerIndex" in spec else 6
    limit = count(spec.get("backoffLimit"), "spec.backoffLimit", default)
    return max(0, limit - count(status.get("failed"), "status.failed"))


def _ignores_disruptions(spec: Mapping[str, Any]) -> bool:
    """Whether the first rule of the podFailurePolicy about evicted pods ignores them."""
    policy = mapping(spec.get("podFailurePolicy"), "spec.podFailurePolicy")
    for rule in items(policy.get("rules"), "spec.podFailurePolicy.rules"):
        states = items(rule.get("onPodConditions"), "spec.podFailurePolicy.rules.onPodConditions")
        if any(state.get("type") == "DisruptionTarget" for state in states):
            return rule.get("action") == "Ignore"
    return False


def _part(raw: Any, name: str) -> dict[str, Any]:
    return mapping(mapping(raw, "object").get(name), name)
