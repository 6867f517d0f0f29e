"""Lifetime-aware placement: a job goes where the node's latest predicted end moves least.

The packer does it; the set-point beside it is tuned as for every rule.

Source: Ling et al., LAVA, MLSys 2025 (without repredictions).
"""

from __future__ import annotations

from typing import ClassVar

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.rule import HEADROOM, SHORT_TIMEOUTS, TIMEOUT, Rule
from agents.baselines.view import Choices, View


class LifetimeAware(Rule):
    """The rule; idle time-out and reserve are tuned."""

    label = "lifetime-aware"
    grid: ClassVar = {TIMEOUT: SHORT_TIMEOUTS, HEADROOM: (0.0, 0.05, 0.15)}
    tuned_packer = "lifetime-aware"

    def decide(self, view: View, choices: Choices) -> None:
        """Nothing but the set-point: the packer places."""


BASELINE = Baseline(tune=LifetimeAware.tune, group=LITERATURE)
