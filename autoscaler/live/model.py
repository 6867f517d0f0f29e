"""What is known of a cluster, parsed and typed: the one shape that observing, guardrails and acting share.

Times are clock seconds (see `autoscaler.live.clock`), GPUs are thousandths of a GPU where a name ends in `_milli`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from autoscaler.live.constraints import PodTerm, Requirement, Spread, Taint, Toleration
from autoscaler.live.device_model import PodClaim
from autoscaler.live.names import ANNOTATION_MIRROR_POD, GATE_PLACEMENT, LABEL_POOL


class NodeState(StrEnum):
    """What a node of a pool is to the policy."""

    BOOTING = "booting"  # ordered or starting: not ready yet, or ready without its GPUs
    IDLE = "idle"  # ready, no GPU pod
    BUSY = "busy"  # ready, at least one GPU pod
    CORDONED = "cordoned"  # ready, but unschedulable for a reason that is not ours
    DRAINING = "draining"  # carries our deletion taint or is being deleted
    UNREADY = "unready"  # was ready, or should be by now, and is not


class GangState(StrEnum):
    """What a job is to the policy."""

    QUEUED = "queued"  # at least one pod waits for a node
    RUNNING = "running"  # every pod has a node
    FINISHED = "finished"  # succeeded, failed or gone


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

    @property
    def ref(self) -> ObjectRef:
        """Its reference."""
        return ObjectRef("Job", self.name, self.namespace, self.uid, "batch/v1")


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


@dataclass(frozen=True, slots=True)
class OrderView:
    """A node that was ordered and has no Node object yet.

    Attributes:
        pool: its pool.
        name: name of the machine or Node to come.
        ordered_seconds: when.
    """

    pool: str
    name: str
    ordered_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GangView:
    """What the policy calls a job: a Job with all its pods, or one bare pod. It is placed whole or not at all.

    Attributes:
        key: uid of its Job or of its pod.
        ref: its Job or pod.
        state: see `GangState`.
        submitted_seconds: creation of the Job or pod.
        parallelism: pods that it needs side by side.
        gpu_milli_per_pod: GPUs of each of its pods.
        pending_gpu_milli: requested by its pods that have no node, those not created yet included.
        missing_pods: pods that it needs and that its controller has not created yet.
        to_come: these pods, where it is known what they are like.
        late: they are created only once others run, so it begins without them, where all of them fit.
        companions: pods of its group that use no GPUs; their gates go with those of the others.
        admission: what lets its pods be created; None: they need no such thing.
        sent_to: pool that its pods to come are sent to; empty: not known by that.
        pods: its pods that are not finished, sorted by name.
        allowed_pools: names of the pools that can ever run it, in the config's order.
        default_pool: where it goes while it waits behind the policy's window; empty: it does not.
        predicted_seconds: the run time that is expected, 0: nobody said.
        latest_start_seconds: until when its start may be deferred; None: it may not.
        priority: the highest of its pods.
        protected: it must not be moved (see the guardrails); False for queued gangs.
        evictions_left: pods of its Job that may be evicted before the Job fails by it; None: any number.
        replaceable: its pods can be evicted before they run: its Job makes them again at our gate, for any pool, and
            does not fail by it.
        refusals: name and reason of each pool that can never run it.
        withheld: why its pods cannot come or start whatever nodes there are; it is no demand. Empty: they can.
    """

    key: str
    ref: ObjectRef
    state: GangState
    submitted_seconds: float
    parallelism: int
    gpu_milli_per_pod: int
    pending_gpu_milli: int = 0
    missing_pods: int = 0
    to_come: tuple[PodsToCome, ...] = ()
    late: bool = False
    companions: tuple[PodView, ...] = ()
    admission: Admission | None = None
    sent_to: str = ""
    pods: tuple[PodView, ...] = ()
    allowed_pools: tuple[str, ...] = ()
    default_pool: str = ""
    predicted_seconds: float = 0.0
    latest_start_seconds: float | None = None
    priority: int = 0
    protected: bool = False
    replaceable: bool = False
    evictions_left: int | None = 0
    refusals: tuple[tuple[str, str], ...] = ()
    withheld: str = ""

    @property
    def pending(self) -> tuple[PodView, ...]:
        """Its pods that have no node."""
        return tuple(pod for pod in self.pods if not pod.node_name)

    @property
    def begun_in(self) -> str:
        """The pool to which a part of it was sent; empty: to none, as far as its pods show."""
        sent = (pod for pod in self.pods if GATE_PLACEMENT not in pod.gates and LABEL_POOL in pod.node_selector)
        return self.sent_to or next((pod.node_selector[LABEL_POOL] for pod in sent), "")

    @property
    def expected(self) -> tuple[PodView, ...]:
        """One pod for each of `to_come`."""
        return tuple(
            replace(each.pod, uid=f"{each.pod.uid}/{number}") for each in self.to_come for number in range(each.count)
        )

    @property
    def gated(self) -> bool:
        """Whether we must place it: a pod of it carries a scheduling gate, and is not bound."""
        return any(pod.gates for pod in self.pending)


@dataclass(frozen=True, slots=True)
class NodeShape:
    """A node of a pool as it comes, before any job has a pod on it.

    Attributes:
        labels: its labels, besides its name.
        taints: its taints.
        allocatable: of every resource, GPUs too, in thousandths.
        overhead: what the pods of DaemonSets take of that.
        ports: ports that they take.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    allocatable: Mapping[str, int] = field(default_factory=dict)
    overhead: Mapping[str, int] = field(default_factory=dict)
    ports: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """The nodes of a pool.

    Attributes:
        name: its name in the config.
        index: its row in the snapshot.
        nodes: all its nodes, sorted by name, in every state.
        orders: ordered nodes that have no Node object yet.
        shape: its next node; None: as the config says.
    """

    name: str
    index: int
    nodes: tuple[NodeView, ...] = ()
    orders: tuple[OrderView, ...] = ()
    shape: NodeShape | None = None

    def in_state(self, *states: NodeState) -> tuple[NodeView, ...]:
        """Its nodes in one of some states."""
        return tuple(node for node in self.nodes if node.state in states)

    @property
    def powered_nodes(self) -> int:
        """Nodes that exist or are ordered: what max_nodes limits."""
        return len(self.nodes) + len(self.orders)

    @property
    def decided_nodes(self) -> int:
        """Idle, busy and booting nodes and orders: what `Decision.target_nodes` is compared with."""
        return len(self.in_state(NodeState.IDLE, NodeState.BUSY, NodeState.BOOTING)) + len(self.orders)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """The cluster at one moment.

    Attributes:
        now_seconds: when.
        pools: the config's pools, in its order.
        unmanaged_nodes: nodes of no pool.
        queue: gangs that wait, sorted by submission, then by key; the first `window_slots` are the window.
        running: gangs that run.
        unplaceable: gangs that wait and that no pool can ever run; the policy does not see them.
        withheld: gangs that wait for something else than nodes, such as a quota; the policy does not see them either.
        unserved: pods that wait for a ProvisioningRequest, for accelerators that no pool serves, or with a group that
            cannot be served; left alone.
        checks: admission checks of ours.
        pods: all pods that are not finished, by uid.
        pdbs: all disruption budgets.
        machines: what providers have for machines; empty where Nodes are all they have.
        gone: nodes and machines that were seen to go, by name; False: no machine had been launched for it.
        stale_resources: resources without fresh data; while there are any, nothing may be changed.
        paused: who says that nothing may be changed; empty: nobody.
        paused_pools: the same of single pools, by name.
    """

    now_seconds: float
    pools: tuple[PoolView, ...]
    unmanaged_nodes: tuple[NodeView, ...] = ()
    queue: tuple[GangView, ...] = ()
    running: tuple[GangView, ...] = ()
    unplaceable: tuple[GangView, ...] = ()
    withheld: tuple[GangView, ...] = ()
    unserved: tuple[PodView, ...] = ()
    checks: tuple[CheckView, ...] = ()
    pods: Mapping[str, PodView] = field(default_factory=dict)
    pdbs: tuple[PdbView, ...] = ()
    machines: tuple[MachineView, ...] = ()
    gone: Mapping[str, bool] = field(default_factory=dict)
    stale_resources: tuple[str, ...] = ()
    paused: str = ""
    paused_pools: Mapping[str, str] = field(default_factory=dict)

    def pool(self, name: str) -> PoolView:
        """The pool of a name.

        Raises:
            KeyError: no such pool.
        """
        for pool in self.pools:
            if pool.name == name:
                return pool
        raise KeyError(name)

    def pods_on(self, node: NodeView) -> tuple[PodView, ...]:
        """The pods that are bound to a node and not finished."""
        return tuple(self.pods[uid] for uid in node.pods if uid in self.pods)
