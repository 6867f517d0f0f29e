"""A baseline: idle nodes go after five minutes, and 5 % of the nodes in demand stay in reserve."""

import numpy as np

from agents.baselines import Baseline, ConstantSetpoint
from envs.gpu_cluster.codec import CodecLayout


def make(layout: CodecLayout, _generator: np.random.Generator) -> ConstantSetpoint:
    """The policy for a layout."""
    return ConstantSetpoint(layout, 300.0, 0.05, name="cautious")


BASELINE = Baseline(make)
