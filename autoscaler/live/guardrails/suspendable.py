"""Which jobs that run may be suspended, and until when: the snapshot shows it, and the guardrails judge by it.

As in the simulator: a job may be suspended for so long in all, and only as far as it still ends in time. Times are
compared in whole milliseconds, as there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from autoscaler.live.config import LiveConfig
from autoscaler.live.gangs.suspension import suspend_field
from autoscaler.live.guardrails.movable import Movable, is_checkpointable
from autoscaler.live.guardrails.protection import Hold
from autoscaler.live.guardrails.verdicts import Rule
from autoscaler.live.model import ClusterView, GangView
from autoscaler.live.names import ANNOTATION_FLEXIBILITY
from autoscaler.live.objects import PodView
from autoscaler.live.view.submissions import milliseconds

TIERS = ("0", "1", "2", "3")
"""What may be done to a job that runs, see docs/energy.md; of the last one it may be suspended."""

UNSAID = "1"
"""The tier of a pod that says none: nothing is done to it that stops it."""


def flexibility(gang: GangView) -> int:
    """The tier of a job: the lowest that one of its pods says."""
    said = (pod.annotations.get(ANNOTATION_FLEXIBILITY, UNSAID) for pod in gang.pods)
    return min((TIERS.index(tier if tier in TIERS else UNSAID) for tier in said), default=TIERS.index(UNSAID))


def may_be_suspended(gang: GangView) -> bool:
    """Whether the owner of a gang says of all its pods that they may stop and go on from a checkpoint."""
    return bool(gang.pods) and flexibility(gang) == len(TIERS) - 1 and all(map(is_checkpointable, gang.pods))


def gpu_milli(gang: GangView) -> int:
    """Thousandths of a GPU that its pods hold."""
    return sum(pod.gpu_milli for pod in gang.pods)


class Suspendable:
    """Looks at the jobs that run.

    Args:
        view: the cluster.
        config: which pods are protected, and the limits of the policy.
        unseen: uids of jobs that were suspended and that the view does not show as such yet.
    """

    def __init__(self, view: ClusterView, config: LiveConfig, unseen: Collection[str] = ()) -> None:
        self._view, self._limits = view, config.guardrails.suspension
        self._now = milliseconds(view.now_seconds)
        self._marked = {job.ref.uid: job for job in view.suspended}
        self._stopping = {*unseen, *(uid for uid, job in self._marked.items() if job.suspended)}
        self._movable = Movable(view, config.guardrails.protection)
        self._places = {node.name: pool.name for pool in view.pools for node in pool.nodes}

    def asked(self) -> list[GangView]:
        """The gangs that run and opted in, those with the most GPUs first, of equals who was submitted first."""
        running = self._view.running
        opted_in = [gang for gang in running if gang.ref.uid not in self._stopping and may_be_suspended(gang)]
        return sorted(opted_in, key=lambda gang: (-gpu_milli(gang), gang.submitted_seconds, gang.key))

    def policy_gpu_milli(self) -> Counter[str]:
        """Thousandths of a GPU that jobs hold which the policy may suspend now, by pool."""
        held: Counter[str] = Counter()
        for gang in self.asked():
            if self.policy_hold(gang) is None:
                held[self.pool_of(gang)] += gpu_milli(gang)
        return held

    def pools_of(self, gang: GangView) -> list[str]:
        """The pools in which its pods run."""
        return sorted({self._places[pod.node_name] for pod in gang.pods if pod.node_name in self._places})

    def pool_of(self, gang: GangView) -> str:
        """The pool whose lever counts it: that of its first pod; empty: it runs in none."""
        return next((self._places[pod.node_name] for pod in gang.pods if pod.node_name in self._places), "")

    def nodes_of(self, pods: Collection[PodView]) -> set[str]:
        """Nodes of pools on which some pods run."""
        return {pod.node_name for pod in pods if pod.node_name in self._places}

    def hold(self, gang: GangView) -> Hold | None:
        """Why a job that its owner allows to suspend runs on, whoever would suspend it."""
        if suspend_field(gang.ref) is None:
            return Hold(Rule.NOT_SUSPENDABLE, f"a {gang.ref.kind} has no field that suspends it; give it a Job")
        if gang.managed_by:
            return Hold(Rule.NOT_SUSPENDABLE, f"{gang.managed_by} starts and stops it")
        if gang.ref.uid in self._marked:
            return Hold(Rule.NOT_SUSPENDABLE, "somebody let it go on before its suspension was over")
        for pool in self.pools_of(gang):
            if pool in self._view.paused_pools:
                return Hold(Rule.PAUSED, f"pool {pool}: {self._view.paused_pools[pool]}")
        return self._movable.gang_hold(gang)

    def policy_hold(self, gang: GangView) -> Hold | None:
        """The same, where the policy would suspend it."""
        run_ms = self._run_ms(gang)
        short_ms = milliseconds(self._limits.min_run_seconds) - run_ms
        if short_ms > 0:
            reason = f"it has run for {max(0, run_ms) / 1000:.0f} s since it started; wait {short_ms / 1000:.0f} s more"
            return Hold(Rule.MIN_RUN, reason)
        if self.until_ms(gang) <= self._now:
            return Hold(Rule.SUSPENDED_LONG_ENOUGH, self._limit_reason(gang))
        return self.hold(gang)

    def _limit_reason(self, gang: GangView) -> str:
        most, so_far = self._limits.max_seconds, gang.suspended_seconds
        if so_far >= most:
            return f"it was suspended for {so_far:.0f} s in all, the most is {most:g} s"
        if gang.predicted_seconds <= 0.0:
            return "it has to end in time, and nobody said how long it runs"
        return "it would not end in time"

    def until_ms(self, gang: GangView) -> int:
        """Until when the policy may suspend it; no later than now: it may not.

        The same as `until` of `envs.gpu_cluster.simulator.reference.suspension`.
        """
        limits = self._limits
        latest = self._now + milliseconds(limits.max_seconds) - milliseconds(gang.suspended_seconds)
        predicted = milliseconds(gang.predicted_seconds)
        ends = [] if gang.deadline_seconds is None else [milliseconds(gang.deadline_seconds)]
        if gang.latest_start_seconds is not None:
            ends.append(milliseconds(gang.latest_start_seconds) + predicted)
        if not ends:
            return latest
        if predicted == 0:
            return self._now
        ahead = max(0, predicted - self.ran_ms(gang))
        return min(latest, min(ends) - milliseconds(limits.move_seconds) - ahead)

    def ran_ms(self, gang: GangView) -> int:
        """How long it made progress, in all."""
        was_suspended = gang.suspended_seconds > 0.0 or gang.ran_seconds > 0.0
        restart = milliseconds(self._limits.move_seconds) if was_suspended else 0
        return milliseconds(gang.ran_seconds) + max(0, self._run_ms(gang) - restart)

    def _run_ms(self, gang: GangView) -> int:
        """Since when it runs, without what it ran before."""
        return 0 if gang.running_since_seconds is None else self._now - milliseconds(gang.running_since_seconds)
