"""What both consolidation policies of Karpenter share. Source: Karpenter's documentation of disruption."""

from __future__ import annotations

import numpy as np

from agents.baselines.view import Floats, Ints, View
from envs.gpu_cluster.codec import CONSOLIDATION_CHOICES

BUDGET_SHARE = 0.1
"""Nodes of a pool that may be disrupted at once: the default budget, rounded up."""

CONSOLIDATE_AFTER_SECONDS = (0.0, 60.0, 300.0, 600.0, 1800.0)
"""How long a node must have been empty; the first is the default of `consolidateAfter`."""

ONE, ALL = CONSOLIDATION_CHOICES.index("one"), CONSOLIDATION_CHOICES.index("all")


def within_budget(view: View) -> Ints:
    """[B, P] int64: empty all nodes that can be emptied where the budget allows so many at once, else one."""
    budget = np.ceil(BUDGET_SHARE * (view.nodes("busy_nodes") + view.nodes("idle_nodes")))
    return np.where(view.nodes("emptiable_nodes") <= budget, ALL, ONE)


def balance_score(view: View) -> Floats:
    """[B, P] float64: the share of the pool's cost that emptying its emptiest node saves, over the share it disrupts.

    Nodes of a pool cost the same. Each has a disruption cost of 1, and each GPU that a job holds one of 1, where
    Karpenter counts pods; the emptiest busy node is taken, movable or not, as the observation has it.
    """
    nodes = np.maximum(view.nodes("busy_nodes") + view.nodes("idle_nodes"), 1.0)
    moved = (1.0 - view.pool("largest_free")) * view.gpus_per_node
    return np.asarray((1.0 / nodes) / ((1.0 + moved) / (nodes + view.used_gpus)), np.float64)
