"""Nodes that come for gangs which are gone: they are taken back before they burn energy for nobody.

Only withdrawn demand does that. A node that comes and is needed no more for another reason, such as a job that ended
early, is the policy's to keep or not, as in the simulator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from autoscaler.live.guardrails.need import Need
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.model import ClusterView, PoolView
from autoscaler.live.objects import NodeState, NodeView

REASON = "the job that it was ordered for is gone"
LEFT_OVER = "left over in pool "
"""Key of nodes whose gangs are gone and that could not be taken back yet; no gang has such a key."""


def withdrawn(view: ClusterView, state: GuardrailState) -> Counter[str]:
    """Nodes that come for gangs which neither wait nor run any more, by pool."""
    present = {gang.key for gang in (*view.queue, *view.running)}
    gone: Counter[str] = Counter()
    for key, (pool, nodes) in state.wanted.items():
        if key not in present:
            gone[pool] += nodes
    return gone


def wanted(
    view: ClusterView,
    state: GuardrailState,
    needs: Mapping[str, Need],
    orders: Mapping[str, int],
    left_over: Mapping[str, int],
) -> dict[str, tuple[str, int]]:
    """Which nodes come for whom now; see `GuardrailState.wanted`.

    Args:
        view: the cluster.
        state: of the evaluation before.
        needs: what waiting gangs use, by pool.
        orders: nodes that are ordered now, by pool.
        left_over: nodes whose gangs are gone and that are not taken back yet, by pool.
    """
    waiting = {gang.key for gang in view.queue}
    found = {key: entry for key, entry in state.wanted.items() if key in waiting}
    for pool, need in needs.items():
        counts = Counter(need.coming_for)
        left = orders.get(pool, 0)
        for key, nodes in need.new_for.items():
            counts[key] += min(nodes, left)
            left -= min(nodes, left)
        found.update((key, (pool, nodes)) for key, nodes in counts.items() if nodes > 0)
    return {**found, **{f"{LEFT_OVER}{pool}": (pool, nodes) for pool, nodes in left_over.items() if nodes > 0}}


def on_their_way(pool: PoolView) -> list[tuple[str, NodeView | None]]:
    """Orders and nodes of a pool that can be taken back: orders without a Node first, then the newest."""
    orders = sorted(pool.orders, key=lambda order: (-order.ordered_seconds, order.name))
    booting = sorted(pool.in_state(NodeState.BOOTING), key=lambda node: (-node.created_seconds, node.name))
    return [*((order.name, None) for order in orders), *((node.name, node) for node in booting)]
