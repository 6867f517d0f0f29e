"""Which busy nodes may be emptied, so that their jobs run closer together."""

from __future__ import annotations

from collections.abc import Collection

from autoscaler.live.config import LiveConfig
from autoscaler.live.disruption_config import DisruptionReason
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.disruptions import Disruptions
from autoscaler.live.guardrails.movable import BusyView, Movable
from autoscaler.live.guardrails.orders import coming_nodes
from autoscaler.live.guardrails.placement import unfit
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.guardrails.verdicts import Consolidation, Rule, Verdict
from autoscaler.live.model import ClusterView, PoolView
from autoscaler.live.objects import NodeState, PodView
from envs.gpu_cluster.codec import CONSOLIDATION_CHOICES, Decision, Emptying, consolidation_plan


class Consolidations:
    """Chooses the nodes to empty. It belongs to one evaluation.

    Args:
        view: the cluster.
        state: refreshed with this view.
        config: pools and guardrails.
        capacity: what is free after the gangs that go now took theirs.
        changing: pools that order or remove nodes in this same reconcile.
        disruptions: what windows and budgets leave.
    """

    def __init__(
        self,
        view: ClusterView,
        state: GuardrailState,
        config: LiveConfig,
        capacity: Capacity,
        changing: Collection[str],
        disruptions: Disruptions,
    ) -> None:
        self.chosen: list[Consolidation] = []
        self.verdicts: list[Verdict] = []
        self._view = view
        self._state = state
        self._config = config
        self._capacity = capacity
        self._changing = changing
        self._disruptions = disruptions
        self._movable = Movable(view, config.guardrails.protection)
        self._evicted: tuple[PodView, ...] = ()

    def choose(self, decision: Decision) -> None:
        """Choose for all pools."""
        for pool in self._view.pools:
            choice = int(decision.consolidation[pool.index])
            if 0 < choice < len(CONSOLIDATION_CHOICES) and self._may_begin(pool):
                self._choose(pool, only_one=CONSOLIDATION_CHOICES[choice] == "one")

    def _may_begin(self, pool: PoolView) -> bool:
        """Whether anything of a pool may be moved now."""
        now, state, times = self._view.now_seconds, self._state, self._config.guardrails.cooldowns
        if pool.name in self._view.paused_pools:
            return self._deny(Rule.PAUSED, "pool", pool.name, self._view.paused_pools[pool.name])
        if not self._config.codec.consolidation:
            return self._deny(Rule.CONSOLIDATION_OFF, "pool", pool.name, "codec.consolidation is off")
        left = self._config.codec.consolidation_interval_seconds - (now - state.consolidated_seconds(pool.name))
        if left > 0.0:
            reason = f"jobs were moved, or the process began, too recently; wait {left:.0f} s more"
            return self._deny(Rule.CONSOLIDATION_INTERVAL, "pool", pool.name, reason)
        failed = state.removal_failed_seconds
        if failed is not None and now - failed < times.after_failure_seconds:
            reason = f"a removal failed; wait {times.after_failure_seconds - (now - failed):.0f} s more"
            return self._deny(Rule.AFTER_FAILURE, "pool", pool.name, reason)
        coming = coming_nodes(pool, state, now, self._config.guardrails.backoff)
        leaving = len(pool.in_state(NodeState.DRAINING))
        if coming or leaving or pool.name in self._changing:
            reason = f"{coming} of its nodes come and {leaving} go, or are about to"
            return self._deny(Rule.CONSOLIDATION_BUSY, "pool", pool.name, reason)
        return True

    def _choose(self, pool: PoolView, only_one: bool) -> None:
        busy = self._movable.busy(pool, self._config.pool(pool.name))
        for each in busy:
            # Whoever did not opt in need not hear of it in every round.
            if each.hold is not None and each.hold.rule is not Rule.NOT_CHECKPOINTABLE and each.known.free.gpus > 0:
                self._deny(each.hold.rule, "node", each.node.name, each.hold.reason)
        # Those that are emptied receive no pods of others, nor does any node that is not busy: nothing would be gained.
        offered = {each.node.name for each in busy}

        def accept(emptying: Emptying) -> bool:
            if not self._accept(busy[emptying.node], pool, offered):
                return False
            self._take(busy[emptying.node], pool, [busy[target].node.name for target in emptying.targets])
            return True

        consolidation_plan([each.known for each in busy], only_one, accept)

    def _accept(self, busy: BusyView, pool: PoolView, offered: set[str]) -> bool:
        """Whether the rules about one node let it be emptied; if so, its pods get capacity on those offered."""
        name, steps = busy.node.name, self._config.guardrails.steps
        if len(self.chosen) >= steps.max_emptied:
            if not any(verdict.rule is Rule.STEP_EMPTIED for verdict in self.verdicts):  # the first stands for all
                self._deny(Rule.STEP_EMPTIED, "node", name, f"steps.max_emptied is {steps.max_emptied} at once")
            return False
        if name in self._capacity.claimed:
            return self._deny(Rule.PROMISED, "node", name, "pods that are about to be bound need it")
        hold = self._movable.hold(busy.node, self._evicted)
        hold = hold or self._disruptions.hold(pool, DisruptionReason.UNDERUTILIZED)
        if hold is not None:
            return self._deny(hold.rule, "node", name, hold.reason)
        if not self._capacity.place(pool.name, busy.pods, offered - {name}):
            reason = f"{unfit(len(busy.pods))} on the other busy nodes of pool {pool.name} now"
            return self._deny(Rule.DOES_NOT_FIT, "node", name, reason)
        offered.discard(name)
        return True

    def _take(self, busy: BusyView, pool: PoolView, targets: list[str]) -> None:
        pods = ", ".join(f"{pod.namespace}/{pod.name}" for pod in busy.pods)
        reason = f"its pods ({pods}) fit on {', '.join(sorted(set(targets)))}"
        self.chosen.append(Consolidation(pool.name, busy.node, tuple(pod.uid for pod in busy.pods), reason))
        self._evicted += busy.pods
        self._disruptions.take(pool.name)

    def _deny(self, rule: Rule, kind: str, name: str, reason: str) -> bool:
        self.verdicts.append(Verdict(rule, kind, name, -1, 0, reason))
        return False
