"""The guardrails as a whole: from what a policy wants to what it may have."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrail_config import HealthStop
from autoscaler.live.guardrails.ailing import seen_ailing
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.consolidations import Consolidations
from autoscaler.live.guardrails.disruptions import Disruptions
from autoscaler.live.guardrails.groups import keep_for_pods_to_come
from autoscaler.live.guardrails.orders import Orders
from autoscaler.live.guardrails.overflow import overflow
from autoscaler.live.guardrails.placement import releases
from autoscaler.live.guardrails.power_budget import PowerBudget
from autoscaler.live.guardrails.removals import Removals
from autoscaler.live.guardrails.repairs import Repairs
from autoscaler.live.guardrails.state import GuardrailState, refresh
from autoscaler.live.guardrails.stranded import stranded
from autoscaler.live.guardrails.suspensions import Resumptions, Suspensions
from autoscaler.live.guardrails.verdicts import Allowed, Rule, Verdict
from autoscaler.live.guardrails.withdrawals import REASON, wanted
from autoscaler.live.model import ClusterView
from autoscaler.live.objects import NodeState
from autoscaler.live.providers import reserve_pools
from envs.gpu_cluster.codec import Decision


def evaluate(view: ClusterView, decision: Decision, state: GuardrailState, config: LiveConfig) -> Allowed:
    """Cut a decision down to what the rules allow.

    Args:
        view: the cluster; `view.now_seconds` is the time of every rule.
        decision: what the policy wants, whatever it is.
        state: memory of the last evaluation, with what was done since (`after_order` and its siblings).
        config: pools and guardrails.

    Returns:
        What may be done, why not more, and the state for the next evaluation.
    """
    guardrails = config.guardrails
    state = refresh(state, view, guardrails.backoff)
    state = replace(state, ailing=seen_ailing(state.ailing, view, config))
    stop = stopped(view, guardrails.health)
    if stop is not None:
        return Allowed({}, (), (), (stop,), state)
    capacity = Capacity(view, state, config.counted_resources)
    keep_for_pods_to_come(view, state, capacity)
    power = PowerBudget(view, state, config, capacity)
    resumptions = Resumptions(view, decision, config, power)
    resumptions.choose()
    decision, moved = overflow(view, decision, state, config, capacity)
    released, refused = releases(view, decision, state, capacity, power, reserve_pools(config))
    orders = Orders(view, state, config, capacity, power)
    decision = orders.choose(decision, released)
    disruptions = Disruptions(view, guardrails.disruption)
    removals = Removals(view, state, config, capacity, orders, disruptions)
    repairs = Repairs(view, state, config, disruptions)
    repairs.choose()
    for pool, node, reason in repairs.replace:
        removals.replace(pool, node, reason)
    removals.choose(decision)
    if guardrails.curb_for_grid_events:
        removals.curb(power)
    suspensions = Suspensions(view, state, config, power, disruptions)
    suspensions.choose(decision)
    taken_back = {removal.name for removal in removals.chosen if removal.reason == REASON}
    state = replace(
        state,
        wanted=wanted(view, state, orders.needs, orders.nodes, removals.left_over),
        given_up=state.given_up | taken_back,
    )
    changing = {*orders.nodes, *(removal.pool for removal in removals.chosen), *suspensions.pools}
    consolidations = Consolidations(view, state, config, capacity, changing, disruptions)
    consolidations.choose(decision)
    parts = (resumptions, orders, repairs, removals, suspensions, consolidations)
    verdicts = (*moved, *refused, *(verdict for part in parts for verdict in part.verdicts))
    return Allowed(
        orders.nodes,
        tuple(removals.chosen),
        tuple(released),
        verdicts,
        state,
        removals.candidates(),
        stranded(view, state, config, capacity),
        tuple(consolidations.chosen),
        tuple(repairs.actions),
        orders.reserves,
        tuple(suspensions.chosen),
        tuple(resumptions.chosen),
        power.seen,
    )


def stopped(view: ClusterView, health: HealthStop) -> Verdict | None:
    """Why nothing at all may be changed; None: the cluster is fit for decisions."""
    if view.paused:
        return Verdict(Rule.PAUSED, "cluster", "", 0, 0, view.paused)
    if view.stale_resources:
        names = ", ".join(view.stale_resources)
        return Verdict(Rule.STALE_DATA, "cluster", "", 0, 0, f"no fresh data of: {names}")
    # Nodes of no pool are left out on purpose: one of them that is broken for good must not block all others.
    nodes = [node for pool in view.pools for node in pool.nodes]
    unready = sum(node.state is NodeState.UNREADY for node in nodes)
    if unready > health.ok_unready_nodes and unready > health.max_unready_fraction * len(nodes):
        reason = f"{unready} of {len(nodes)} nodes are unready; repair them, then it continues by itself"
        return Verdict(Rule.HEALTH_STOP, "cluster", "", 0, 0, reason)
    return None
