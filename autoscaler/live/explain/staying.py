"""Why a node is still here, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autoscaler.live.config import LiveConfig
from autoscaler.live.disruption_config import DisruptionReason
from autoscaler.live.explain.waiting import When
from autoscaler.live.guardrails import Allowed, Rule
from autoscaler.live.guardrails.disruptions import Disruptions, disruption_reason
from autoscaler.live.guardrails.orders import counted_nodes
from autoscaler.live.guardrails.protection import node_hold
from autoscaler.live.model import ClusterView, PoolView
from autoscaler.live.names import ANNOTATION_REMOVAL_STEP, LABEL_POOL
from autoscaler.live.objects import NodeState, NodeView, PodView
from autoscaler.live.policy.decide import Decided
from autoscaler.live.view.nodes import is_startup_taint
from envs.gpu_cluster.codec.layout import ALWAYS_ON, RESERVE_NODES

MAX_PODS = 5
"""Pods of a node that are named."""

POOL_RULES = (Rule.AFTER_SCALE_UP, Rule.AFTER_FAILURE, Rule.CONSOLIDATION_BUSY)
"""Rules about a pool because of which its nodes stay."""

STEPS = {
    "tainted": "waits until the scheduler has seen its taint",
    "evicting": "evicts its pods",
    "settling": "waits until its jobs run elsewhere",
    "deleting": "waits until the provider has deleted it",
}


class Staying:
    """Says why nodes stay.

    Args:
        view: what was seen.
        decided: what the policy decided.
        allowed: what the guardrails left of it.
        config: pools and guardrails.
        when: writes times.
    """

    def __init__(self, view: ClusterView, decided: Decided, allowed: Allowed, config: LiveConfig, when: When) -> None:
        self._view, self._decided, self._allowed, self._config, self._when = view, decided, allowed, config, when

    def sentences(self, node: NodeView) -> list[str]:
        """Everything that keeps a node, the most telling first."""
        if node.pool is None:
            label = node.labels.get(LABEL_POOL)
            why = f"its label {LABEL_POOL} is {label!r}" if label is not None else f"it has no label {LABEL_POOL}"
            return [f"It belongs to no pool of the config ({why}), so the autoscaler never touches it."]
        return [*self._state(node), *self._decision(node, self._view.pool(node.pool))]

    def _state(self, node: NodeView) -> Iterator[str]:
        pool = self._view.pool(node.pool or "")
        drivers = sorted({each.driver for each in self._config.pools[pool.index].devices if each.gpu_milli > 0})
        if node.state is NodeState.BUSY:
            yield f"It is busy: {self._users(node)}."
        elif node.state is NodeState.IDLE:
            since = self._view.now_seconds if node.idle_since_seconds is None else node.idle_since_seconds
            yield f"It is idle since {self._when(since)}: no pod on it uses GPUs."
            yield from self._time_out(node, pool, since)
        elif node.state is NodeState.BOOTING:
            yield f"It is booting since {self._when(node.created_seconds)}: {_not_ready(node, drivers)}."
            yield from self._give_up(node)
        elif node.state is NodeState.UNREADY:
            yield f"It is unready: {_not_ready(node, drivers)}."
            yield from self._give_up(node)
        elif node.state is NodeState.DRAINING:
            yield self._leaving(node)
        else:
            yield "It is closed by somebody else: it is cordoned, or has a taint that nodes of its pool do not have."

    def _users(self, node: NodeView) -> str:
        pods = [pod for pod in self._view.pods_on(node) if pod.gpu_milli or pod.accelerators or not pod.readable]
        named = ", ".join(_named(pod) for pod in pods[:MAX_PODS])
        return named + (f" and {len(pods) - MAX_PODS} more" if len(pods) > MAX_PODS else "")

    def _time_out(self, node: NodeView, pool: PoolView, since: float) -> Iterator[str]:
        """Until when the policy's time-out and the guardrail's keep an idle node."""
        timeout, headroom = self._config.codec.setpoints[int(self._decided.action[pool.index])]
        unneeded = self._config.guardrails.cooldowns.unneeded_seconds
        policy = self._decided.policy
        if headroom == ALWAYS_ON:
            yield f"The policy {policy} keeps all nodes of pool {pool.name} on."
        else:
            until = self._when(since + timeout)
            yield f"The policy {policy} lets idle nodes of pool {pool.name} go after {timeout:.0f} s: from {until} on."
            nodes = RESERVE_NODES[int(self._decided.decision.reserve_nodes[pool.index])]
            if nodes > 0:
                yield f"The policy {policy} keeps {nodes} idle in pool {pool.name} as a reserve."
        if unneeded > timeout:
            yield f"The guardrails keep it until it was idle for {unneeded:.0f} s: {self._when(since + unneeded)}."

    def _give_up(self, node: NodeView) -> Iterator[str]:
        since = self._allowed.state.starting_since.get(node.name)
        if since is not None:
            until = since + self._config.guardrails.backoff.provision_timeout_seconds
            yield f"It is given up at {self._when(until)} unless it has its GPUs by then."

    def _leaving(self, node: NodeView) -> str:
        if node.deleted_seconds is not None:
            held = f"; finalizers hold it: {', '.join(node.finalizers)}" if node.finalizers else ""
            return f"It is being deleted since {self._when(node.deleted_seconds)}{held}."
        words = node.annotations.get(ANNOTATION_REMOVAL_STEP, "").split()
        if not words:
            return "It has a deletion taint of somebody else, which is taken back when it is old."
        pods = len(self._view.pods_on(node))
        what = "Its jobs are being moved off it" if words[1:2] == ["move"] else "It is being removed"
        return f"{what}: the autoscaler {STEPS.get(words[0], words[0])} ({pods} pods are on it)."

    def _decision(self, node: NodeView, pool: PoolView) -> Iterator[str]:
        everywhere = next((verdict for verdict in self._allowed.verdicts if verdict.kind == "cluster"), None)
        if everywhere is not None:
            yield f"Nothing at all is changed now: {everywhere.reason} (rule {everywhere.rule})."
            return
        if pool.name in self._view.paused_pools:
            yield f"Nothing of pool {pool.name} is changed now: it is {self._view.paused_pools[pool.name]}."
            return
        going = next((each for each in self._allowed.removals if each.name == node.name), None)
        if going is not None:
            yield f"It is removed now: {going.reason}."
            return
        if any(each.node.name == node.name for each in self._allowed.consolidations):
            yield "Its jobs are moved off it now."
        denied = [each for each in self._allowed.verdicts if each.kind == "node" and each.subject == node.name]
        for verdict in denied:
            yield f"It stays: {verdict.reason} (rule {verdict.rule})."
        for verdict in self._allowed.verdicts:
            if verdict.kind == "pool" and verdict.subject == pool.name and verdict.rule in POOL_RULES:
                yield f"Nothing of pool {pool.name} is removed now: {verdict.reason} (rule {verdict.rule})."
        if node.state is not NodeState.DRAINING:
            yield from self._size(pool)
            yield from self._holds(node, pool, {verdict.rule for verdict in denied})

    def _size(self, pool: PoolView) -> Iterator[str]:
        settings = self._config.pool(pool.name)
        now, times = self._view.now_seconds, self._config.guardrails.backoff
        counted = counted_nodes(pool, self._allowed.state, now, times)
        target = int(self._decided.decision.target_nodes[pool.index])
        if counted <= settings.min_nodes:
            yield f"Pool {pool.name} has {counted} nodes and min_nodes {settings.min_nodes}: none of them goes."
        elif target >= counted:
            yield f"The policy {self._decided.policy} wants {target} nodes in pool {pool.name}, which has {counted}."
        else:
            yield f"The policy {self._decided.policy} wants {target} of the {counted} nodes of pool {pool.name}."

    def _holds(self, node: NodeView, pool: PoolView, told: set[Rule]) -> Iterator[str]:
        """What would keep it, were the policy to let it go."""
        hold = node_hold(node, self._view, self._config.guardrails.protection)
        if hold is not None and hold.rule not in told:
            yield f"It may not be emptied: {hold.reason} (rule {hold.rule})."
        reason = disruption_reason(node, self._view)
        if node.state is NodeState.BUSY:
            reason = DisruptionReason.UNDERUTILIZED
        limit = Disruptions(self._view, self._config.guardrails.disruption).hold(pool, reason)
        if limit is not None and limit.rule not in told:
            yield f"It may not be disrupted now: {limit.reason} (rule {limit.rule})."


def _named(pod: PodView) -> str:
    name = f"pod {pod.namespace}/{pod.name}"
    if not pod.readable:
        return f"{name}, which cannot be read"
    what = [f"{pod.gpu_milli / 1000:g} GPUs"] if pod.gpu_milli else []
    return f"{name} uses {', '.join([*what, *pod.accelerators])}"


def _not_ready(node: NodeView, drivers: Sequence[str]) -> str:
    if not node.ready:
        return f"Kubernetes says that it is not ready ({node.ready_reason or 'no condition Ready yet'})"
    if node.allocatable_gpu_milli <= 0:
        missing = f"; not all ResourceSlices of {', '.join(drivers)} are there" if drivers else ""
        return f"it is ready, but reports no GPUs{missing}"
    taints = [taint.key for taint in node.taints if is_startup_taint(taint)]
    return f"its start-up taints are left: {', '.join(taints)}" if taints else "it is not usable yet"
