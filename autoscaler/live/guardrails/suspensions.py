"""Which jobs are suspended, by the policy or for a grid event, and which of them go on.

As in the simulator: the policy's lever suspends all jobs of a pool that may be, and lets those go on that it suspended;
an event stops jobs as far as its budget requires, until it is over. Those with the most GPUs stop first.
"""

from __future__ import annotations

from autoscaler.live.config import LiveConfig
from autoscaler.live.disruption_config import DisruptionReason
from autoscaler.live.grid_config import utc_text
from autoscaler.live.guardrails.disruptions import Disruptions
from autoscaler.live.guardrails.placement import gang_name
from autoscaler.live.guardrails.power_budget import PowerBudget
from autoscaler.live.guardrails.protection import Hold
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.guardrails.suspendable import Suspendable
from autoscaler.live.guardrails.verdicts import Resumption, Rule, Suspension, Verdict
from autoscaler.live.model import ClusterView, GangView, PoolView
from autoscaler.live.objects import SuspendedBy, SuspendedJob
from envs.gpu_cluster.codec import SUSPENSION_CHOICES, Decision

SUSPEND, RESUME = (SUSPENSION_CHOICES.index(name) for name in ("suspend", "resume"))


class Resumptions:
    """Chooses the jobs that go on. It belongs to one evaluation.

    Args:
        view: the cluster.
        decision: what the policy wants.
        config: the switches.
        power: what the budget leaves; what a job takes is taken from it.

    Attributes:
        chosen: the jobs.
        verdicts: which jobs have to wait, and why.
    """

    def __init__(self, view: ClusterView, decision: Decision, config: LiveConfig, power: PowerBudget) -> None:
        self.chosen: list[Resumption] = []
        self.verdicts: list[Verdict] = []
        self._view, self._decision, self._config, self._power = view, decision, config, power
        self._pools = {pool.name: pool for pool in view.pools}

    def choose(self) -> None:
        """Choose; those that go on already only lose their mark."""
        for job in self._view.suspended:
            is_policys = job.by is SuspendedBy.POLICY
            reason = self._policy_reason(job) if is_policys else self._event_reason(job)
            if reason and not (is_policys and job.suspended and self._waits_for_power(job)):
                self.chosen.append(Resumption(job, reason))

    def _event_reason(self, job: SuspendedJob) -> str:
        """Why a job goes on that a grid event suspended; empty: it does not.

        All do once no event is on, or once the switch of the config is off. During an event, those that an event before
        it suspended go on where the budget has the power for them; the others wait for its end, so that none goes on
        and stops again and again.
        """
        power, event = self._power, self._power.event
        if event is None or not power.is_on or not self._config.guardrails.curb_for_grid_events:
            return "no grid event needs it to wait"
        is_older = job.suspended and job.since_seconds < event.start_seconds
        return "the budget has power for it" if is_older and power.goes_on(job.gpu_milli) else ""

    def _policy_reason(self, job: SuspendedJob) -> str:
        """Why a job goes on that the policy suspended; empty: it does not."""
        pool = self._pools.get(job.pool)
        if not self._config.codec.suspension:
            return "the policy has no lever that suspends jobs (codec.suspension is off)"
        if pool is None:
            return f"there is no pool {job.pool!r} any more"
        if self._view.now_seconds >= job.until_seconds:
            return "it was suspended for as long as it may be"
        if job.suspended and self._decision.suspension[pool.index] == RESUME:
            return f"the policy lets the jobs of pool {pool.name} go on"
        return ""

    def _waits_for_power(self, job: SuspendedJob) -> bool:
        """Whether the budget of an event has no power for a job that is to go on."""
        event = self._power.event
        if event is None or not self._power.is_on or self._power.goes_on(job.gpu_milli):
            return False
        reason = f"it is to go on, and the grid event until {utc_text(event.end_seconds)} leaves too little power"
        name = f"{job.ref.namespace}/{job.ref.name}"
        self.verdicts.append(Verdict(Rule.POWER_BUDGET, "gang", name, 1, 0, reason))
        return True


class Suspensions:
    """Chooses the jobs to suspend. It belongs to one evaluation.

    Args:
        view: the cluster.
        state: refreshed with this view.
        config: the switches, the limits, and which pods are protected.
        power: what has to stop.
        disruptions: what windows and budgets leave.

    Attributes:
        chosen: the jobs.
        pools: pools in which they run.
        verdicts: which jobs stop, and why others do not.
    """

    def __init__(
        self,
        view: ClusterView,
        state: GuardrailState,
        config: LiveConfig,
        power: PowerBudget,
        disruptions: Disruptions,
    ) -> None:
        self.chosen: list[Suspension] = []
        self.pools: set[str] = set()
        self.verdicts: list[Verdict] = []
        self._view, self._config, self._power, self._disruptions = view, config, power, disruptions
        self._suspendable = Suspendable(view, config, state.suspended)
        self._asked = self._suspendable.asked()

    def choose(self, decision: Decision) -> None:
        """Choose those of the policy, then as many more as the budget requires."""
        for pool in self._view.pools:
            if decision.suspension[pool.index] == SUSPEND:
                self._choose_for_policy(pool)
        self._curb()

    def _choose_for_policy(self, pool: PoolView) -> None:
        if not self._config.codec.suspension:
            self.verdicts.append(Verdict(Rule.SUSPENSION_OFF, "pool", pool.name, -1, 0, "codec.suspension is off"))
            return
        for gang in self._asked:
            if self._suspendable.pool_of(gang) == pool.name:
                hold = self._suspendable.policy_hold(gang) or self._step_hold(pool)
                if hold is not None:
                    self._deny(gang, hold)
                    continue
                until = self._suspendable.until_ms(gang) / 1000.0
                reason = (
                    f"the policy suspends the jobs of pool {pool.name}; it goes on at {utc_text(until)} at the latest"
                )
                self._suspend(gang, SuspendedBy.POLICY, reason, until)
                for _ in self._suspendable.nodes_of(gang.pods):
                    self._disruptions.take(pool.name)

    def _step_hold(self, pool: PoolView) -> Hold | None:
        """Why no further job of a pool is suspended now."""
        most = self._config.guardrails.steps.max_suspended
        if len(self.chosen) >= most:
            return Hold(Rule.STEP_SUSPENDED, f"steps.max_suspended is {most} at once")
        return self._disruptions.hold(pool, DisruptionReason.SUSPENDED)

    def _curb(self) -> None:
        """Choose as few as the budget requires."""
        event = self._power.event
        if event is None or not self._config.guardrails.curb_for_grid_events:
            return
        taken = {each.gang.key for each in self.chosen}
        for gang in self._asked:
            excess, watts = self._power.excess_watts, self._power.work_watts(gang.pods)
            if excess <= 0.0:
                return
            if watts <= 0.0 or gang.key in taken:
                continue
            hold = self._suspendable.hold(gang)
            if hold is not None:
                self._deny(gang, hold)
                continue
            reason = (
                f"{excess / 1000.0:.3g} kW have to stop for the grid event of {event.start} with a budget of "
                f"{event.power_kw:g} kW"
            )
            self._suspend(gang, SuspendedBy.GRID_EVENT, reason)
            self.verdicts.append(Verdict(Rule.POWER_BUDGET, "gang", gang_name(gang), 0, -1, reason))
        if self._power.excess_watts > 0.0:
            reason = (
                f"{self._power.excess_watts / 1000.0:.3g} kW are above the budget, and nothing is left that may stop"
            )
            self.verdicts.append(Verdict(Rule.POWER_BUDGET, "cluster", "", 0, 0, reason))

    def _suspend(self, gang: GangView, by: SuspendedBy, reason: str, until_seconds: float = 0.0) -> None:
        known = self._suspendable
        ran = known.ran_ms(gang) / 1000.0
        self.chosen.append(Suspension(gang, reason, by, known.pool_of(gang), ran, until_seconds))
        self.pools |= set(known.pools_of(gang))
        self._power.stops(self._power.work_watts(gang.pods))

    def _deny(self, gang: GangView, hold: Hold) -> None:
        self.verdicts.append(Verdict(hold.rule, "gang", gang_name(gang), -1, 0, hold.reason))
