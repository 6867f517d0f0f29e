"""How many nodes may be ordered, pool by pool."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.fit.shapes import pool_shape
from autoscaler.live.guardrail_config import BackoffTimes
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.need import Need, need
from autoscaler.live.guardrails.placement import chosen_pools
from autoscaler.live.guardrails.power_budget import PowerBudget
from autoscaler.live.guardrails.state import GuardrailState, overdue
from autoscaler.live.guardrails.verdicts import Release, Rule, Verdict
from autoscaler.live.model import ClusterView, GangView, PoolView
from autoscaler.live.objects import NodeState, NodeView
from autoscaler.live.providers import reserve_pools
from autoscaler.live.view.nodes import is_returning
from envs.gpu_cluster.codec import Decision


def coming_nodes(pool: PoolView, state: GuardrailState, now_seconds: float, times: BackoffTimes) -> int:
    """Nodes that boot, were ordered or are being emptied, those not in the view yet included, overdue ones not."""
    late = {name for name, _ in overdue(pool, state, now_seconds, times)}
    booting = sum(node.name not in late for node in pool.in_state(NodeState.BOOTING))
    ordered = sum(order.name not in late for order in pool.orders)
    returning = sum(is_returning(node) for node in pool.nodes)
    return booting + ordered + returning + state.unseen(pool)


def counted_nodes(pool: PoolView, state: GuardrailState, now_seconds: float, times: BackoffTimes) -> int:
    """What `Decision.target_nodes` is compared with: nodes that serve or will serve."""
    serving = len(pool.in_state(NodeState.IDLE, NodeState.BUSY))
    return serving + coming_nodes(pool, state, now_seconds, times)


def existing_nodes(pool: PoolView, state: GuardrailState) -> int:
    """What the maxima limit: every node there is, whatever its state, and every order."""
    return pool.powered_nodes + state.unseen(pool)


def nodes_to_come(
    pool: PoolView, state: GuardrailState, now_seconds: float, times: BackoffTimes
) -> list[NodeView | None]:
    """The nodes that `coming_nodes` counts, those whose Node is there first; None for the others."""
    late = {name for name, _ in overdue(pool, state, now_seconds, times)}
    booting = [node for node in pool.in_state(NodeState.BOOTING) if node.name not in late]
    count = coming_nodes(pool, state, now_seconds, times)
    return [*booting, *[None] * (count - len(booting))]


class Orders:
    """Decides how many nodes are ordered. It belongs to one evaluation.

    Args:
        view: the cluster.
        state: orders that the view does not show yet, and backoffs; refreshed with this view.
        config: pools and guardrails.
        capacity: what is free after the gangs of `released` took theirs.
        power: what the budget of a grid event leaves after them.

    Attributes:
        nodes: nodes to order by pool, only pools with at least one.
        reserves: nodes that are to be kept free, by pool, of the pools whose nodes another autoscaler makes.
        needs: what the waiting gangs of each pool use, by pool.
        verdicts: what the rules changed.
    """

    def __init__(
        self, view: ClusterView, state: GuardrailState, config: LiveConfig, capacity: Capacity, power: PowerBudget
    ) -> None:
        self.nodes: dict[str, int] = {}
        self.reserves: dict[str, int] = {}
        self.needs: dict[str, Need] = {}
        self.verdicts: list[Verdict] = []
        self._view = view
        self._state = state
        self._config = config
        self._capacity = capacity
        self._power = power
        self._by_others = reserve_pools(config)
        self._waiting: dict[str, list[GangView]] = {pool.name: [] for pool in view.pools}
        existing = {pool.name: existing_nodes(pool, state) for pool in view.pools}
        gpus = sum(count * config.pool(name).gpus_per_node for name, count in existing.items())
        totals = config.guardrails.totals
        self._nodes_left = None if totals.max_nodes is None else max(0, totals.max_nodes - sum(existing.values()))
        self._gpus_left = None if totals.max_gpus is None else max(0, totals.max_gpus - gpus)

    def choose(self, decision: Decision, released: Sequence[Release]) -> Decision:
        """Order for all pools; earlier pools take from the common bounds first.

        Returns:
            The decision with targets of at least what waiting and running pods need.
        """
        gone = {release.gang.key for release in released}
        for gang, wanted in chosen_pools(self._view, decision):
            # Another autoscaler has yet to make the nodes of a gang that goes to one of its pools.
            if wanted is not None and (gang.key not in gone or wanted in self._by_others):
                self._waiting[wanted].append(gang)
        targets = decision.target_nodes.copy()
        for pool in self._view.pools:
            settings = self._config.pool(pool.name)
            targets[pool.index] = self._raised(pool, int(targets[pool.index]))
            if pool.name in self._by_others:
                self._reserve(pool, settings, int(targets[pool.index]))
                continue
            nodes = self._order(pool, settings, int(targets[pool.index]))
            if nodes > 0:
                self.nodes[pool.name] = nodes
                self._power.ordered(pool.name, nodes)
                if self._nodes_left is not None:
                    self._nodes_left -= nodes
                if self._gpus_left is not None:
                    self._gpus_left -= nodes * settings.gpus_per_node
        return decision._replace(target_nodes=targets)

    def _raised(self, pool: PoolView, target: int) -> int:
        """A target that leaves every gang that was sent to a pool the nodes that it needs, if new ones can help."""
        waiting = self._waiting[pool.name]
        if not waiting:
            return target
        wanted = self._needed(pool)
        if wanted <= target:
            return target
        reason = (
            f"{len(waiting)} waiting jobs were sent there; packed by all that they request they need {wanted} nodes"
        )
        self.verdicts.append(Verdict(Rule.NEEDED, "pool", pool.name, target, wanted, reason))
        return wanted

    def _needed(self, pool: PoolView) -> int:
        """Nodes of a pool that work, and those that its waiting gangs will use, which are claimed for them."""
        waiting = self._waiting[pool.name]
        pods = sum(len(gang.pending) + gang.missing_pods for gang in waiting)
        self.needs[pool.name] = found = self._need(pool, self._coming(pool), pods)
        names = {node.name for node in pool.in_state(NodeState.IDLE)}
        used = (found.ready | self._capacity.claimed) & names
        self._capacity.claimed |= found.ready & names
        return len(pool.in_state(NodeState.BUSY)) + len(used) + found.coming + found.new

    def _reserve(self, pool: PoolView, settings: LivePool, target: int) -> None:
        """What a pool has beside the nodes that are needed: another autoscaler makes these, and keeps so many free."""
        if pool.name in self._view.paused_pools:
            return
        needed = self._needed(pool)
        reserve = max(0, max(target, settings.min_nodes) - needed)
        new = max(0, needed + reserve - existing_nodes(pool, self._state))
        self.reserves[pool.name] = max(0, reserve - (new - self._bounded(pool, settings, new)))

    def _coming(self, pool: PoolView) -> list[NodeView | None]:
        return nodes_to_come(pool, self._state, self._view.now_seconds, self._config.guardrails.backoff)

    def _need(self, pool: PoolView, coming: Sequence[NodeView | None], most_new: int) -> Need:
        shape = pool_shape(pool, self._config.pool(pool.name))
        return need(self._waiting[pool.name], pool.name, self._capacity, shape, coming, most_new)

    def _order(self, pool: PoolView, settings: LivePool, target: int) -> int:
        """One pool's order after all rules; each sees what the one before it left."""
        now, guardrails = self._view.now_seconds, self._config.guardrails
        if target < settings.min_nodes:
            reason = f"the pool has min_nodes {settings.min_nodes}"
            self.verdicts.append(Verdict(Rule.POOL_MIN, "pool", pool.name, target, settings.min_nodes, reason))
            target = settings.min_nodes
        counted = counted_nodes(pool, self._state, now, guardrails.backoff)
        unseen = self._state.unseen(pool)
        nodes = max(0, target - counted + unseen)
        reason = f"{unseen} nodes were ordered that do not show yet"
        nodes = self._limit(Rule.IN_FLIGHT, pool, nodes, max(0, target - counted), reason)
        if pool.name in self._view.paused_pools:
            return self._limit(Rule.PAUSED, pool, nodes, 0, self._view.paused_pools[pool.name])
        if self._state.in_backoff(pool.name, now):
            seconds = self._state.backoffs[pool.name].until_seconds - now
            reason = f"the pool failed to deliver and is left alone for {seconds:.0f} s more"
            nodes = self._limit(Rule.BACKOFF, pool, nodes, 0, reason)
        nodes = self._bounded(pool, settings, nodes)
        most = guardrails.steps.max_new_nodes
        reason = f"steps.max_new_nodes is {most}; the rest follows in the next reconcile"
        return self._limit(Rule.STEP_ORDERS, pool, nodes, most, reason)

    def _bounded(self, pool: PoolView, settings: LivePool, wanted: int) -> int:
        """The order within the bounds that stay, for whole gangs only."""
        exists = existing_nodes(pool, self._state)
        left = max(0, settings.max_nodes - exists)
        reason = f"the pool has max_nodes {settings.max_nodes}, {exists} exist or are ordered"
        nodes = self._limit(Rule.POOL_MAX, pool, wanted, left, reason)
        if self._nodes_left is not None:
            reason = f"totals.max_nodes leaves {self._nodes_left} nodes"
            nodes = self._limit(Rule.TOTAL_MAX_NODES, pool, nodes, self._nodes_left, reason)
        if self._gpus_left is not None:
            reason = f"totals.max_gpus leaves {self._gpus_left} GPUs"
            nodes = self._limit(Rule.TOTAL_MAX_GPUS, pool, nodes, self._gpus_left // settings.gpus_per_node, reason)
        if self._power.event is not None:
            event, kw = self._power.event, max(0.0, self._power.left_watts) / 1000.0
            reason = f"the grid event of {event.start} has a budget of {event.power_kw:g} kW and leaves {kw:.3g} kW"
            nodes = self._limit(Rule.POWER_BUDGET, pool, nodes, self._power.most_orders(pool.name, nodes), reason)
        if not 0 < nodes < wanted:
            return nodes
        # Nodes for a part of a gang would idle until they are taken away again.
        coming = self._coming(pool)
        # Nodes to come that no gang fills are the reserve that was ordered before.
        ordered_reserve = len(coming) - self._need(pool, (), len(coming)).new
        most = wanted + len(coming)
        reserve = most - self._need(pool, (), most).new - ordered_reserve
        whole = self._need(pool, coming, nodes).new
        reason = "the bound leaves too few nodes for a whole gang, and a part of one is of no use"
        return self._limit(Rule.WHOLE_GANGS, pool, nodes, whole + max(0, reserve), reason)

    def _limit(self, rule: Rule, pool: PoolView, nodes: int, most: int, reason: str) -> int:
        if nodes <= most:
            return nodes
        self.verdicts.append(Verdict(rule, "pool", pool.name, nodes, most, reason))
        return most
