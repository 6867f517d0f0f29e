"""Cluster Autoscaler with its documented defaults: unneeded nodes go after ten minutes, nearly empty ones too.

A node whose use is below half is unneeded where its pods fit elsewhere; after ten minutes it is drained, one at a
time. `reactive` is the part of this for a cluster whose jobs cannot be moved: only empty nodes go. Here the emptiest
busy node of a pool stands for all, since the observation has no more.

Source: the FAQ of Cluster Autoscaler (`--scale-down-unneeded-time` 10 minutes, `--scale-down-utilization-threshold`
0.5, `--max-drain-parallelism` 1).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.rule import Elapsed, Rule
from agents.baselines.view import Bools, Choices, Floats, View
from envs.gpu_cluster.codec import CONSOLIDATION_CHOICES, CodecLayout

UNNEEDED_SECONDS = 600.0
USE_THRESHOLD = 0.5
ONE = CONSOLIDATION_CHOICES.index("one")


class ClusterAutoscaler(Rule):
    """The rule; nothing of it is tuned."""

    label = "cluster-autoscaler"
    grid: ClassVar = {}

    def reset(self, num_clusters: int) -> None:
        """No node is unneeded yet."""
        self._elapsed = Elapsed(num_clusters)
        self._unneeded: Floats = np.zeros((num_clusters, self.layout.max_pools))
        self._was_below: Bools = np.zeros((num_clusters, self.layout.max_pools), np.bool_)

    def decide(self, view: View, choices: Choices) -> None:
        """Drain the emptiest node of a pool once it was below the threshold for ten minutes."""
        below = (view.pool("largest_free") > 1.0 - USE_THRESHOLD) & (view.nodes("busy_nodes") > 0.0)
        passed = self._elapsed.advance(view)[:, None]
        self._unneeded[:] = np.where(below & self._was_below, self._unneeded + passed, 0.0)
        self._was_below = below
        drained = (self._unneeded >= UNNEEDED_SECONDS) & (view.pool("consolidatable") > 0.0)
        choices.levers["consolidation"][:] = np.where(drained, ONE, 0)
        self._unneeded[drained] = 0.0  # the next one has its own ten minutes


def make(layout: CodecLayout, _generator: np.random.Generator) -> ClusterAutoscaler:
    """The policy for a layout."""
    return ClusterAutoscaler(layout)


BASELINE = Baseline(make, needs=("consolidation",), group=LITERATURE)
