"""`reactive` that leaves grid events to the guardrail: idle nodes go, then jobs are capped, narrowed and suspended.

The guardrail (`docs/energy.md`) touches jobs in the order of their flexibility, and no more of them than the budget
requires, so this is what a policy has to beat that prepares for an event.
"""

from __future__ import annotations

import numpy as np

from agents.baselines.baseline import Baseline
from agents.baselines.constant import ConstantSetpoint
from envs.gpu_cluster.codec import CodecLayout


def make(layout: CodecLayout, _generator: np.random.Generator) -> ConstantSetpoint:
    """The policy for a layout."""
    return ConstantSetpoint(layout, name="tiers-in-order")


BASELINE = Baseline(make, needs=("power_caps", "elastic_width", "suspension"))
