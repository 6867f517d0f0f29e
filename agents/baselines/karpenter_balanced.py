"""Karpenter's balanced consolidation: a node is emptied where what it saves is worth what it disrupts.

The share of the pool's cost that is saved, over the share of its disruption cost, must be at least 1 / k.

Source: Karpenter, RFC "Balanced consolidation" (`consolidationPolicy: Balanced`, k = 2).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.karpenter import CONSOLIDATE_AFTER_SECONDS, ONE, balance_score
from agents.baselines.rule import TIMEOUT, Rule
from agents.baselines.view import Choices, View

TOLERANCE = "disruption_tolerance"


class Balanced(Rule):
    """The rule; `consolidateAfter` and k are tuned."""

    label = "karpenter-balanced"
    grid: ClassVar = {TIMEOUT: CONSOLIDATE_AFTER_SECONDS, TOLERANCE: (2.0, 0.5, 1.0, 3.0)}

    def decide(self, view: View, choices: Choices) -> None:
        """Empty the emptiest node of a pool where the score says so; each changes the score of the next."""
        worth = balance_score(view) >= 1.0 / self.constant(TOLERANCE)[:, None]
        choices.levers["consolidation"][:] = np.where(worth, ONE, 0)


BASELINE = Baseline(tune=Balanced.tune, needs=("consolidation",), group=LITERATURE)
