"""Let's Wait Awhile: a job that may be deferred waits for the hour at which energy is cleanest before its latest start.

How long a job runs is not looked at: it waits while an hour that is lower than now by a margin lies before its latest
start, in its default pool. "Clean" is the price of energy with its carbon, as the objective counts them.

Source: Wiesner et al., Let's Wait Awhile, Middleware 2021 (non-interrupting shifting by a forecast).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.rule import SHORT_TIMEOUTS, TIMEOUT, Rule
from agents.baselines.timing import HOURS_PER_DAY, may_wait, ratio
from agents.baselines.view import Choices, View
from envs.gpu_cluster.codec import HOLD

MARGIN = "least_saving"
PRECISION_SECONDS = 1.0
"""An observation knows a slack of hours to less than this."""

MARGINS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)


class LetsWaitAwhile(Rule):
    """The rule; the margin and the idle time-out are tuned."""

    label = "lets-wait-awhile"
    grid: ClassVar = {MARGIN: MARGINS, TIMEOUT: SHORT_TIMEOUTS}

    def decide(self, view: View, choices: Choices) -> None:
        """Hold while a lower hour comes in time."""
        lowest, hours = ratio(view.pool("lowest_price_24h")), view.pool("lowest_price_in") * HOURS_PER_DAY
        pool = np.maximum(choices.placement - 1, 0)  # [B, W], the default pool
        saving = 1.0 - np.take_along_axis(lowest, pool, axis=1)
        comes = np.take_along_axis(hours, pool, axis=1) * 3600.0 <= view.slot("slack") + PRECISION_SECONDS
        waits = may_wait(view) & comes & (saving > self.constant(MARGIN)[:, None] + 1e-6)
        choices.placement[:] = np.where(waits, HOLD, choices.placement)


BASELINE = Baseline(tune=LetsWaitAwhile.tune, needs=("signals", "job_hints"), group=LITERATURE)
