"""The idle time-out, reserve, levers and packer that cost least on a training window; see `agents.baselines.tuned`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agents.baselines.baseline import Baseline

if TYPE_CHECKING:
    from agents.baselines.training_window import TrainingWindow
    from agents.baselines.tuned import Tuned


def tune(training: TrainingWindow, progress: Callable[[int], None] | None = None) -> Tuned:
    """Search; see `agents.baselines.tuned.tune`, whose simulator is imported only here."""
    from agents.baselines.tuned import tune as search

    return search(training, progress)


BASELINE = Baseline(tune=tune)
