"""Nodes that are ordered, boot, are on and are switched off."""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.draws import boot_fails, boot_ms, drawn_ms
from envs.gpu_cluster.simulator.reference.objects import Backoff, Node
from envs.gpu_cluster.simulator.reference.power import may_order
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.state import BOOT_MS, DRAW_FAILURE, DRAW_RECLAIM, NEVER


def become_idle(state: State, node: Node) -> None:
    """A node is on and runs nothing from now on."""
    node.state, node.free, node.since_ms, node.turn = "on", node.gpus, state.now, state.next_turn()


def first_off(state: State, pool: int) -> Node:
    """The node of a pool that is ordered next."""
    return min((node for node in state.of_pool(pool) if node.state == "off"), key=lambda node: node.number)


def switch_on(state: State, pool: int) -> Node:
    """Begin another life of a node, without any image."""
    node = first_off(state, pool)
    node.life += 1
    node.images.clear()
    return node


def begin_service(state: State, node: Node) -> None:
    """A node is on, until it fails or is taken back, whichever is drawn first."""
    become_idle(state, node)
    if state.problem.settings.is_stochastic:
        fails, reclaimed = drawn_ms(state, DRAW_FAILURE, node), drawn_ms(state, DRAW_RECLAIM, node)
        if fails is not None and (reclaimed is None or fails <= reclaimed):
            node.event, node.event_ms = "fail", state.now + fails
        elif reclaimed is not None:
            node.event, node.event_ms = "reclaim", state.now + reclaimed


def switch_on_at_once(state: State, pool: int) -> None:
    """A node is on without a boot, as at the beginning of an episode."""
    begin_service(state, switch_on(state, pool))


def begin_backoff(state: State, pool: int) -> None:
    """Leave a pool alone whose boot failed: for twice as long as the last time, unless that was long ago."""
    boot, last = state.problem.cluster.pools[pool].boot, state.backoffs[pool]
    if boot.backoff_seconds is None:
        return
    length = round(boot.backoff_seconds * 1000)
    if last.length_ms and state.now - last.failed_ms < round(boot.backoff_reset_seconds * 1000):
        if state.in_backoff(pool):
            return  # several failures during one backoff count once
        length = min(2 * last.length_ms, round(boot.max_backoff_seconds * 1000))
    state.backoffs[pool] = Backoff(state.now + length, length, state.now)


def end_boot(state: State, node: Node) -> None:
    """A node is ready, or its boot has failed."""
    if boot_fails(state, node):
        node.state = "off"
        state.totals[node.pool].boot_failures += 1
        begin_backoff(state, node.pool)
    else:
        begin_service(state, node)


def scale(state: State, pool: int, target: int) -> None:
    """Order nodes, or switch idle ones off, the one that became idle first in front, until there are `target`."""
    config, totals = state.problem.cluster.pools[pool], state.totals[pool]
    nodes = sum(node.state in ("booting", "on") for node in state.of_pool(pool))
    add = min(target, config.max_nodes - state.unavailable_nodes(pool)) - nodes
    if state.in_backoff(pool):
        add = 0
    add = may_order(state, pool, add) if add > 0 else add
    for _ in range(add):
        node = switch_on(state, pool)
        node.state, node.turn = "booting", state.next_turn()
        node.ready_ms = state.now + boot_ms(state, node)
        node.expected_ms = state.now + int(state.problem.pools[pool, BOOT_MS])
    remove = state.idle_nodes(pool)[: max(0, nodes - max(target, config.min_nodes))]
    for node in remove:
        node.state, node.free, node.event_ms = "off", 0, NEVER
    totals.nodes_added += max(add, 0)
    totals.scale_ups += add > 0
    totals.nodes_removed += len(remove)
    totals.scale_downs += bool(remove)
