"""Nodes that fail, are taken back and return."""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.draws import drawn_ms
from envs.gpu_cluster.simulator.reference.objects import Node
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.reference.work import preempt
from envs.gpu_cluster.simulator.state import LOT_OUTAGE, LOT_REPAIR, NEVER


def go_down(c: State, node: Node, kind: int) -> None:
    """A node is in repair, or taken, for as long as its draw of a kind says."""
    drawn = drawn_ms(c, kind, node)
    assert drawn is not None
    node.state, node.free = "down", 0
    node.event, node.event_ms = "return", c.now + drawn


def evict(c: State, node: Node, has_notice: bool) -> None:
    """Preempt every job of a node."""
    there = [run for run in c.running if node in run.nodes]
    for run in sorted(there, key=lambda run: run.job.number):
        preempt(c, run, has_notice)


def happen(c: State, node: Node) -> None:
    """Let happen to a node what was drawn for it."""
    totals = c.totals[node.pool]
    notice_ms = round(c.problem.cluster.pools[node.pool].spot.notice_seconds * 1000)
    if node.event == "fail":
        evict(c, node, has_notice=False)
        totals.node_failures += 1
        go_down(c, node, LOT_REPAIR)
    elif node.event == "reclaim":
        evict(c, node, has_notice=notice_ms > 0)
        totals.spot_reclaims += 1
        node.state, node.free = "draining", 0
        node.event, node.event_ms = "gone", c.now + notice_ms
    elif node.event == "gone":
        go_down(c, node, LOT_OUTAGE)
    else:
        node.state, node.event_ms = "off", NEVER
