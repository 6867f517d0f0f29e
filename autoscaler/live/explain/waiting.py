"""Why each waiting job waits: as a whole, and pool by pool. Events and `autoscaler explain` say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.guardrails import Allowed, Rule, Verdict
from autoscaler.live.guardrails.orders import existing_nodes
from autoscaler.live.guardrails.placement import chosen_pools, fixed_pool, gang_name
from autoscaler.live.model import ClusterView, GangView, PoolView
from autoscaler.live.objects import NodeState, ObjectRef, PodView
from autoscaler.live.view.gangs import unserved_reason
from envs.gpu_cluster.codec import Decision

When = Callable[[float], str]
"""A clock time as people read it."""

RULE_WORDS: Mapping[Rule, str] = {
    Rule.PAUSED: "paused",
    Rule.HEALTH_STOP: "health stop",
    Rule.STALE_DATA: "stale data",
    Rule.POOL_MAX: "pool at max",
    Rule.TOTAL_MAX_NODES: "all pools at max",
    Rule.TOTAL_MAX_GPUS: "all pools at max",
    Rule.BACKOFF: "backoff",
    Rule.WHOLE_GANGS: "no room for the whole gang",
    Rule.GANG_INCOMPLETE: "gang not complete",
}
"""What the verdicts of a rule are introduced by."""

NO_GROWTH = (Rule.POOL_MAX, Rule.TOTAL_MAX_NODES, Rule.TOTAL_MAX_GPUS, Rule.WHOLE_GANGS)
"""Rules because of which a pool gets fewer nodes than a job needs."""

UNSERVED = {
    "provisioning-request": "it waits for a ProvisioningRequest, which is not served here; take the annotation away to "
    "be served",
    "accelerator": "no node is ordered for it: it requests {what}, and the pools serve {pools} only",
    "group": "no node is ordered for it and it is not placed, as half of its group must not run: {group}",
}
"""What pods that are left alone are told, by the reason."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why one job waits.

    Attributes:
        ref: its Job, or its pod.
        pods: its pods that have no node.
        reason: why, whatever the pools say; empty: `pools` says it.
        pools: why it does not start in each pool, by the pool's name in the config's order.
        coming: nodes that it waits for are booting.
        ordered: of these, some are ordered in this very reconcile.
        temporary: False: nothing but a change of the job or of the config helps.
    """

    ref: ObjectRef
    pods: tuple[ObjectRef, ...]
    reason: str = ""
    pools: Mapping[str, str] = field(default_factory=dict)
    coming: bool = False
    ordered: bool = False
    temporary: bool = True

    @property
    def message(self) -> str:
        """One line."""
        return self.reason or "; ".join(f"pool {pool}: {why}" for pool, why in self.pools.items())


class Reasons:
    """Finds the reasons of one reconcile.

    Args:
        view: what was seen.
        decision: what was decided, with a placement for every job; None: nothing was, because data are stale.
        allowed: what the guardrails left of it; None likewise.
        config: pools.
        when: writes times.
    """

    def __init__(
        self, view: ClusterView, decision: Decision | None, allowed: Allowed | None, config: LiveConfig, when: When
    ) -> None:
        self._view, self._allowed, self._config, self._when = view, allowed, config, when
        verdicts = () if allowed is None else allowed.verdicts
        self._released = set() if allowed is None else {release.gang.key for release in allowed.releases}
        self._by_pool: dict[str, list[Verdict]] = {pool.name: [] for pool in view.pools}
        for verdict in verdicts:
            if verdict.kind == "pool" and verdict.subject in self._by_pool:
                self._by_pool[verdict.subject].append(verdict)
        refused = [verdict for verdict in verdicts if verdict.kind == "gang" and not verdict.allowed]
        self._by_gang = {verdict.subject: verdict for verdict in refused}
        self._chosen = {} if decision is None else {gang.key: pool for gang, pool in chosen_pools(view, decision)}
        self._everywhere = self._cluster_reason(verdicts)
        self._comings: dict[str, str] = {}

    def all(self) -> Iterator[Waiting]:
        """Every job and every pod that waits, in the order of the queue."""
        for gang in self._view.queue:
            if gang.key not in self._released:
                yield self._queued(gang)
        for gang in self._view.unplaceable:
            yield replace(self._waiting(gang, self._everywhere, self._pool_reasons(gang)), temporary=False)
        for gang in self._view.withheld:
            yield self._waiting(gang, gang.withheld, {})
        told: dict[str, PodView] = {(pod.owner or pod.ref).uid: pod for pod in reversed(self._view.unserved)}
        for pod in told.values():
            what, pools = ", ".join(pod.accelerators), ", ".join(self._config.serves)
            reason = UNSERVED[unserved_reason(pod, self._config)].format(
                what=what, pools=pools, group="" if pod.group is None else pod.group.problem
            )
            yield Waiting(pod.owner or pod.ref, (pod.ref,), reason, temporary=False)
        for pod in self._view.pods.values():
            if not pod.readable and not pod.node_name:
                reason = f"unreadable object: {pod.problem}; no node is ordered for it"
                yield Waiting(pod.ref, (pod.ref,), reason, temporary=False)

    def _cluster_reason(self, verdicts: tuple[Verdict, ...]) -> str:
        if self._allowed is None:
            return f"stale data: no fresh data of {', '.join(self._view.stale_resources)}, so nothing is changed"
        return next((_worded(verdict) for verdict in verdicts if verdict.kind == "cluster"), "")

    def _queued(self, gang: GangView) -> Waiting:
        if self._everywhere:
            return self._waiting(gang, self._everywhere, {})
        verdict = self._by_gang.get(gang_name(gang))
        if verdict is not None and verdict.rule is Rule.GANG_INCOMPLETE:
            return self._waiting(gang, _worded(verdict), {})
        pools = self._pool_reasons(gang)
        chosen = self._chosen.get(gang.key)
        hopes = [name for name in ([chosen] if chosen else gang.allowed_pools) if self._coming(self._view.pool(name))]
        if chosen is None and gang.gated and not hopes:
            latest = gang.latest_start_seconds
            until = "" if latest is None else f", until {self._when(latest)} at the latest"
            return self._waiting(gang, f"held back by the policy{until}", pools)
        orders = {} if self._allowed is None else self._allowed.orders
        ordered = bool(orders.keys() & ([chosen] if chosen else gang.allowed_pools))
        # The nodes that boot in a full pool are for those whom they were ordered for.
        wanted = {} if self._allowed is None else self._allowed.state.wanted
        coming = bool(hopes) and (gang.key in wanted or not all(self._is_full(name) for name in hopes))
        return replace(self._waiting(gang, "", pools), coming=coming, ordered=ordered)

    def _waiting(self, gang: GangView, reason: str, pools: Mapping[str, str]) -> Waiting:
        return Waiting(gang.ref, tuple(pod.ref for pod in gang.pending), reason, pools)

    def _pool_reasons(self, gang: GangView) -> dict[str, str]:
        return {pool.name: self._pool_reason(gang, pool) for pool in self._config.pools}

    def _pool_reason(self, gang: GangView, settings: LivePool) -> str:
        """Why a job does not start in a pool."""
        if settings.name in self._view.paused_pools:
            return self._view.paused_pools[settings.name]
        if settings.name not in gang.allowed_pools:
            return f"does not fit: {dict(gang.refusals).get(settings.name, 'no node of it can run it')}"
        pool, allowed = self._view.pool(settings.name), self._allowed
        if allowed is None:
            return self._everywhere
        return (
            self._elsewhere(gang, pool, allowed)
            or self._backoff(pool, allowed)
            or "; ".join(filter(None, (self._full(pool, settings, allowed), self._coming(pool))))
            or self._no_order(gang)
        )

    def _elsewhere(self, gang: GangView, pool: PoolView, allowed: Allowed) -> str:
        fixed = fixed_pool(gang, allowed.state)
        return "" if fixed in (None, pool.name) else f"a part of it is in pool {fixed}, the rest follows"

    def _backoff(self, pool: PoolView, allowed: Allowed) -> str:
        if not allowed.state.in_backoff(pool.name, self._view.now_seconds):
            return ""
        until = self._when(allowed.state.backoffs[pool.name].until_seconds)
        return f"backoff: it failed to deliver, and is left alone until {until}"

    def _full(self, pool: PoolView, settings: LivePool, allowed: Allowed) -> str:
        denied = next((each for each in self._by_pool[pool.name] if each.rule in NO_GROWTH), None)
        if denied is not None:
            return _worded(denied)
        exist = existing_nodes(pool, allowed.state)
        if exist < settings.max_nodes:
            return ""
        return f"pool at max: the pool has max_nodes {settings.max_nodes}, {exist} exist or are ordered"

    def _is_full(self, pool: str) -> bool:
        return self._allowed is not None and bool(
            self._full(self._view.pool(pool), self._config.pool(pool), self._allowed)
        )

    def _no_order(self, gang: GangView) -> str:
        """Why nothing is ordered in a pool that may grow."""
        chosen, verdict = self._chosen.get(gang.key), self._by_gang.get(gang_name(gang))
        if verdict is not None:
            return verdict.reason
        waits = next((pod.unschedulable_message for pod in gang.pending if pod.unschedulable_message), "")
        sent = f", it is sent to pool {chosen}" if chosen is not None else ""
        return f"no node is ordered now{sent}{f'; the scheduler says: {waits}' if waits else ''}"

    def _coming(self, pool: PoolView) -> str:
        """Which nodes of a pool come, and when; empty: none."""
        if pool.name not in self._comings:
            self._comings[pool.name] = self._find_coming(pool)
        return self._comings[pool.name]

    def _find_coming(self, pool: PoolView) -> str:
        boot = self._config.pool(pool.name).boot_seconds
        orders = {order.name: order for order in pool.orders}
        if self._allowed is not None:
            hidden = self._allowed.state.orders.values()
            orders = {**{order.name: order for order in hidden if order.pool == pool.name}, **orders}
        moments = [node.created_seconds for node in pool.in_state(NodeState.BOOTING)]
        moments += [order.ordered_seconds for order in orders.values()]
        ordered = 0 if self._allowed is None else self._allowed.orders.get(pool.name, 0)
        moments += [self._view.now_seconds] * ordered
        if not moments:
            return ""
        ready = self._when(min(moments) + boot)
        many = "1 node of it is" if len(moments) == 1 else f"{len(moments)} nodes of it are"
        return f"{many} booting, the first to be ready at {ready}"


def _worded(verdict: Verdict) -> str:
    word = RULE_WORDS.get(verdict.rule)
    return f"{word}: {verdict.reason}" if word else verdict.reason
