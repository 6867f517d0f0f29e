"""`reactive`, and nearly empty nodes are emptied whenever their jobs fit on other busy nodes."""

from __future__ import annotations

import numpy as np

from agents.baselines.baseline import Baseline
from agents.baselines.constant import ConstantSetpoint
from envs.gpu_cluster.codec import CONSOLIDATION_CHOICES, CodecLayout


def make(layout: CodecLayout, _generator: np.random.Generator) -> ConstantSetpoint:
    """The policy for a layout."""
    return ConstantSetpoint(layout, name="consolidating", consolidation=CONSOLIDATION_CHOICES.index("all"))


BASELINE = Baseline(make, needs=("consolidation",))
