"""Nodes that fail, are taken back and return."""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.draws import drawn_ms
from envs.gpu_cluster.simulator.reference.objects import Node
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.reference.work import preempt
from envs.gpu_cluster.simulator.state import DRAW_OUTAGE, DRAW_REPAIR, NEVER


def go_down(state: State, node: Node, kind: int) -> None:
    """A node is in repair, or taken, for as long as its draw of a kind says."""
    drawn = drawn_ms(state, kind, node)
    assert drawn is not None
    node.state, node.free = "down", 0
    node.event, node.event_ms = "return", state.now + drawn


def evict(state: State, node: Node, has_notice: bool) -> None:
    """Preempt every job of a node."""
    there = [run for run in state.running if node in run.nodes]
    for run in sorted(there, key=lambda run: run.job.number):
        preempt(state, run, has_notice)


def happen(state: State, node: Node) -> None:
    """Let happen to a node what was drawn for it."""
    totals = state.totals[node.pool]
    notice_ms = round(state.problem.cluster.pools[node.pool].spot.notice_seconds * 1000)
    if node.event == "fail":
        evict(state, node, has_notice=False)
        totals.node_failures += 1
        go_down(state, node, DRAW_REPAIR)
    elif node.event == "reclaim":
        evict(state, node, has_notice=notice_ms > 0)
        totals.spot_reclaims += 1
        node.state, node.free = "draining", 0
        node.event, node.event_ms = "gone", state.now + notice_ms
    elif node.event == "gone":
        go_down(state, node, DRAW_OUTAGE)
    else:
        node.state, node.event_ms = "off", NEVER
