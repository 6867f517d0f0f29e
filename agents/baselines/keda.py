"""A threshold on the queue, as KEDA's scalers have: nodes are ordered when enough GPUs are waited for.

A job that fits on a node that is on starts at once. Others are held until the queue requests the threshold's share of a
node, or until they may be held no longer.

Source: KEDA, documentation of ScaledObject and its queue scalers (a target length per replica, an activation threshold,
`cooldownPeriod` 300 s).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.rule import TIMEOUT, Rule
from agents.baselines.view import Choices, View
from envs.gpu_cluster.codec import HOLD

THRESHOLD = "threshold_nodes"


class QueueThreshold(Rule):
    """The rule; threshold and cooldown are tuned."""

    label = "keda"
    grid: ClassVar = {THRESHOLD: (0.5, 0.0, 0.25, 1.0, 2.0), TIMEOUT: (300.0, 0.0, 60.0, 600.0, 900.0, 1800.0)}

    def decide(self, view: View, choices: Choices) -> None:
        """Hold what fits nowhere while the queue is below the threshold."""
        node_gpus = view.gpus_per_node.max(axis=1)
        is_short = view.cluster("queue_gpus") < self.constant(THRESHOLD) * node_gpus - 1e-3
        waits = is_short[:, None] & view.may_hold & ~(view.pair("fits_now") > 0.0).any(axis=2)
        choices.placement[:] = np.where(waits, HOLD, choices.placement)


BASELINE = Baseline(tune=QueueThreshold.tune, group=LITERATURE)
