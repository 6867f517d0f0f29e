"""Suspend-resume: jobs that write checkpoints stop while energy is dirty, and go on when it is clean.

The price of energy with its carbon now is compared with what is expected over the next day. Above one threshold all
jobs of a pool that may be suspended are, and jobs of which that would happen at once are held; below another they go
on. Between them nothing changes, so that a price close to a threshold costs no checkpoints.

Source: Wiesner et al., Let's Wait Awhile, Middleware 2021 (interrupting shifting by a forecast); two thresholds
instead of the cleanest slots before a deadline, for one lever acts on all jobs of a pool.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.rule import SHORT_TIMEOUTS, TIMEOUT, Rule
from agents.baselines.timing import expected_price_ratio
from agents.baselines.view import Choices, View
from envs.gpu_cluster.codec import HOLD, SUSPENSION_CHOICES

NONE, SUSPEND, RESUME = (SUSPENSION_CHOICES.index(name) for name in ("none", "suspend", "resume"))
CLEAN, DIRTY = "resume_below", "suspend_above"
HIGHEST_TIER = 1.0 - 1e-6
"""Of the feature `flexibility`, a share of the highest tier: such a job may be suspended."""


class SuspendResume(Rule):
    """The rule; both thresholds, as a ratio of the price now to that expected, and the idle time-out are tuned."""

    label = "suspend-resume"
    grid: ClassVar = {CLEAN: (1.0, 0.7, 0.85, 1.1), DIRTY: (1.2, 1.05, 1.5, 2.0), TIMEOUT: SHORT_TIMEOUTS}

    def decide(self, view: View, choices: Choices) -> None:
        """Suspend and hold above the one threshold, resume below the other."""
        now = 1.0 / np.maximum(expected_price_ratio(view), 1e-9)
        is_clean, is_dirty = now <= self.constant(CLEAN)[:, None], now > self.constant(DIRTY)[:, None]
        choices.levers["suspension"][:] = np.where(is_dirty, SUSPEND, np.where(is_clean, RESUME, NONE))
        pool = np.maximum(choices.placement - 1, 0)  # [B, W], the default pool
        would_stop = np.take_along_axis(is_dirty, pool, axis=1) & (view.slot("flexibility") >= HIGHEST_TIER)
        choices.placement[:] = np.where(view.may_hold & would_stop, HOLD, choices.placement)


BASELINE = Baseline(tune=SuspendResume.tune, needs=("signals", "suspension"), group=LITERATURE)
