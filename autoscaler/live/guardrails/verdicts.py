"""What the guardrails say: the rules by name, and what is left of a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.model import GangView
from autoscaler.live.objects import NodeView, PodView, SuspendedBy, SuspendedJob


class Rule(StrEnum):
    """A rule that can change a decision; the label of the metric and the word in the audit."""

    PAUSED = "paused"
    STALE_DATA = "stale-data"
    HEALTH_STOP = "health-stop"
    # Orders.
    NEEDED = "needed"
    POOL_MIN = "pool-min"
    POOL_MAX = "pool-max"
    TOTAL_MAX_NODES = "total-max-nodes"
    TOTAL_MAX_GPUS = "total-max-gpus"
    STEP_ORDERS = "step-orders"
    BACKOFF = "backoff"
    IN_FLIGHT = "in-flight"
    WHOLE_GANGS = "whole-gangs"
    POWER_BUDGET = "power-budget"  # also of placements, removals and suspensions
    # Removals.
    PROVISION_TIMEOUT = "provision-timeout"
    TOTAL_MIN_NODES = "total-min-nodes"
    TOTAL_MIN_GPUS = "total-min-gpus"
    STEP_REMOVALS = "step-removals"
    STEP_DRAINING = "step-draining"
    UNNEEDED = "unneeded"
    AFTER_SCALE_UP = "after-scale-up"
    AFTER_FAILURE = "after-failure"
    DISRUPTION_WINDOW = "disruption-window"
    DISRUPTION_BUDGET = "disruption-budget"
    OPT_OUT = "opt-out"
    PROMISED = "promised"
    # Pods that hold their node.
    UNREADABLE = "unreadable"
    SAFE_TO_EVICT = "safe-to-evict"
    DO_NOT_DISRUPT = "do-not-disrupt"
    GPU_POD = "gpu-pod"
    BARE_POD = "bare-pod"
    LOCAL_STORAGE = "local-storage"
    SYSTEM_POD = "system-pod"
    PDB = "pdb"
    TWO_PDBS = "two-pdbs"
    NO_PLACE_TO_MOVE = "no-place-to-move"
    # Repairs.
    REPAIR = "repair"
    REPAIR_SHARE = "repair-share"
    # Consolidations.
    CONSOLIDATION_OFF = "consolidation-off"
    CONSOLIDATION_INTERVAL = "consolidation-interval"
    CONSOLIDATION_BUSY = "consolidation-busy"
    STEP_EMPTIED = "step-emptied"
    NOT_CHECKPOINTABLE = "not-checkpointable"
    JOB_WOULD_FAIL = "job-would-fail"
    # Suspensions.
    NOT_SUSPENDABLE = "not-suspendable"
    SUSPENSION_OFF = "suspension-off"
    MIN_RUN = "min-run"
    SUSPENDED_LONG_ENOUGH = "suspended-long-enough"
    STEP_SUSPENDED = "step-suspended"
    # Placements.
    OVERFLOW = "overflow"
    POOL_NOT_ALLOWED = "pool-not-allowed"
    GANG_INCOMPLETE = "gang-incomplete"
    GANG_TOGETHER = "gang-together"
    NO_READY_GPUS = "no-ready-gpus"
    DOES_NOT_FIT = "does-not-fit"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule did to one part of a decision. A rule that changed nothing says nothing.

    Attributes:
        rule: which.
        kind: `cluster`, `pool`, `node` or `gang`.
        subject: name of it; of a gang `namespace/name`.
        requested: nodes to add (+), to remove or to empty (-) before the rule, 1 for a placement, or for a
            job that is to go on, -1 for a suspension.
        allowed: the same after it, 0 for a placement that has to wait, and for a job that may not be suspended or go
            on.
        reason: one sentence that people can act on.
    """

    rule: Rule
    kind: str
    subject: str
    requested: int
    allowed: int
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """A gang that may go.

    Attributes:
        gang: the gang.
        pool: where its pods with GPUs go, empty: there are none among them.
        pods: those of its pods that still carry our gate, those without GPUs too.
    """

    gang: GangView
    pool: str
    pods: tuple[PodView, ...]


@dataclass(frozen=True, slots=True)
class Removal:
    """A node that may go.

    Attributes:
        pool: its pool.
        name: of the Node, or of the machine that never became one.
        node: the Node; None: there is none.
        evict: uids of the pods that have to be evicted first; empty for an empty node.
        reason: why.
    """

    pool: str
    name: str
    node: NodeView | None
    evict: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Consolidation:
    """A node that may be emptied: its jobs are moved to other busy nodes, and it stays, idle.

    Attributes:
        pool: its pool.
        node: the Node.
        evict: uids of the pods that are evicted.
        reason: which pods, for people.
    """

    pool: str
    node: NodeView
    evict: tuple[str, ...]
    reason: str


class RepairKind(StrEnum):
    """What is done with a broken node that stays."""

    REBOOT = "reboot"
    RECOVER = "recover"


@dataclass(frozen=True, slots=True)
class RepairAction:
    """A node that is rebooted, or given back because it is well again.

    Attributes:
        kind: which of these.
        pool: its pool.
        node: the Node.
        reason: why.
        since_seconds: since when it is unwell.
    """

    kind: RepairKind
    pool: str
    node: NodeView
    reason: str
    since_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Stranded:
    """A gang whose pool cannot run it.

    Attributes:
        gang: the gang; none of its pods has a node.
        restart: its pods may be evicted, and its Job makes them again at our gate.
        reason: one sentence that people can act on.
    """

    gang: GangView
    restart: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Suspension:
    """A job that is suspended.

    Attributes:
        gang: the gang that runs.
        reason: one sentence for people.
        by: who suspends it.
        pool: where it runs.
        ran_seconds: for how long it has run, in all.
        until_seconds: when it goes on at the latest; 0: when the grid event is over.
    """

    gang: GangView
    reason: str
    by: SuspendedBy
    pool: str
    ran_seconds: float
    until_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Resumption:
    """A job that was suspended and goes on, or that goes on already and loses its mark.

    Attributes:
        job: the job.
        reason: why, half a sentence for people.
    """

    job: SuspendedJob
    reason: str


@dataclass(frozen=True, slots=True)
class PowerSeen:
    """The budget of a grid event, and what counts against it.

    Attributes:
        budget_watts: the budget.
        drawn_watts: modelled power of what is on, or measured where that is more, PUE included.
    """

    budget_watts: float
    drawn_watts: float


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is left of a decision.

    Attributes:
        orders: nodes to order by pool, only pools with at least one.
        removals: nodes to remove.
        releases: gangs to release.
        verdicts: what the rules changed.
        state: the state with what this view showed; write down what was done in it.
        candidates: names of idle nodes that may be removed soon; None: nothing may be changed, their taints neither.
        stranded: gangs whose pool cannot run them.
        consolidations: nodes to empty.
        repairs: nodes to reboot, and nodes that are well again.
        reserves: nodes to keep free by pool, of all pools whose nodes another autoscaler makes and that are not paused.
        suspensions: jobs to suspend.
        resumptions: jobs that were suspended and go on.
        power: the budget that is known; None: there is none.
    """

    orders: Mapping[str, int]
    removals: tuple[Removal, ...]
    releases: tuple[Release, ...]
    verdicts: tuple[Verdict, ...]
    state: GuardrailState
    candidates: tuple[str, ...] | None = None
    stranded: tuple[Stranded, ...] = ()
    consolidations: tuple[Consolidation, ...] = ()
    repairs: tuple[RepairAction, ...] = ()
    reserves: Mapping[str, int] = field(default_factory=dict)
    suspensions: tuple[Suspension, ...] = ()
    resumptions: tuple[Resumption, ...] = ()
    power: PowerSeen | None = None
