"""Policies that use the lever *suspension*: `--policy tests.cluster.suspending_policies:ALWAYS`."""

from agents.baselines import ConstantSetpoint
from agents.baselines.baseline import Baseline
from agents.baselines.suspend_resume import CLEAN, DIRTY, SuspendResume
from envs.gpu_cluster.codec import SUSPENSION_CHOICES

ALWAYS = Baseline(lambda layout, _: ConstantSetpoint(layout, suspension=SUSPENSION_CHOICES.index("suspend")))
"""Suspends whatever it may."""

THRESHOLDS = {DIRTY: 1.2, CLEAN: 1.0}
WHEN_DIRTY = Baseline(lambda layout, _: SuspendResume(layout, THRESHOLDS), needs=("signals", "suspension"))
"""Suspends while energy costs more than is expected of the next day, and lets go on while it costs no more."""
