"""CarbonScaler: elastic jobs are wide while energy is clean and narrow while it is not.

The price of energy with its carbon now is compared with what is expected over the next day. The lever acts on all
elastic jobs of a pool at once, so the order of marginal throughput per carbon among them is the simulator's.

Source: Hanafy et al., CarbonScaler, SIGMETRICS 2024.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.rule import SHORT_TIMEOUTS, TIMEOUT, Rule
from agents.baselines.timing import expected_price_ratio
from agents.baselines.view import Choices, View
from envs.gpu_cluster.codec import WIDTH_CHOICES

KEEP, SHRINK, GROW = (WIDTH_CHOICES.index(name) for name in ("keep", "shrink", "grow"))
CLEAN, DIRTY = "wide_below", "narrow_above"


class CarbonScaler(Rule):
    """The rule; both thresholds, as a ratio of the price now to that expected, and the idle time-out are tuned."""

    label = "carbon-scaler"
    grid: ClassVar = {CLEAN: (0.95, 0.7, 0.85, 1.0), DIRTY: (1.05, 1.0, 1.2, 1.5), TIMEOUT: SHORT_TIMEOUTS}

    def decide(self, view: View, choices: Choices) -> None:
        """Widen below the one threshold, narrow above the other."""
        now = 1.0 / np.maximum(expected_price_ratio(view), 1e-9)
        is_clean, is_dirty = now <= self.constant(CLEAN)[:, None], now > self.constant(DIRTY)[:, None]
        choices.levers["width"][:] = np.where(is_clean, GROW, np.where(is_dirty, SHRINK, KEEP))


BASELINE = Baseline(tune=CarbonScaler.tune, needs=("signals", "elastic_width"), group=LITERATURE)
