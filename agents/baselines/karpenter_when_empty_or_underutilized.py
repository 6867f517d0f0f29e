"""Karpenter's default consolidation: empty nodes go at once, and nodes whose jobs fit elsewhere are emptied.

Source: Karpenter's documentation of disruption (`consolidationPolicy: WhenEmptyOrUnderutilized`,
`consolidateAfter: 0s`, a budget of 10 % of the nodes).
"""

from __future__ import annotations

from typing import ClassVar

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.karpenter import CONSOLIDATE_AFTER_SECONDS, within_budget
from agents.baselines.rule import TIMEOUT, Rule
from agents.baselines.view import Choices, View


class WhenEmptyOrUnderutilized(Rule):
    """The rule; `consolidateAfter` is tuned."""

    label = "karpenter-when-empty-or-underutilized"
    grid: ClassVar = {TIMEOUT: CONSOLIDATE_AFTER_SECONDS}

    def decide(self, view: View, choices: Choices) -> None:
        """Empty what can be emptied, within the budget."""
        choices.levers["consolidation"][:] = within_budget(view)


BASELINE = Baseline(tune=WhenEmptyOrUnderutilized.tune, needs=("consolidation",), group=LITERATURE)
