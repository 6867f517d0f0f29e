"""Which broken nodes are rebooted or replaced, and which ones are well again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from autoscaler.live.config import LiveConfig
from autoscaler.live.disruption_config import DisruptionReason
from autoscaler.live.guardrail_config import Protection
from autoscaler.live.guardrails.ailing import Ailment, due_seconds
from autoscaler.live.guardrails.disruptions import Disruptions
from autoscaler.live.guardrails.protection import Hold, evictable_pods, node_hold
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.guardrails.verdicts import RepairAction, RepairKind, Rule, Verdict
from autoscaler.live.model import ClusterView, PoolView
from autoscaler.live.names import TAINT_REPAIR
from autoscaler.live.objects import NodeState, NodeView
from autoscaler.live.providers import kind_of
from autoscaler.live.repair_config import Repair


def protection_of(protection: Protection, settings: Repair) -> Protection:
    """Which pods hold a node that is to be repaired."""
    return replace(protection, gpu_pods=False) if settings.evict_accelerator_pods else protection


class Repairs:
    """Chooses the nodes to repair. It belongs to one evaluation.

    Args:
        view: the cluster.
        state: refreshed with this view.
        config: pools and guardrails.
        disruptions: what windows and budgets leave.

    Attributes:
        actions: nodes to reboot, and nodes that are well again.
        replace: nodes to remove, each with why, in the order of their clocks.
        verdicts: what the rules changed.
    """

    def __init__(self, view: ClusterView, state: GuardrailState, config: LiveConfig, disruptions: Disruptions) -> None:
        self.actions: list[RepairAction] = []
        self.replace: list[tuple[PoolView, NodeView, str]] = []
        self.verdicts: list[Verdict] = []
        self._view, self._state, self._config, self._disruptions = view, state, config, disruptions

    def choose(self) -> None:
        """Choose for all pools."""
        for pool in self._view.pools:
            settings = self._config.pool(pool.name).repair
            if pool.name in self._view.paused_pools:
                continue
            self._recover(pool)
            if settings.enabled:
                self._repair(pool, settings)

    def _recover(self, pool: PoolView) -> None:
        for node in pool.nodes:
            if node.taint(TAINT_REPAIR) is not None and node.uid not in self._state.ailing:
                self.actions.append(RepairAction(RepairKind.RECOVER, pool.name, node, "it is well again"))

    def _repair(self, pool: PoolView, settings: Repair) -> None:
        most = math.ceil(settings.max_share * len(pool.nodes))
        under_repair = sum(self._is_under_repair(node) for node in pool.nodes)
        for node, ailment in self._due(pool, settings):
            hold = self._disruptions.hold(pool, DisruptionReason.REPAIR) or self._hold(node, settings)
            if hold is not None:
                self._deny(hold.rule, node, hold.reason)
            elif not self._is_under_repair(node) and under_repair >= most:
                share = f"{settings.max_share:.0%} of the nodes of pool {pool.name} may be under repair"
                self._deny(Rule.REPAIR_SHARE, node, f"{share} at a time, {under_repair} are; it waits for its turn")
            else:
                under_repair += not self._is_under_repair(node)
                self._begin(pool, node, ailment, settings)

    def _due(self, pool: PoolView, settings: Repair) -> Iterator[tuple[NodeView, Ailment]]:
        """Nodes whose time is over, the one that is unwell for longest first."""
        found = []
        for node in pool.nodes:
            ailment = self._state.ailing.get(node.uid)
            due = None if ailment is None else due_seconds(node, ailment, settings)
            if ailment is not None and due is not None and due <= self._view.now_seconds:
                found.append((node, ailment))
        going = (each for each in found if each[0].state is not NodeState.DRAINING)
        yield from sorted(going, key=lambda each: (each[1].since_seconds, each[0].name))

    def _is_under_repair(self, node: NodeView) -> bool:
        leaves = node.state is NodeState.DRAINING and node.uid in self._state.ailing
        return leaves or node.taint(TAINT_REPAIR) is not None

    def _hold(self, node: NodeView, settings: Repair) -> Hold | None:
        return node_hold(node, self._view, protection_of(self._config.guardrails.protection, settings))

    def _begin(self, pool: PoolView, node: NodeView, ailment: Ailment, settings: Repair) -> None:
        age = self._view.now_seconds - ailment.since_seconds
        what = f"its conditions say {', '.join(node.faults)}" if node.faults else "it did not come back"
        reason = f"{what}, and it has been unwell for {age:.0f} s"
        can_reboot = settings.reboot_request is not None or kind_of(self._config.pool(pool.name).provider).can_reboot
        # Pods that would have to be evicted are: a reboot would end them without asking anybody.
        if settings.reboot and can_reboot and ailment.rebooted_seconds is None and not evictable_pods(node, self._view):
            self.actions.append(RepairAction(RepairKind.REBOOT, pool.name, node, reason, ailment.since_seconds))
            self._disruptions.take(pool.name)
        else:
            after = " after its reboot too" if ailment.rebooted_seconds is not None else ""
            self.replace.append((pool, node, f"{reason}{after}; another one takes its place"))

    def _deny(self, rule: Rule, node: NodeView, reason: str) -> None:
        self.verdicts.append(Verdict(rule, "node", node.name, -1, 0, f"it is to be repaired, but {reason}"))
