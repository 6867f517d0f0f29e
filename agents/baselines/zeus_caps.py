"""Zeus: the power cap of each pool at which energy and time together cost least.

For each cap, the power and the time that a unit of work takes are known from measured curves; the cost is energy plus
time, whose weight is the rule's one constant: 1 is the price of waiting.

Source: You et al., Zeus, NSDI 2023 (cost of a power limit: energy and time, weighed by one knob).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.rule import SHORT_TIMEOUTS, TIMEOUT, Facts, Rule
from agents.baselines.view import Choices, View

if TYPE_CHECKING:
    from agents.baselines.training_window import TrainingWindow

WEIGHT = "time_weight"
ENERGY, TIME = "usd_per_gpu_hour_of_work_by_cap", "hours_per_hour_of_work_by_cap"


class ZeusCaps(Rule):
    """The rule; the weight of time and the idle time-out are tuned."""

    label = "zeus-caps"
    grid: ClassVar = {WEIGHT: (1.0, 0.0, 0.1, 0.25, 0.5, 2.0), TIMEOUT: SHORT_TIMEOUTS}

    @classmethod
    def learn(cls, training: TrainingWindow) -> Facts:
        """Energy and time of work under each cap, over all that is run in the training window."""
        from agents.baselines.power import cap_costs

        energy, time, usd = cap_costs(training)
        return Facts({ENERGY: energy.tolist(), TIME: time.tolist(), "usd_per_waiting_gpu_hour": usd})

    def decide(self, view: View, choices: Choices) -> None:
        """The same cap at all times."""
        energy, time = self.facts.array(ENERGY), self.facts.array(TIME)
        price = self.constant(WEIGHT)[:, None, None] * float(self.facts.array("usd_per_waiting_gpu_hour"))
        caps = (energy + price * time).argmin(axis=2)  # [B or 1, pools of the cluster]
        choices.levers["power_cap"][:, : caps.shape[1]] = caps


BASELINE = Baseline(tune=ZeusCaps.tune, needs=("power_caps",), group=LITERATURE)
