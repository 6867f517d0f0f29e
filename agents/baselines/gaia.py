"""GAIA's lowest window: a job starts when its whole run is expected to be cleanest, before its latest start.

The run is as long as is predicted; a start later or in another pool is waited for where it saves more than a margin.
"Clean" is the price of energy with its carbon, as the objective counts them.

Source: Hanafy et al., Going Green for Less Green, ASPLOS 2024 (GAIA, Lowest-Window).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.lets_wait_awhile import MARGIN, MARGINS
from agents.baselines.rule import SHORT_TIMEOUTS, TIMEOUT, Rule
from agents.baselines.timing import best_start_ratio, may_wait
from agents.baselines.view import Choices, View
from envs.gpu_cluster.codec import HOLD


class Gaia(Rule):
    """The rule; the margin and the idle time-out are tuned."""

    label = "gaia"
    grid: ClassVar = {MARGIN: MARGINS, TIMEOUT: SHORT_TIMEOUTS}

    def decide(self, view: View, choices: Choices) -> None:
        """Start a job that may wait where its run is cheapest now, if no later start saves more than the margin."""
        best = best_start_ratio(view)
        saving = 1.0 - best.max(axis=2)
        waiting = may_wait(view)
        waits = waiting & (saving > self.constant(MARGIN)[:, None] + 1e-6)
        placement = np.where(waiting, best.argmax(axis=2) + 1, choices.placement)
        choices.placement[:] = np.where(waits, HOLD, placement)


BASELINE = Baseline(tune=Gaia.tune, needs=("signals", "job_hints"), group=LITERATURE)
