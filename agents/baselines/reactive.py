"""Nodes for the jobs that wait, and idle nodes go after ten minutes, as Cluster Autoscaler does by default.

Source: the FAQ of Cluster Autoscaler, `--scale-down-unneeded-time`.
"""

from __future__ import annotations

import numpy as np

from agents.baselines.baseline import Baseline
from agents.baselines.constant import ConstantSetpoint
from envs.gpu_cluster.codec import CodecLayout


def make(layout: CodecLayout, _generator: np.random.Generator) -> ConstantSetpoint:
    """The policy for a layout."""
    return ConstantSetpoint(layout)


BASELINE = Baseline(make)
