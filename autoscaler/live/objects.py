"""Objects of Kubernetes as the loop reads them: nodes, pods, Jobs and what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from autoscaler.live.constraints import PodTerm, Requirement, Spread, Taint, Toleration
from autoscaler.live.device_model import PodClaim
from autoscaler.live.names import ANNOTATION_MIRROR_POD


class NodeState(StrEnum):
    """What a node of a pool is to the policy."""

    BOOTING = "booting"  # ordered or starting: not ready yet, or ready without its GPUs
    IDLE = "idle"  # ready, no GPU pod
    BUSY = "busy"  # ready, at least one GPU pod
    CORDONED = "cordoned"  # ready, but unschedulable for a reason that is not ours
    DRAINING = "draining"  # carries our deletion taint or is being deleted
    UNREADY = "unready"  # was ready, or should be by now, and is not


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Names one object, for Events and preconditions.

    Attributes:
        kind: `Pod`, `Node`, `Job` ...
        name: its name.
        namespace: its namespace, empty for cluster-wide kinds.
        uid: its uid.
        api_version: such as `v1` or `batch/v1`.
    """

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    api_version: str = "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectView:
    """The metadata that every view has.

    Attributes:
        name: its name.
        namespace: its namespace, empty for cluster-wide kinds.
        uid: its uid.
        resource_version: of the version that this view shows.
        labels: its labels.
        annotations: its annotations, without those longer than `autoscaler.live.kube.fields.MAX_ANNOTATION_BYTES`.
        created_seconds: creation. Kubernetes knows whole wall seconds only; where the watch saw the object appear, this
            is the moment it saw it, at most one wall second later.
        deleted_seconds: when its deletion was requested, None: not.
        finalizers: its finalizers.
    """

    name: str
    uid: str
    resource_version: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    created_seconds: float = 0.0
    deleted_seconds: float | None = None
    finalizers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView(ObjectView):
    """A Node.

    Attributes:
        pool: name of its pool in the config, None: of no pool, so not ours to touch.
        provider_id: `spec.providerID`.
        unschedulable: cordoned.
        taints: `spec.taints`.
        ready: its Ready condition is True.
        ready_reason: reason of its Ready condition.
        allocatable_gpu_milli: of the pool's GPU resource.
        allocatable: of every resource, in thousandths.
        state: see `NodeState`; nodes of no pool have the state that they would have in one.
        ready_since_seconds: since when it is ready with its GPUs, None: it is not, or never said.
        faults: types of its conditions that say that it is broken, see `Repair.conditions`.
        tolerated_seconds: how long it may be unwell with these.
        unwell_since_seconds: since when it is unwell, as a process before this one wrote it on the node.
        rebooted_seconds: when it was rebooted, likewise.
        lost_since_seconds: since when it has lost its readiness or its GPUs; None: it has them, or never had them.
        idle_since_seconds: since when it is ready and has no GPU pod, None while it has one or is not ready.
        used_gpu_milli: requested by the GPU pods that are bound to it and not finished.
        measured_gpu_watts: mean power of its GPUs that was measured since pods last came or went; None: none was.
        holds_accelerators: a pod on it uses an accelerator that does not count in `used_gpu_milli`.
        pods: uids of all pods that are bound to it and not finished, of DaemonSets too.
    """

    pool: str | None = None
    provider_id: str = ""
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()
    ready: bool = False
    ready_reason: str = ""
    allocatable_gpu_milli: int = 0
    allocatable: Mapping[str, int] = field(default_factory=dict)
    state: NodeState = NodeState.UNREADY
    ready_since_seconds: float | None = None
    faults: tuple[str, ...] = ()
    tolerated_seconds: float = 0.0
    unwell_since_seconds: float | None = None
    rebooted_seconds: float | None = None
    lost_since_seconds: float | None = None
    idle_since_seconds: float | None = None
    used_gpu_milli: int = 0
    measured_gpu_watts: float | None = None
    holds_accelerators: bool = False
    pods: tuple[str, ...] = ()

    def taint(self, key: str) -> Taint | None:
        """Its taint of a key."""
        return next((taint for taint in self.taints if taint.key == key), None)

    @property
    def ref(self) -> ObjectRef:
        """Its reference."""
        return ObjectRef("Node", self.name, "", self.uid)


@dataclass(frozen=True, slots=True)
class GroupRef:
    """The group that a pod says it is of, see `autoscaler.live.gangs`.

    Attributes:
        kind: name of the kind of group.
        name: of the object that describes the group, or of the group where pods say all.
        role: of the pod in it, as the object calls it.
        index: which of the groups that one object describes.
        size: pods that must run together, where the pod says it; 0: it does not.
        problem: why the group cannot be served; empty: it can, or nobody has looked.
    """

    kind: str
    name: str
    role: str = ""
    index: str = ""
    size: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView(ObjectView):
    """A Pod.

    Attributes:
        phase: `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        node_name: node that it is bound to, empty: none.
        scheduler_name: its scheduler.
        priority: `spec.priority`, 0 where missing.
        priority_class: `spec.priorityClassName`.
        gates: names of its scheduling gates.
        gpu_milli: GPUs that it requests, of any pool's GPU resource.
        accelerators: what it uses of accelerators besides, such as `nvidia.com/mig-1g.10gb` or `resource claim gpus`.
        claims: its device claims.
        requests: what it requests by resource, in thousandths; the larger of init containers and containers.
        node_selector: `spec.nodeSelector`.
        affinity_terms: required node affinity: one of the terms must match, each needs all its requirements.
        pod_affinity: required affinity to pods: all terms must hold.
        pod_anti_affinity: required anti-affinity to pods.
        spreads: topology spreads that must hold.
        host_ports: protocol, address and port of each port that it takes on its node.
        tolerations: its tolerations.
        owner: its controller, None: a bare pod.
        gang: key of its gang, the uid of its Job or its own.
        group: the group that it says it is of, None: of none.
        unschedulable: its condition PodScheduled is False with reason Unschedulable.
        unschedulable_message: what the scheduler said.
        nominated_node: node on which the scheduler makes room for it by preemption, empty: none.
        local_volumes: its hostPath and not-in-memory emptyDir volumes.
        grace_seconds: wall seconds that it may take to end.
        started_seconds: when it was first seen with a node, None: it has none.
        finished_seconds: when it was first seen finished, None: it is not.
        readable: False: a field of it cannot be read; it protects its node, which counts as full.
        problem: what cannot be read; empty: nothing.
    """

    phase: str = "Pending"
    node_name: str = ""
    scheduler_name: str = "default-scheduler"
    priority: int = 0
    priority_class: str = ""
    gates: tuple[str, ...] = ()
    gpu_milli: int = 0
    accelerators: tuple[str, ...] = ()
    claims: tuple[PodClaim, ...] = ()
    requests: Mapping[str, int] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    affinity_terms: tuple[tuple[Requirement, ...], ...] = ()
    pod_affinity: tuple[PodTerm, ...] = ()
    pod_anti_affinity: tuple[PodTerm, ...] = ()
    spreads: tuple[Spread, ...] = ()
    host_ports: tuple[tuple[str, str, int], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    owner: ObjectRef | None = None
    gang: str = ""
    group: GroupRef | None = None
    unschedulable: bool = False
    unschedulable_message: str = ""
    nominated_node: str = ""
    local_volumes: tuple[str, ...] = ()
    grace_seconds: float = 30.0
    started_seconds: float | None = None
    finished_seconds: float | None = None
    readable: bool = True
    problem: str = ""

    @property
    def finished(self) -> bool:
        """Whether its containers have ended."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def depends_on_pods(self) -> bool:
        """Whether where it may run depends on where other pods are."""
        return bool(self.pod_affinity or self.pod_anti_affinity or self.spreads)

    @property
    def is_daemon_set(self) -> bool:
        """Whether a DaemonSet owns it: it does not hold a node."""
        return self.owner is not None and self.owner.kind == "DaemonSet"

    @property
    def is_mirror(self) -> bool:
        """Whether it mirrors a static pod: it does not hold a node either."""
        return ANNOTATION_MIRROR_POD in self.annotations

    @property
    def ref(self) -> ObjectRef:
        """Its reference."""
        return ObjectRef("Pod", self.name, self.namespace, self.uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView(ObjectView):
    """A batch/v1 Job.

    Attributes:
        parallelism: pods that run side by side.
        completions: pods that must succeed, None: until one does.
        indexed: whether its completion mode is Indexed.
        suspended: `spec.suspend`.
        active: pods that run or wait, as its controller counts them.
        succeeded: pods that succeeded.
        failed: pods that failed.
        finished: it has the condition Complete or Failed.
        finished_seconds: when it was first seen finished.
        gpu_milli_per_pod: requested by its template.
        gates: names of its template's scheduling gates.
        template_pool: pool that its template selects, None: none.
        failures_left: pods that may still fail before it fails.
        ignores_disruptions: its podFailurePolicy does not count evicted pods as failed.
        owner: its controller, such as a JobSet or a CronJob; None: it has none.
    """

    parallelism: int = 1
    completions: int | None = None
    indexed: bool = False
    suspended: bool = False
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    finished: bool = False
    finished_seconds: float | None = None
    gpu_milli_per_pod: int = 0
    gates: tuple[str, ...] = ()
    template_pool: str | None = None
    failures_left: int = 0
    ignores_disruptions: bool = False
    owner: ObjectRef | None = None

    @property
    def ref(self) -> ObjectRef:
        """Its reference."""
        return ObjectRef("Job", self.name, self.namespace, self.uid, "batch/v1")


class SuspendedBy(StrEnum):
    """Who suspended a job."""

    POLICY = "policy"  # its lever *suspension*
    GRID_EVENT = "grid-event"  # the guardrail that keeps its budget


@dataclass(frozen=True, slots=True)
class SuspendedJob:
    """A job that was suspended, by us.

    Attributes:
        ref: the object whose field was set, such as its Job.
        since_seconds: when.
        gpu_milli: GPUs of all its pods.
        suspended: False: somebody let it go on before we did.
        by: who suspended it.
        pool: the pool in which it ran; empty: its mark does not say.
        until_seconds: when it goes on at the latest, where the policy suspended it.
    """

    ref: ObjectRef
    since_seconds: float
    gpu_milli: int
    suspended: bool = True
    by: SuspendedBy = SuspendedBy.GRID_EVENT
    pool: str = ""
    until_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PodsToCome:
    """Pods that are alike and that nobody has created yet.

    Attributes:
        pod: one of them, as their template has it.
        count: how many.
        role: their role in their group.
    """

    pod: PodView
    count: int
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView(ObjectView):
    """An AdmissionCheck of Kueue.

    Attributes:
        ref: its reference.
        controller: name of the controller that serves it.
        conditions: of its status, as they stand there.
    """

    ref: ObjectRef
    controller: str = ""
    conditions: tuple[Mapping[str, Any], ...] = ()

    @property
    def active(self) -> bool:
        """Whether its controller has said that it serves it."""
        return any(each.get("type") == "Active" and each.get("status") == "True" for each in self.conditions)


@dataclass(frozen=True, slots=True)
class Admission:
    """What makes Kueue admit a Workload once its nodes are there.

    Attributes:
        workload: the Workload.
        resource_version: of the version that was seen.
        check: name of our admission check in it.
        checks: all of them, as they stand in it.
        pod_sets: names of the pod sets that go to the pool.
    """

    workload: ObjectRef
    resource_version: str = ""
    check: str = ""
    checks: tuple[Mapping[str, Any], ...] = ()
    pod_sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PdbView(ObjectView):
    """A PodDisruptionBudget.

    Attributes:
        match_labels: of its selector.
        match_expressions: of its selector.
        has_selector: False: it selects no pod.
        disruptions_allowed: `status.disruptionsAllowed`, 0 where missing.
    """

    match_labels: Mapping[str, str] = field(default_factory=dict)
    match_expressions: tuple[Requirement, ...] = ()
    has_selector: bool = True
    disruptions_allowed: int = 0

    def selects(self, pod: PodView) -> bool:
        """Whether it protects a pod."""
        if not self.has_selector or pod.namespace != self.namespace:
            return False
        labels = pod.labels
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView(ObjectView):
    """An object by which a provider creates a machine, before and after the machine is a Node.

    Attributes:
        pool: name of its pool in the config, None: of no pool.
        node_name: its Node, empty: not registered yet.
        provider_id: its machine, empty: not launched yet.
        ready: its Ready condition is True.
        failure: why its provider cannot create it, as the provider says it; empty: it does not say so.
    """

    pool: str | None = None
    node_name: str = ""
    provider_id: str = ""
    ready: bool = False
    failure: str = ""
