"""Which nodes may be removed."""

from __future__ import annotations

from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.disruptions import Disruptions, disruption_reason
from autoscaler.live.guardrails.elsewhere import Elsewhere, pods_to_move
from autoscaler.live.guardrails.orders import Orders, coming_nodes, counted_nodes, existing_nodes
from autoscaler.live.guardrails.power_budget import PowerBudget
from autoscaler.live.guardrails.protection import evictable_pods, node_hold
from autoscaler.live.guardrails.state import GuardrailState, overdue
from autoscaler.live.guardrails.verdicts import Removal, Rule, Verdict
from autoscaler.live.guardrails.withdrawals import REASON, on_their_way, withdrawn
from autoscaler.live.model import ClusterView, PoolView
from autoscaler.live.objects import NodeState, NodeView, PodView
from autoscaler.live.providers import reserve_pools
from envs.gpu_cluster.codec import Decision


class Removals:
    """Chooses the nodes to remove. It belongs to one evaluation.

    Args:
        view: the cluster.
        state: refreshed with this view.
        config: pools and guardrails.
        capacity: knows the nodes that waiting pods are about to use.
        orders: what is ordered in this same reconcile, and what waiting gangs use of each pool.
        disruptions: what windows and budgets leave.

    Attributes:
        chosen: the nodes.
        verdicts: what the rules changed.
        left_over: nodes that come for gangs which are gone, and that cannot be taken back now, by pool.
    """

    def __init__(
        self,
        view: ClusterView,
        state: GuardrailState,
        config: LiveConfig,
        capacity: Capacity,
        orders: Orders,
        disruptions: Disruptions,
    ) -> None:
        self.chosen: list[Removal] = []
        self.verdicts: list[Verdict] = []
        self.left_over: dict[str, int] = {}
        self._needs = orders.needs
        self._view = view
        by_others = reserve_pools(config)
        self._own = [pool for pool in view.pools if pool.name not in by_others]  # others remove the nodes of the rest
        self._state = state
        self._config = config
        self._capacity = capacity
        self._ordered = frozenset(orders.nodes)
        self._disruptions = disruptions
        self._elsewhere = Elsewhere(view, capacity)
        leaving = [node for pool in view.pools for node in pool.in_state(NodeState.DRAINING)]
        self._removing = len(leaving)
        self._draining = sum(bool(evictable_pods(node, view)) for node in leaving)
        times = config.guardrails.backoff
        self._counted = {pool.name: counted_nodes(pool, state, view.now_seconds, times) for pool in view.pools}
        self._nodes = sum(self._counted.values())
        self._gpus = sum(count * config.pool(name).gpus_per_node for name, count in self._counted.items())

    def choose(self, decision: Decision) -> None:
        """Choose: what never became a useful node, what nobody waits for any more, what the policy has no use for."""
        pools = [pool for pool in self._own if pool.name not in self._view.paused_pools]
        for pool in pools:
            self._give_up_overdue(pool)
        gone = withdrawn(self._view, self._state)
        self.left_over = dict(gone)
        for pool in pools:
            self._withdraw(pool, gone[pool.name])
        for pool in pools:
            self._shrink(pool, int(decision.target_nodes[pool.index]))

    def curb(self, power: PowerBudget) -> None:
        """Take idle nodes away while the budget of a grid event is broken: at once, and below every minimum."""
        for removal in self.chosen:
            if removal.node is not None and removal.node.state is NodeState.IDLE:
                power.stops(power.idle_watts(removal.pool))
        for pool in self._view.pools:
            for node in self._candidates(pool) if pool.name not in self._view.paused_pools else ():
                if power.excess_watts <= 0.0:
                    return
                going = {removal.name for removal in self.chosen}
                if node.name not in going and power.idle_watts(pool.name) > 0.0 and self._may_go(node, at_once=True):
                    self._take(self._removal(pool, node, "a grid event has no power for it"))
                    self.verdicts.append(Verdict(Rule.POWER_BUDGET, "node", node.name, 0, -1, "it is idle"))
                    power.stops(power.idle_watts(pool.name))

    def replace(self, pool: PoolView, node: NodeView, reason: str) -> None:
        """Take a broken node away if the limits of a step and what its pods need let it go."""
        if node.name in {removal.name for removal in self.chosen}:
            return
        if not self._within_steps(node.name, drains=bool(evictable_pods(node, self._view))):
            return
        if node.ready:  # pods on a node that does not answer cannot get worse
            problem = self._elsewhere.place(self._to_move(node), {node.name})
            if problem:
                self._deny(Rule.NO_PLACE_TO_MOVE, node.name, problem)
                return
        self._take(self._removal(pool, node, reason))
        self.verdicts.append(Verdict(Rule.REPAIR, "node", node.name, 0, -1, reason))

    def candidates(self) -> tuple[str, ...]:
        """Names of idle nodes that only the policy or a waiting time still keeps; not those that go already."""
        going = {removal.name for removal in self.chosen}
        found: list[str] = []
        for pool in self._own:
            free = [node.name for node in self._candidates(pool) if node.name not in going and self._is_free(node)]
            left = self._counted[pool.name] - sum(removal.pool == pool.name for removal in self.chosen)
            found += free[: max(0, left - self._config.pool(pool.name).min_nodes)]
        return tuple(found)

    def _is_free(self, node: NodeView) -> bool:
        protection = self._config.guardrails.protection
        if node.name in self._capacity.claimed or node_hold(node, self._view, protection) is not None:
            return False
        return not self._elsewhere.place(self._to_move(node), {node.name}, reserve=False)

    def _give_up_overdue(self, pool: PoolView) -> None:
        times = self._config.guardrails.backoff
        settings = self._config.pool(pool.name)
        leaving = len(pool.in_state(NodeState.DRAINING))
        left = existing_nodes(pool, self._state) - leaving
        reason = f"it is no ready node with GPUs after {times.provision_timeout_seconds:.0f} s"
        for name, node in sorted(overdue(pool, self._state, self._view.now_seconds, times), key=lambda each: each[0]):
            if left <= settings.min_nodes:
                why = f"the pool has min_nodes {settings.min_nodes}; it stays until another one is there"
                self._deny(Rule.POOL_MIN, name, why)
            elif node is None:
                if self._within_steps(name, drains=False):
                    self._take(Removal(pool.name, name, None, (), reason))
                    left -= 1
            elif node.state is not NodeState.DRAINING and self._may_go(node):
                self._take(self._removal(pool, node, reason))
                left -= 1
        given_up = [removal.name for removal in self.chosen if removal.pool == pool.name]
        if given_up:
            late = len(given_up)
            self.verdicts.append(Verdict(Rule.PROVISION_TIMEOUT, "pool", pool.name, 0, -late, reason))

    def _withdraw(self, pool: PoolView, nodes: int) -> None:
        """Take back what was ordered for gangs that are gone, as far as no other gang uses it."""
        settings, times = self._config.pool(pool.name), self._config.guardrails.backoff
        coming = coming_nodes(pool, self._state, self._view.now_seconds, times)
        used = self._needs[pool.name].coming if pool.name in self._needs else 0
        left = min(nodes, coming - used, self._counted[pool.name] - settings.min_nodes)
        going = {removal.name for removal in self.chosen}
        late = {name for name, _ in overdue(pool, self._state, self._view.now_seconds, times)}
        for name, node in on_their_way(pool):
            if left <= 0 or name in going | late or not self._within_totals(name, settings.gpus_per_node):
                continue
            if self._within_steps(name, drains=False) if node is None else self._may_go(node):
                self._take(Removal(pool.name, name, node, (), REASON))
                self._nodes -= 1
                self._gpus -= settings.gpus_per_node
                left -= 1
        self.left_over[pool.name] = max(0, left)

    def _shrink(self, pool: PoolView, target: int) -> None:
        settings = self._config.pool(pool.name)
        counted = self._counted[pool.name]
        # `Orders` has reported a target below the minimum.
        wanted = counted - max(target, settings.min_nodes)
        if wanted <= 0 or self._cooling(pool, wanted):
            return
        for node in self._candidates(pool)[:wanted]:
            if self._within_totals(node.name, settings.gpus_per_node) and self._may_go(node):
                self._take(self._removal(pool, node, "the policy has no use for it"))
                self._nodes -= 1
                self._gpus -= settings.gpus_per_node

    def _candidates(self, pool: PoolView) -> list[NodeView]:
        """Idle nodes, those that are free to go first, among them the longest idle ones."""

        def key(node: NodeView) -> tuple[bool, bool, float, str]:
            since = self._view.now_seconds if node.idle_since_seconds is None else node.idle_since_seconds
            held = node_hold(node, self._view, self._config.guardrails.protection) is not None
            return held or node.name in self._capacity.claimed, bool(evictable_pods(node, self._view)), since, node.name

        return sorted(pool.in_state(NodeState.IDLE), key=key)

    def _cooling(self, pool: PoolView, wanted: int) -> bool:
        """Whether something happened so recently that nothing is removed."""
        times = self._config.guardrails.cooldowns
        now = self._view.now_seconds
        failed = self._state.removal_failed_seconds
        if failed is not None and now - failed < times.after_failure_seconds:
            rule, seconds, what = Rule.AFTER_FAILURE, times.after_failure_seconds - (now - failed), "a removal failed"
        else:
            scaled = self._scaled_up_seconds(pool)
            if scaled is None or now - scaled >= times.after_scale_up_seconds:
                return False
            rule, what = Rule.AFTER_SCALE_UP, "nodes were ordered"
            seconds = times.after_scale_up_seconds - (now - scaled)
        self.verdicts.append(Verdict(rule, "pool", pool.name, -wanted, 0, f"{what}; wait {seconds:.0f} s more"))
        return True

    def _scaled_up_seconds(self, pool: PoolView) -> float | None:
        per_pool = self._config.guardrails.cooldowns.per_pool
        if pool.name in self._ordered or (self._ordered and not per_pool):
            return self._view.now_seconds
        times = self._state.scaled_up
        return times.get(pool.name) if per_pool else max(times.values(), default=None)

    def _within_totals(self, node: str, gpus_per_node: int) -> bool:
        totals = self._config.guardrails.totals
        if self._nodes - 1 < totals.min_nodes:
            return self._deny(Rule.TOTAL_MIN_NODES, node, f"totals.min_nodes is {totals.min_nodes}")
        if self._gpus - gpus_per_node < totals.min_gpus:
            return self._deny(Rule.TOTAL_MIN_GPUS, node, f"totals.min_gpus is {totals.min_gpus}")
        return True

    def _may_go(self, node: NodeView, at_once: bool = False) -> bool:
        """Whether the rules about this one node let it go; `at_once`: however short it has been idle."""
        if node.name in self._capacity.claimed:
            return self._deny(Rule.PROMISED, node.name, "pods that are about to be bound need it")
        hold = node_hold(node, self._view, self._config.guardrails.protection)
        if hold is not None:
            return self._deny(hold.rule, node.name, hold.reason)
        unneeded = self._config.guardrails.cooldowns.unneeded_seconds
        if node.idle_since_seconds is not None and not at_once:
            idle = self._view.now_seconds - node.idle_since_seconds
            if idle < unneeded:
                return self._deny(Rule.UNNEEDED, node.name, f"idle for {idle:.0f} s of {unneeded:.0f} s")
        hold = self._disruptions.hold(self._view.pool(node.pool or ""), disruption_reason(node, self._view))
        if hold is not None:
            return self._deny(hold.rule, node.name, hold.reason)
        if not self._within_steps(node.name, drains=bool(evictable_pods(node, self._view))):
            return False
        leaving = {node.name, *(removal.name for removal in self.chosen)}
        problem = self._elsewhere.place(self._to_move(node), leaving)
        return not problem or self._deny(Rule.NO_PLACE_TO_MOVE, node.name, problem)

    def _to_move(self, node: NodeView) -> tuple[PodView, ...]:
        return pods_to_move(node, self._view, self._config.guardrails.protection.expendable_priority_below)

    def _within_steps(self, name: str, drains: bool) -> bool:
        steps = self._config.guardrails.steps
        if self._removing >= steps.max_removals:
            return self._deny(Rule.STEP_REMOVALS, name, f"steps.max_removals is {steps.max_removals} at once")
        if drains and self._draining >= steps.max_draining:
            return self._deny(Rule.STEP_DRAINING, name, f"steps.max_draining is {steps.max_draining} at once")
        return True

    def _deny(self, rule: Rule, node: str, reason: str) -> bool:
        self.verdicts.append(Verdict(rule, "node", node, -1, 0, reason))
        return False

    def _removal(self, pool: PoolView, node: NodeView, reason: str) -> Removal:
        evict = tuple(pod.uid for pod in evictable_pods(node, self._view))
        return Removal(pool.name, node.name, node, evict, reason)

    def _take(self, removal: Removal) -> None:
        self.chosen.append(removal)
        if removal.node is not None:
            self._disruptions.take(removal.pool)
        self._removing += 1
        self._draining += bool(removal.evict)
