"""Target tracking, as the Horizontal Pod Autoscaler does: as many nodes as make the use of GPUs meet a target.

The wanted nodes are those on times use over target; within a tolerance of 10 % nothing changes. Its stabilisation
window for scaling down is the idle time-out: a node goes when it was not wanted for so long. Nodes that waiting jobs
need are ordered in any case, as for every setpoint.

Source: Kubernetes, documentation of the Horizontal Pod Autoscaler (tolerance 0.1, stabilisation 300 s).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.rule import TIMEOUT, Rule
from agents.baselines.view import Choices, View

TARGET = "target_use"
TOLERANCE = 0.1


class HorizontalAutoscaler(Rule):
    """The rule; target and stabilisation window are tuned."""

    label = "hpa"
    grid: ClassVar = {TARGET: (0.8, 0.5, 0.6, 0.7, 0.9), TIMEOUT: (300.0, 0.0, 60.0, 600.0, 900.0, 1800.0)}

    def decide(self, view: View, choices: Choices) -> None:
        """Reserve the nodes that the target wants beyond the demand."""
        on, used = view.on_nodes, view.used_gpus
        target_gpus = self.constant(TARGET)[:, None] * np.maximum(view.gpus_per_node, 1.0)
        wanted = np.ceil(used / target_gpus - 1e-4)  # a use that is on target within the observation's precision is
        near = np.abs(used - on * target_gpus) <= TOLERANCE * on * target_gpus
        choices.headroom[:] = view.reserve_for(np.where(near, on, wanted))


BASELINE = Baseline(tune=HorizontalAutoscaler.tune, group=LITERATURE)
