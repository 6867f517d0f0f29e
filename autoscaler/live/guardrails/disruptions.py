"""Windows and budgets: whether a node may be disrupted now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from autoscaler.live.disruption_config import (
    DisruptionBudget,
    DisruptionConfig,
    DisruptionReason,
    DisruptionWindow,
    Schedule,
)
from autoscaler.live.guardrails.protection import Hold, evictable_pods
from autoscaler.live.guardrails.verdicts import Rule
from autoscaler.live.model import ClusterView, PoolView
from autoscaler.live.objects import NodeState, NodeView


def disruption_reason(node: NodeView, view: ClusterView) -> DisruptionReason:
    """Why a node would be removed."""
    if node.state is not NodeState.IDLE:
        return DisruptionReason.REPAIR
    return DisruptionReason.UNDERUTILIZED if evictable_pods(node, view) else DisruptionReason.EMPTY


class Disruptions:
    """Counts what windows and budgets leave. It belongs to one evaluation.

    Args:
        view: the cluster; its time is read as unix seconds, as the policy reads it.
        config: windows and budgets.
    """

    def __init__(self, view: ClusterView, config: DisruptionConfig) -> None:
        self._view, self._config = view, config
        self._taken: Counter[str] = Counter()
        self._known: dict[Schedule, float | None] = {}

    def hold(self, pool: PoolView, reason: DisruptionReason) -> Hold | None:
        """Why no further node of a pool may be disrupted for a reason now; None: one may."""
        return self._closed(pool.name, reason) or self._spent(pool, reason)

    def take(self, pool: str) -> None:
        """A node of a pool is disrupted from now on."""
        self._taken[pool] += 1

    def _closed(self, pool: str, reason: DisruptionReason) -> Hold | None:
        windows = [each for each in self._config.windows if _applies(each, pool, reason)]
        if not windows or any(self._ends(each) is not None for each in windows):
            return None
        opens = min(each.schedule.begins(self._view.now_seconds) for each in windows)
        when = f"it opens at {_written(opens)}" if opens < 1e11 else "it never opens"
        crons = ", ".join(sorted({each.schedule.cron for each in windows}))
        return Hold(Rule.DISRUPTION_WINDOW, f"the window '{crons}' for {reason} nodes of pool {pool} is closed; {when}")

    def _spent(self, pool: PoolView, reason: DisruptionReason) -> Hold | None:
        budgets = list(self._budgets(pool.name, reason))
        if not budgets:
            return None
        nodes = sum(node.state is not NodeState.BOOTING for node in pool.nodes)
        # A broken node must not keep itself from being repaired.
        lost = (NodeState.DRAINING,) if reason is DisruptionReason.REPAIR else (NodeState.DRAINING, NodeState.UNREADY)
        disrupted = len(pool.in_state(*lost)) + self._taken[pool.name]
        limit, budget = min(((each.limit(nodes), each) for each in budgets), key=lambda entry: entry[0])
        if disrupted < limit:
            return None
        ends = self._ends(budget)
        until = f" until {_written(ends)}" if budget.schedule is not None and ends is not None else ""
        what = f"a budget allows {limit} of {nodes} nodes ({budget.nodes}) of pool {pool.name} to be disrupted{until}"
        return Hold(Rule.DISRUPTION_BUDGET, f"{what}; {disrupted} are")

    def _budgets(self, pool: str, reason: DisruptionReason) -> Iterator[DisruptionBudget]:
        for budget in self._config.budgets:
            if _applies(budget, pool, reason) and (budget.schedule is None or self._ends(budget) is not None):
                yield budget

    def _ends(self, entry: DisruptionWindow | DisruptionBudget) -> float | None:
        """Until when the schedule of an entry is on; None: it is off, or there is none."""
        schedule = entry.schedule
        if schedule is not None and schedule not in self._known:
            self._known[schedule] = schedule.ends(self._view.now_seconds)
        return None if schedule is None else self._known[schedule]


def _applies(entry: DisruptionWindow | DisruptionBudget, pool: str, reason: DisruptionReason) -> bool:
    return (not entry.pools or pool in entry.pools) and (not entry.reasons or reason in entry.reasons)


def _written(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
