"""What lists and watches have told so far, as views, and what only a witness knows: when things happened.

Kubernetes rounds its times to seconds and forgets when a pod that was deleted left its node. Whoever watches knows
both, so the store stamps what it sees with the clock.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from autoscaler.live.clock import Clock
from autoscaler.live.cluster_objects import DaemonSetView, QuotaView
from autoscaler.live.gangs import kueue
from autoscaler.live.gangs.model import GroupView, WorkloadView
from autoscaler.live.gangs.registry import KINDS
from autoscaler.live.kube.client import Json
from autoscaler.live.kube.devices import ClaimView
from autoscaler.live.kube.fields import ParseError
from autoscaler.live.names import ANNOTATION_IDLE_SINCE, ANNOTATION_REMOVAL_STEP
from autoscaler.live.objects import CheckView, JobView, MachineView, NodeView, ObjectView, PdbView, PodView
from autoscaler.live.providers import MachineWatch
from autoscaler.live.view.claims import DeviceObjects
from autoscaler.live.view.nodes import is_leaving, is_usable
from autoscaler.live.view.parse import Parser, odd_annotation
from autoscaler.live.view.parse_groups import GroupParser

_LOG = logging.getLogger(__name__)

WALL_RESOLUTION_SECONDS = 1.0
"""Kubernetes cuts a creationTimestamp to whole seconds."""

MAX_GONE = 10_000
"""So many nodes and machines that went are remembered, the latest ones. Names of orders are never used again."""

MAX_REPORTED = 10_000
"""So many different complaints about odd objects are remembered; later ones are only counted."""


class Resource(StrEnum):
    """What is watched, devices only where the API server has them; providers add objects, see `MachineWatch`."""

    NODES = "nodes"
    PODS = "pods"
    JOBS = "jobs"
    PDBS = "poddisruptionbudgets"
    SLICES = "resourceslices"
    CLAIMS = "resourceclaims"
    CLAIM_TEMPLATES = "resourceclaimtemplates"
    DEVICE_CLASSES = "deviceclasses"
    DAEMON_SETS = "daemonsets"
    QUOTAS = "resourcequotas"


class Trigger(StrEnum):
    """What makes the loop decide: the events of the simulator, and the loss of what was counted on."""

    JOB_SUBMITTED = "job-submitted"
    JOB_FINISHED = "job-finished"
    NODE_READY = "node-ready"
    NODE_LOST = "node-lost"


@dataclass(frozen=True, slots=True)
class Contents:
    """All views at one moment; pods and Jobs that are finished are among them while their objects exist.

    Attributes:
        nodes: by uid; `state`, `used_gpu_milli`, `pods` and `idle_since_seconds` are not filled in yet.
        pods: by uid.
        jobs: by uid.
        pdbs: by uid.
        daemon_sets: by uid.
        quotas: by uid.
        machines: machines of all providers that may be no Nodes yet, by uid.
        groups: objects that describe groups of pods, by uid.
        workloads: Workloads of Kueue, by uid.
        checks: AdmissionChecks of Kueue, by uid.
        vacated: when the last GPU pod was seen to leave a node, by the node's name.
        gone: nodes and machines that were seen to go, by name, and whether there was a machine behind them.
        devices: devices and claims.
    """

    nodes: Mapping[str, NodeView] = field(default_factory=dict)
    pods: Mapping[str, PodView] = field(default_factory=dict)
    jobs: Mapping[str, JobView] = field(default_factory=dict)
    pdbs: Mapping[str, PdbView] = field(default_factory=dict)
    daemon_sets: Mapping[str, DaemonSetView] = field(default_factory=dict)
    quotas: Mapping[str, QuotaView] = field(default_factory=dict)
    machines: Mapping[str, MachineView] = field(default_factory=dict)
    groups: Mapping[str, GroupView] = field(default_factory=dict)
    workloads: Mapping[str, WorkloadView] = field(default_factory=dict)
    checks: Mapping[str, CheckView] = field(default_factory=dict)
    vacated: Mapping[str, float] = field(default_factory=dict)
    gone: Mapping[str, bool] = field(default_factory=dict)
    devices: DeviceObjects = field(default_factory=DeviceObjects)


class Store:
    """Takes lists and events in from the watch threads; thread-safe.

    Args:
        parser: reads the objects.
        clock: stamps them.
        on_trigger: called, outside the lock, when something happened that the loop should decide on.
        on_skip: called, outside the lock, once for each complaint about an odd object: resource, name, what is wrong.
    """

    def __init__(
        self,
        parser: Parser,
        clock: Clock,
        on_trigger: Callable[[Trigger], None] = lambda _: None,
        on_skip: Callable[[str, str, str], None] = lambda *_: None,
        machines: Iterable[MachineWatch] = (),
    ) -> None:
        self._parser, self._clock = parser, clock
        self._on_trigger, self._on_skip = on_trigger, on_skip
        self._lock = threading.Lock()
        self._vacated: dict[str, float] = {}
        self._gone: dict[str, bool] = {}
        self._reported: set[tuple[str, str, str]] = set()
        watched = {watch.resource: watch.parse for watch in machines}
        self._parse: dict[str, Callable[[Json], ObjectView]] = {
            Resource.NODES: parser.node,
            Resource.PODS: parser.pod,
            Resource.JOBS: parser.job,
            Resource.PDBS: parser.pdb,
            Resource.SLICES: parser.devices.resource_slice,
            Resource.CLAIMS: parser.devices.claim,
            Resource.CLAIM_TEMPLATES: parser.devices.claim_template,
            Resource.DEVICE_CLASSES: parser.devices.device_class,
            Resource.DAEMON_SETS: parser.daemon_set,
            Resource.QUOTAS: parser.quota,
            **watched,
            **GroupParser(parser).readers(),
        }
        self._machines = tuple(watched)
        self._groups = tuple(kind.collection.resource for kind in KINDS.values() if kind.collection is not None)
        self._views: dict[str, dict[str, Any]] = {resource: {} for resource in self._parse}

    def contents(self) -> Contents:
        """Everything, at one moment."""
        with self._lock:
            views = {resource: dict(table) for resource, table in self._views.items()}
            vacated, gone = dict(self._vacated), dict(self._gone)
        return Contents(
            views[Resource.NODES],
            views[Resource.PODS],
            views[Resource.JOBS],
            views[Resource.PDBS],
            views[Resource.DAEMON_SETS],
            views[Resource.QUOTAS],
            {uid: view for resource in self._machines for uid, view in views[resource].items()},
            {uid: view for resource in self._groups for uid, view in views[resource].items()},
            views[kueue.WORKLOADS.resource],
            views[kueue.CHECKS.resource],
            vacated,
            gone,
            DeviceObjects(
                views[Resource.SLICES],
                views[Resource.CLAIMS],
                views[Resource.CLAIM_TEMPLATES],
                views[Resource.DEVICE_CLASSES],
            ),
        )

    def replace(self, resource: str, items: Iterable[Any]) -> None:
        """Take in a full list: objects that are not in it are gone."""
        parsed = [view for view in (self._read(resource, item) for item in items) if view is not None]
        triggers: set[Trigger] = set()
        with self._lock:
            gone = self._views[resource].keys() - {view.uid for view in parsed}
            for view in parsed:
                triggers |= self._put(resource, view, live=False)
            for uid in gone:
                triggers |= self._remove(resource, uid)
        self._notify(triggers)

    def apply(self, resource: str, event_type: str, item: Any) -> None:
        """Take in one event of a watch."""
        view = self._read(resource, item)
        if view is None:
            return
        with self._lock:
            if event_type == "DELETED":
                triggers = self._remove(resource, view.uid)
            else:
                triggers = self._put(resource, view, live=event_type == "ADDED")
        self._notify(triggers)

    def _notify(self, triggers: Iterable[Trigger]) -> None:
        for trigger in sorted(triggers):
            self._on_trigger(trigger)

    def _read(self, resource: str, item: Any) -> ObjectView | None:
        try:
            view = self._parse[resource](item)
            if isinstance(view, PodView) and (problem := odd_annotation(view)):
                self._report(resource, item, problem, "an annotation")
            return view
        except ParseError as error:
            problem = str(error)
        except Exception as error:
            # An object may be odd in a way that nobody thought of; that must not end the watch.
            problem = f"{type(error).__name__}: {error}"
        self._report(resource, item, problem)
        return self._parser.unreadable_pod(item, problem) if resource is Resource.PODS else None

    def _report(self, resource: str, item: Any, problem: str, what: str = "an object") -> None:
        metadata = item.get("metadata") if isinstance(item, dict) else None
        about = metadata if isinstance(metadata, dict) else {}
        name = f"{about.get('namespace') or ''}/{about.get('name') or '?'}".lstrip("/")[:300]
        key = (resource, str(about.get("uid") or name)[:300], problem[:300])
        if key in self._reported:
            return
        if len(self._reported) < MAX_REPORTED:
            self._reported.add(key)
        _LOG.warning(
            f"{what} cannot be read and is skipped", extra={"resource": resource, "object": name, "problem": key[2]}
        )
        self._on_skip(resource, name, key[2])

    def _put(self, resource: str, view: Any, live: bool) -> set[Trigger]:
        table = self._views[resource]
        before = table.get(view.uid)
        now = self._clock.now()
        view = self._with_creation(view, before, now, live)
        triggers: set[Trigger] = set()
        if resource is Resource.PODS:
            view, triggers = self._see_pod(view, before, now)
        elif resource is Resource.JOBS:
            if view.finished and (before is None or not before.finished) and before is not None:
                view = replace(view, finished_seconds=now)
            elif before is not None and before.finished:
                view = replace(view, finished_seconds=before.finished_seconds)
        elif resource is Resource.NODES:
            view, triggers = _see_node(view, before, now)
        elif isinstance(view, GroupView | WorkloadView | CheckView) and (
            before is None or _gist(before) != _gist(view)
        ):
            triggers.add(Trigger.JOB_SUBMITTED)
        else:
            triggers = _see_device_object(resource, view, before)
        table[view.uid] = view
        return triggers

    def _with_creation(self, view: Any, before: Any, now: float, live: bool) -> Any:
        if before is not None:
            return replace(view, created_seconds=before.created_seconds)
        if live:
            latest = view.created_seconds + WALL_RESOLUTION_SECONDS * self._clock.time_scale
            return replace(view, created_seconds=min(max(now, view.created_seconds), latest))
        return view

    def _see_pod(self, view: PodView, before: PodView | None, now: float) -> tuple[PodView, set[Trigger]]:
        triggers: set[Trigger] = set()
        if before is None:
            if _may_count(view) and not view.finished:
                triggers.add(Trigger.JOB_SUBMITTED)
            if view.finished and view.node_name:
                self._vacate(view, view.finished_seconds or view.created_seconds)
            return view, triggers
        started = before.started_seconds
        if view.node_name and started is None:
            started = now
        finished = before.finished_seconds
        if view.finished and not before.finished:
            finished = now
            self._vacate(view, now)
            if _may_count(view):
                triggers.add(Trigger.JOB_FINISHED)
        if view.unschedulable and not before.unschedulable and not before.gates and _may_count(view):
            triggers.add(Trigger.JOB_SUBMITTED)
        return replace(view, started_seconds=started, finished_seconds=finished), triggers

    def _vacate(self, pod: PodView, seconds: float) -> None:
        if pod.node_name and (pod.gpu_milli or pod.accelerators or not pod.readable):
            self._vacated[pod.node_name] = max(seconds, self._vacated.get(pod.node_name, seconds))

    def _remove(self, resource: str, uid: str) -> set[Trigger]:
        view = self._views[resource].pop(uid, None)
        if isinstance(view, PodView) and not view.finished:
            self._vacate(view, self._clock.now())
            return {Trigger.JOB_FINISHED} if _may_count(view) else set()
        if isinstance(view, NodeView):
            self._vacated.pop(view.name, None)
            self._remember_gone(view.name, True)
            return {Trigger.NODE_LOST} if _counts(view) else set()
        if isinstance(view, ClaimView) and view.devices is not None:
            return {Trigger.JOB_FINISHED}
        if isinstance(view, MachineView):
            self._remember_gone(view.name, bool(view.provider_id))
            return {Trigger.NODE_LOST} if view.pool is not None and not view.node_name else set()
        return set()

    def _remember_gone(self, name: str, launched: bool) -> None:
        self._gone[name] = launched
        if len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]


_Group = GroupView | WorkloadView | CheckView


def _gist(view: _Group) -> Any:
    """What of an object about a group matters to a decision."""
    if isinstance(view, GroupView):
        return view.roles, view.least, view.late, view.together, view.over
    if isinstance(view, WorkloadView):
        states = [(check.get("name"), check.get("state")) for check in view.checks]
        return view.roles, view.reserved, view.over, states
    return view.controller, view.active


def _may_count(pod: PodView) -> bool:
    """Whether it uses GPUs or other accelerators, as far as the pod alone tells."""
    return pod.gpu_milli > 0 or bool(pod.accelerators)


def _see_device_object(resource: str, view: Any, before: Any) -> set[Trigger]:
    """Whether devices came, became free, or can be claimed in another way than before."""
    if resource is Resource.SLICES:
        return {Trigger.NODE_READY}
    if resource is Resource.CLAIMS and before is not None:
        return {Trigger.JOB_FINISHED} if before.devices is not None and view.devices is None else set()
    is_claim = resource in (Resource.CLAIMS, Resource.CLAIM_TEMPLATES, Resource.DEVICE_CLASSES)
    return {Trigger.JOB_SUBMITTED} if is_claim else set()


def _counts(node: NodeView) -> bool:
    """Whether its loss is news: it is of a pool, and nobody removes it."""
    return node.pool is not None and not is_leaving(node)


def _see_node(view: NodeView, before: NodeView | None, now: float) -> tuple[NodeView, set[Trigger]]:
    """Note since when a node is ready with its GPUs, or since when it has lost them."""
    if before is None:
        # Whoever did not see the loss knows by the annotation that the node was of use before.
        lost = now if ANNOTATION_IDLE_SINCE in view.annotations else None
        return (view if is_usable(view) else replace(view, ready_since_seconds=None, lost_since_seconds=lost)), set()
    news = {Trigger.NODE_LOST} if _is_lost(view, before) else set()
    if not is_usable(view):
        loses_gpus = before.allocatable_gpu_milli > 0 and view.allocatable_gpu_milli == 0
        lost = now if is_usable(before) or loses_gpus else before.lost_since_seconds
        return replace(view, ready_since_seconds=None, lost_since_seconds=lost), news
    if not is_usable(before):
        return replace(view, ready_since_seconds=now), {Trigger.NODE_READY}
    if is_leaving(before) and not is_leaving(view):
        news = {Trigger.NODE_READY}  # a removal was undone
    if view.allocatable_gpu_milli > before.allocatable_gpu_milli:
        news = {Trigger.NODE_READY}  # another device plugin has told of its GPUs
    return replace(view, ready_since_seconds=before.ready_since_seconds), news


def _is_lost(view: NodeView, before: NodeView) -> bool:
    """Whether a node that was counted on serves no more, and not because we remove it."""
    leaves = is_leaving(view) and ANNOTATION_REMOVAL_STEP not in view.annotations
    breaks = before.faults != view.faults
    return _counts(before) and (leaves or breaks or (is_usable(before) and not is_usable(view)))
