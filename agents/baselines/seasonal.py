"""A seasonal forecast: nodes for the demand that is usual at the hour at which an order would be ready.

The demand of the training window is summed up by hour, for days of the week and of the weekend apart; a quantile of it
is kept on, beyond what jobs request now.

Source: Box and Jenkins, Time Series Analysis (seasonal means); Gandhi et al., AutoScale, ACM TOCS 2012 (predictive
provisioning by the time of day as a baseline).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.demand import SAMPLE_SECONDS, hour_profile, nodes_for, profile_hour
from agents.baselines.rule import TIMEOUT, Facts, Rule
from agents.baselines.view import Choices, View

if TYPE_CHECKING:
    from agents.baselines.training_window import TrainingWindow

QUANTILE = "quantile"
QUANTILES = (0.5, 0.0, 0.25, 0.75, 0.9)


class Seasonal(Rule):
    """The rule; quantile and idle time-out are tuned."""

    label = "seasonal"
    grid: ClassVar = {QUANTILE: QUANTILES, TIMEOUT: (600.0, 0.0, 60.0, 300.0, 1800.0, 3600.0)}

    @classmethod
    def learn(cls, training: TrainingWindow) -> Facts:
        """The quantiles of the demand by hour."""
        demand, hours = training.demand_gpus(SAMPLE_SECONDS)
        return Facts(
            {
                f"gpus_by_hour_q{quantile:g}": hour_profile(
                    demand, hours, partial(np.quantile, q=quantile, axis=0)
                ).tolist()
                for quantile in QUANTILES
            }
        )

    def decide(self, view: View, choices: Choices) -> None:
        """Reserve what is usual when nodes ordered now would be ready."""
        hour = profile_hour(view, view.pool("boot_seconds").max(axis=1))
        profiles = np.stack([self.facts.array(f"gpus_by_hour_q{quantile:g}") for quantile in QUANTILES])
        which = (self.constant(QUANTILE)[:, None] == np.array(QUANTILES)).argmax(axis=1)
        choices.headroom[:] = view.reserve_for(nodes_for(view, profiles[which, :, hour]))


BASELINE = Baseline(tune=Seasonal.tune, group=LITERATURE)
