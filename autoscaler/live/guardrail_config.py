"""Settings of the guardrails. The defaults are those of Cluster Autoscaler (CA), whose flags are named.

Times are clock seconds, see `autoscaler.live.clock`, except those of `RemovalTimes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from autoscaler.live.disruption_config import DisruptionConfig
from autoscaler.live.grid_config import LiveGridEvent, check_live_grid_events
from configs.checks import check_number
from configs.errors import UserError


class GuardrailConfigError(UserError, ValueError):
    """Settings of the guardrails that have no meaning."""


_check = partial(check_number, error=GuardrailConfigError)


@dataclass(frozen=True, slots=True)
class TotalLimits:
    """Bounds over all pools together; those of one pool stand with the pool.

    Attributes:
        min_nodes: no removal leaves fewer nodes than this. CA: none.
        max_nodes: nodes of all pools, ordered ones included; None: no bound. CA: `--max-nodes-total`, none.
        min_gpus: no removal leaves fewer GPUs than this. CA: `--gpu-total`, 0.
        max_gpus: GPUs of all pools, ordered ones included; None: no bound. CA: `--gpu-total`, none.
    """

    min_nodes: int = 0
    max_nodes: int | None = None
    min_gpus: int = 0
    max_gpus: int | None = None

    def __post_init__(self) -> None:
        """Refuse bounds that exclude each other.

        Raises:
            GuardrailConfigError: as above.
        """
        for unit in ("nodes", "gpus"):
            least, most = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            _check(f"guardrails.totals.min_{unit}", least, low=0)
            _check(f"guardrails.totals.max_{unit}", most, low=least)


@dataclass(frozen=True, slots=True)
class StepLimits:
    """How much one reconcile may change.

    Attributes:
        max_new_nodes: orders of one pool in one reconcile; more follow in the next. CA: `--max-nodes-per-scaleup`,
            1000.
        max_removals: nodes that are being removed at the same time. CA: `--max-scale-down-parallelism`, 10.
        max_draining: of these, nodes from which pods must be evicted. CA: `--max-drain-parallelism`, 1.
        max_emptied: busy nodes, of all pools, whose jobs consolidation moves away. CA: none.
        max_suspended: jobs, of all pools, that the policy suspends; more follow in the next. CA: none.
        max_soft_taints: soft taints of idle nodes set or removed; 0: none. CA: `--max-bulk-soft-taint-count`, 10.
    """

    max_new_nodes: int = 1000
    max_removals: int = 10
    max_draining: int = 1
    max_emptied: int = 3
    max_suspended: int = 10
    max_soft_taints: int = 10

    def __post_init__(self) -> None:
        """Refuse negative numbers.

        Raises:
            GuardrailConfigError: as above.
        """
        _check("guardrails.steps.max_new_nodes", self.max_new_nodes, low=1)
        _check("guardrails.steps.max_removals", self.max_removals, low=0)
        _check("guardrails.steps.max_draining", self.max_draining, low=0)
        _check("guardrails.steps.max_emptied", self.max_emptied, low=0)
        _check("guardrails.steps.max_suspended", self.max_suspended, low=1)
        _check("guardrails.steps.max_soft_taints", self.max_soft_taints, low=0)


@dataclass(frozen=True, slots=True)
class Cooldowns:
    """How long nothing is removed after something happened.

    They are longer than most idle time-outs that a policy can choose. Whoever trusts the policy lowers them.

    Attributes:
        unneeded_seconds: a node must have been idle for this long. CA: `--scale-down-unneeded-time`, 10 min.
        after_scale_up_seconds: after an order. CA: `--scale-down-delay-after-add`, 10 min.
        after_failure_seconds: after a removal that failed. CA: `--scale-down-delay-after-failure`, 3 min.
        per_pool: an order holds up removals of its own pool only. CA: `--scale-down-delay-type-local`, false.
    """

    unneeded_seconds: float = 600.0
    after_scale_up_seconds: float = 600.0
    after_failure_seconds: float = 180.0
    per_pool: bool = False

    def __post_init__(self) -> None:
        """Refuse negative times.

        Raises:
            GuardrailConfigError: as above.
        """
        for name in ("unneeded_seconds", "after_scale_up_seconds", "after_failure_seconds"):
            _check(f"guardrails.cooldowns.{name}", getattr(self, name), low=0.0)


@dataclass(frozen=True, slots=True)
class HealthStop:
    """When so much is broken that a decision would rest on wrong facts, nothing is changed.

    Only nodes of the pools count: a node that is not ours cannot stop us.

    Attributes:
        max_unready_fraction: stop above this share of unready nodes. CA: `--max-total-unready-percentage`, 45 %.
        ok_unready_nodes: and never for this many unready nodes or fewer. CA: `--ok-total-unready-count`, 3.
    """

    max_unready_fraction: float = 0.45
    ok_unready_nodes: int = 3

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            GuardrailConfigError: as above.
        """
        _check("guardrails.health.max_unready_fraction", self.max_unready_fraction, low=0.0, high=1.0)
        _check("guardrails.health.ok_unready_nodes", self.ok_unready_nodes, low=0)


@dataclass(frozen=True, slots=True)
class BackoffTimes:
    """How long a pool that failed to deliver is left alone.

    Attributes:
        initial_seconds: after the first failure. CA: `--initial-node-group-backoff-duration`, 5 min.
        max_seconds: it doubles up to this. CA: `--max-node-group-backoff-duration`, 30 min.
        reset_seconds: without a failure for this long it starts anew. CA: `--node-group-backoff-reset-timeout`, 3 h.
        provision_timeout_seconds: an order not ready after this long is given back. CA: `--max-node-provision-time`, 15
            min.
    """

    initial_seconds: float = 300.0
    max_seconds: float = 1800.0
    reset_seconds: float = 10800.0
    provision_timeout_seconds: float = 900.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            GuardrailConfigError: as above.
        """
        _check("guardrails.backoff.initial_seconds", self.initial_seconds, low=0.0)
        _check("guardrails.backoff.max_seconds", self.max_seconds, low=self.initial_seconds)
        _check("guardrails.backoff.reset_seconds", self.reset_seconds, low=0.0)
        _check("guardrails.backoff.provision_timeout_seconds", self.provision_timeout_seconds, low=1.0)


@dataclass(frozen=True, slots=True)
class Protection:
    """Which pods hold their node. Pods of DaemonSets and mirror pods never do.

    Attributes:
        expendable_priority_below: pods of a lower priority hold nothing. CA: `--expendable-pods-priority-cutoff`, -10.
        local_storage: pods with hostPath or emptyDir on disk hold theirs. CA: `--skip-nodes-with-local-storage`, true.
        system_pods: pods in kube-system without a disruption budget do. CA: `--skip-nodes-with-system-pods`, true.
        gpu_pods: pods that use GPUs or other accelerators do, unless annotated `safe-to-evict: "true"`. CA: false.
        accelerators: patterns of further resources that are accelerators, such as `example.com/*`.
    """

    expendable_priority_below: int = -10
    local_storage: bool = True
    system_pods: bool = True
    gpu_pods: bool = True
    accelerators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovalTimes:
    """Times of one removal, in wall seconds, because the kubelet's are.

    Attributes:
        taint_wait_seconds: from the taint to the fresh look, so that the scheduler has seen it. CA: 5 s.
        eviction_timeout_seconds: an eviction that a budget refuses is tried for this long. CA:
            `--max-pod-eviction-time`, 2 min.
        grace_timeout_seconds: pods get their own grace period, at most this. CA:
            `--max-graceful-termination-sec`, 10 min.
        settle_timeout_seconds: a node emptied by consolidation stays tainted until its jobs run elsewhere, at most so
            long.
        delete_timeout_seconds: the provider gets this long to let the node go before it is reported.
    """

    taint_wait_seconds: float = 5.0
    eviction_timeout_seconds: float = 120.0
    grace_timeout_seconds: float = 600.0
    settle_timeout_seconds: float = 300.0
    delete_timeout_seconds: float = 600.0

    def __post_init__(self) -> None:
        """Refuse negative times.

        Raises:
            GuardrailConfigError: as above.
        """
        for name in (
            "taint_wait_seconds",
            "eviction_timeout_seconds",
            "grace_timeout_seconds",
            "settle_timeout_seconds",
            "delete_timeout_seconds",
        ):
            _check(f"guardrails.removal.{name}", getattr(self, name), low=0.0)


@dataclass(frozen=True, slots=True)
class SuspensionLimits:
    """For how long the policy may suspend a job (`codec.suspension`), and when again; grid events heed none of it.

    Attributes:
        max_seconds: for how long in all a job may be suspended; in training `physics.max_suspend_seconds`.
        min_run_seconds: a job must have run for so long since it started, or went on, before it is suspended.
        move_seconds: what a checkpoint and a restart take: so much earlier goes a job on that has to end in time.
    """

    max_seconds: float = 14400.0
    min_run_seconds: float = 1800.0
    move_seconds: float = 120.0

    def __post_init__(self) -> None:
        """Refuse times that have no meaning, and those with which no suspension can be worth its price.

        Raises:
            GuardrailConfigError: as above.
        """
        for name in ("max_seconds", "min_run_seconds", "move_seconds"):
            _check(f"guardrails.suspension.{name}", getattr(self, name), low=0.0)
        if self.max_seconds <= self.move_seconds:
            raise GuardrailConfigError(
                f"guardrails.suspension.max_seconds is {self.max_seconds:g}; it must be more than move_seconds, the "
                f"{self.move_seconds:g} s that a checkpoint and a restart take"
            )


@dataclass(frozen=True, slots=True)
class GuardrailConfig:
    """What no policy can break.

    Attributes:
        totals: bounds over all pools.
        steps: how much one reconcile may change.
        cooldowns: how long nothing is removed after something happened.
        health: when nothing is changed at all.
        backoff: how long a failing pool is left alone.
        protection: which pods hold their node.
        removal: times of one removal.
        disruption: when nodes may be removed or emptied, and how many at once.
        suspension: for how long the policy may suspend a job, and when again.
        grid_events: times in which the pools may draw no more than a budget of power, in order of time.
        curb_for_grid_events: during one, idle nodes go and jobs of flexibility tier 3 are suspended, as far as its
            budget requires.
    """

    totals: TotalLimits = field(default_factory=TotalLimits)
    steps: StepLimits = field(default_factory=StepLimits)
    cooldowns: Cooldowns = field(default_factory=Cooldowns)
    health: HealthStop = field(default_factory=HealthStop)
    backoff: BackoffTimes = field(default_factory=BackoffTimes)
    protection: Protection = field(default_factory=Protection)
    removal: RemovalTimes = field(default_factory=RemovalTimes)
    disruption: DisruptionConfig = field(default_factory=DisruptionConfig)
    suspension: SuspensionLimits = field(default_factory=SuspensionLimits)
    grid_events: tuple[LiveGridEvent, ...] = ()
    curb_for_grid_events: bool = False

    def __post_init__(self) -> None:
        """Refuse grid events that do not follow each other.

        Raises:
            GridEventError: as above.
        """
        check_live_grid_events(self.grid_events)
