"""Which jobs a grid event suspends, and which of them go on.

As in the simulator: jobs of flexibility tier 3 stop during an event, as far as its budget requires, those with the most
GPUs first, and go on when it is over.
"""

from __future__ import annotations

from autoscaler.live.config import LiveConfig
from autoscaler.live.gangs.suspension import suspend_field
from autoscaler.live.guardrails.movable import Movable, is_checkpointable
from autoscaler.live.guardrails.placement import gang_name
from autoscaler.live.guardrails.power_budget import PowerBudget
from autoscaler.live.guardrails.protection import Hold
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.guardrails.verdicts import Rule, Suspension, Verdict
from autoscaler.live.model import ClusterView, GangView
from autoscaler.live.names import ANNOTATION_FLEXIBILITY
from autoscaler.live.objects import SuspendedJob

TIER = "3"
"""The tier of jobs that may be suspended."""


def may_be_suspended(gang: GangView) -> bool:
    """Whether the owner of a gang says of all its pods that they may stop and go on from a checkpoint."""
    return bool(gang.pods) and all(
        pod.annotations.get(ANNOTATION_FLEXIBILITY) == TIER and is_checkpointable(pod) for pod in gang.pods
    )


def resumptions(view: ClusterView, config: LiveConfig, power: PowerBudget) -> list[SuspendedJob]:
    """The jobs that go on now, or that go on already and lose their mark.

    All do once no event is on, or once the switch of the config is off. During an event, those that an event before it
    suspended go on where the budget has the power for them; the others wait for its end, so that none goes on and stops
    again and again.

    Args:
        view: the cluster.
        config: the switch.
        power: what the budget leaves; what a job takes is taken from it.
    """
    event = power.event
    if event is None or not power.is_on or not config.guardrails.curb_for_grid_events:
        return list(view.suspended)
    return [
        job
        for job in view.suspended
        if job.suspended and job.since_seconds < event.start_seconds and power.goes_on(job.gpu_milli)
    ]


class Suspensions:
    """Chooses the jobs to suspend. It belongs to one evaluation.

    Args:
        view: the cluster.
        state: refreshed with this view.
        config: the switch, and which pods are protected.
        power: what has to stop.

    Attributes:
        chosen: the jobs.
        pools: pools in which they run.
        verdicts: which jobs stop, and why others do not.
    """

    def __init__(self, view: ClusterView, state: GuardrailState, config: LiveConfig, power: PowerBudget) -> None:
        self.chosen: list[Suspension] = []
        self.pools: set[str] = set()
        self.verdicts: list[Verdict] = []
        self._view, self._power = view, power
        self._is_on = config.guardrails.curb_for_grid_events
        self._marked = {job.ref.uid: job for job in view.suspended}
        self._stopping = {*state.suspended, *(uid for uid, job in self._marked.items() if job.suspended)}
        self._movable = Movable(view, config.guardrails.protection)
        self._places = {node.name: pool.name for pool in view.pools for node in pool.nodes}

    def choose(self) -> None:
        """Choose as few as the budget requires."""
        event = self._power.event
        if event is None or not self._is_on:
            return
        asked = (gang for gang in self._view.running if gang.ref.uid not in self._stopping and may_be_suspended(gang))
        for gang in sorted(asked, key=lambda gang: (-sum(pod.gpu_milli for pod in gang.pods), gang.key)):
            excess, watts = self._power.excess_watts, self._power.work_watts(gang.pods)
            if excess <= 0.0:
                return
            if watts <= 0.0:
                continue
            hold = self._hold(gang)
            if hold is not None:
                self.verdicts.append(Verdict(hold.rule, "gang", gang_name(gang), -1, 0, hold.reason))
                continue
            reason = (
                f"{excess / 1000.0:.3g} kW have to stop for the grid event of {event.start} with a budget of "
                f"{event.power_kw:g} kW"
            )
            self.chosen.append(Suspension(gang, reason))
            self.pools |= {self._places[pod.node_name] for pod in gang.pods if pod.node_name in self._places}
            self.verdicts.append(Verdict(Rule.POWER_BUDGET, "gang", gang_name(gang), 0, -1, reason))
            self._power.stops(watts)
        if self._power.excess_watts > 0.0:
            reason = (
                f"{self._power.excess_watts / 1000.0:.3g} kW are above the budget, and nothing is left that may stop"
            )
            self.verdicts.append(Verdict(Rule.POWER_BUDGET, "cluster", "", 0, 0, reason))

    def _hold(self, gang: GangView) -> Hold | None:
        """Why a job that its owner allows to suspend runs on."""
        if suspend_field(gang.ref) is None:
            return Hold(Rule.NOT_SUSPENDABLE, f"a {gang.ref.kind} has no field that suspends it; give it a Job")
        if gang.managed_by:
            return Hold(Rule.NOT_SUSPENDABLE, f"{gang.managed_by} starts and stops it")
        if gang.ref.uid in self._marked:
            return Hold(Rule.NOT_SUSPENDABLE, "somebody let it go on during this grid event")
        paused = sorted({self._places.get(pod.node_name, "") for pod in gang.pods} & self._view.paused_pools.keys())
        if paused:
            return Hold(Rule.PAUSED, f"pool {paused[0]}: {self._view.paused_pools[paused[0]]}")
        return self._movable.gang_hold(gang)
