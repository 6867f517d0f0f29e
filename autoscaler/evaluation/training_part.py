"""What a trained policy saves on the windows that it was trained on, by the measure of `evaluate`.

It says at once what a training is worth, and nothing of later windows: `autoscaler evaluate` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.policy import Policy
from autoscaler.evaluation.comparison import Contender, compare
from autoscaler.evaluation.errors import EvaluationError
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.statistics import Estimate
from autoscaler.evaluation.windows import Window, equal_windows
from traces.trace import Trace

TUNED, TRAINED = "reactive-tuned", "trained"


@dataclass(frozen=True, slots=True)
class TrainingPart:
    """A policy beside the tuned heuristic on the training part of a trace.

    Attributes:
        decidable_usd: what the policy costs above the bound, USD per window.
        tuned_usd: the same of the tuned heuristic.
        gap_closed: share that the policy saves of what lies between the tuned heuristic and the bound.
        windows: how many.
        cheaper: in how many the policy costs less than the tuned heuristic.
    """

    decidable_usd: Estimate
    tuned_usd: Estimate
    gap_closed: Estimate
    windows: int
    cheaper: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values: what the record of a run has under `training_part`."""
        return {
            "windows": self.windows,
            "cheaper": self.cheaper,
            "gap_closed": self.gap_closed.to_dict(),
            "policies": {
                TRAINED: {"decidable_usd": self.decidable_usd.to_dict()},
                TUNED: {"decidable_usd": self.tuned_usd.to_dict()},
            },
        }

    def describe(self) -> str:
        """One line."""
        closed = self.gap_closed
        between = "" if closed.low is None or closed.high is None else f" [{closed.low:.1%}, {closed.high:.1%}]"
        return (
            f"training part: {closed.mean:.1%}{between} of the gap to the bound closed: {self.decidable_usd.mean:.2f} "
            f"decidable USD per window, {TUNED} {self.tuned_usd.mean:.2f}; cheaper in {self.cheaper} of {self.windows} "
            "windows (evaluate tells of later ones)"
        )


def on_training_part(
    scenario: Scenario, share: float, policy: Policy, tuned: Policy, windows: int
) -> TrainingPart | None:
    """Replay both on equal windows of the training part.

    Args:
        scenario: trace, cluster and settings.
        share: of the trace, from its beginning: the training part.
        policy: the trained one.
        tuned: the tuned heuristic.
        windows: how many; fewer where one would have no job.

    Returns:
        None where no bound is known, as with elastic width.
    """
    contenders = [Contender(TUNED, (tuned,), "rule"), Contender(TRAINED, (policy,), "trained")]
    parts = _windows(scenario.trace, share, windows)
    found = compare(scenario, contenders, parts, np.random.default_rng(0), reference=TUNED, samples=0)
    results, versus = found.results, found.results[TRAINED].versus
    assert versus is not None
    ours, theirs = (results[name].estimates["decidable_usd"] for name in (TRAINED, TUNED))
    if not np.isfinite(theirs.mean):
        return None
    return TrainingPart(ours, theirs, versus.gap_closed, len(parts), int((versus.by_window < 0.0).sum()))


def _windows(trace: Trace, share: float, most: int) -> tuple[Window, ...]:
    for count in range(most, 1, -1):
        try:
            return equal_windows(trace, 0.0, share, count)
        except EvaluationError:
            continue
    return equal_windows(trace, 0.0, share, 1)
