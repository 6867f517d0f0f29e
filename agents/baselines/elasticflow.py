"""ElasticFlow: every job gets the smallest share that satisfies it before any gets more.

While a job of the queue does not start in its pool, the elastic jobs there are narrowed to their least width; when
nothing waits they are widened into free GPUs. The lever acts on all elastic jobs of a pool at once, so the order of
marginal returns among them is the simulator's.

Source: Gu et al., ElasticFlow, ASPLOS 2023 (minimum satisfactory share).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.rule import HEADROOM, SHORT_TIMEOUTS, TIMEOUT, Rule
from agents.baselines.view import Choices, View
from envs.gpu_cluster.codec import WIDTH_CHOICES

KEEP, SHRINK, GROW = (WIDTH_CHOICES.index(name) for name in ("keep", "shrink", "grow"))


class ElasticFlow(Rule):
    """The rule; the set-point beside it is tuned."""

    label = "elasticflow"
    grid: ClassVar = {TIMEOUT: SHORT_TIMEOUTS, HEADROOM: (0.0, 0.05, 0.15)}

    def decide(self, view: View, choices: Choices) -> None:
        """Narrow where a job waits, widen where none does."""
        starts = view.pair("fits_now") > 0.0
        waits = ((view.pair("default") > 0.0) & ~starts).any(axis=1)
        is_empty = view.cluster("queue_jobs")[:, None] < 0.5
        choices.levers["width"][:] = np.where(waits, SHRINK, np.where(is_empty, GROW, KEEP))


BASELINE = Baseline(tune=ElasticFlow.tune, needs=("elastic_width",), group=LITERATURE)
