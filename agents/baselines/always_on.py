"""Every node of every pool is on: the least waiting, and what a cluster without an autoscaler costs."""

from __future__ import annotations

import numpy as np

from agents.baselines.baseline import Baseline
from agents.baselines.constant import ConstantSetpoint
from envs.gpu_cluster.codec import ALWAYS_ON, IDLE_AGE_EDGES_SECONDS, CodecLayout


def make(layout: CodecLayout, _generator: np.random.Generator) -> ConstantSetpoint:
    """The policy for a layout."""
    return ConstantSetpoint(layout, IDLE_AGE_EDGES_SECONDS[-1], ALWAYS_ON, name="always-on")


BASELINE = Baseline(make)
