"""What is known of a cluster, parsed and typed: the one shape that observing, guardrails and acting share.

Times are clock seconds (see `autoscaler.live.clock`), GPUs are thousandths of a GPU where a name ends in `_milli`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from autoscaler.live.constraints import Taint
from autoscaler.live.names import GATE_PLACEMENT, LABEL_POOL
from autoscaler.live.objects import (
    Admission,
    CheckView,
    MachineView,
    NodeState,
    NodeView,
    ObjectRef,
    PdbView,
    PodsToCome,
    PodView,
    SuspendedJob,
)


class GangState(StrEnum):
    """What a job is to the policy."""

    QUEUED = "queued"  # at least one pod waits for a node
    RUNNING = "running"  # every pod has a node
    FINISHED = "finished"  # succeeded, failed or gone


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
        deadline_seconds: by when it is to end; None: nobody said.
        running_since_seconds: since when all its pods have a node; None: they have none.
        ran_seconds: for how long it had run when it was last suspended.
        suspended_seconds: for how long it was suspended before, in all.
        data_gb: data that it reads, GB.
        data_region: the region where these are; empty: nobody said.
        priority: the highest of its pods.
        protected: it must not be moved (see the guardrails); False for queued gangs.
        managed_by: who else starts and stops it, such as Kueue, so that we must not suspend it; empty: nobody.
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
    deadline_seconds: float | None = None
    running_since_seconds: float | None = None
    ran_seconds: float = 0.0
    suspended_seconds: float = 0.0
    data_gb: float = 0.0
    data_region: str = ""
    priority: int = 0
    protected: bool = False
    managed_by: str = ""
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
        suspended: jobs that we suspended, for the policy or a grid event.
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
    suspended: tuple[SuspendedJob, ...] = ()
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
