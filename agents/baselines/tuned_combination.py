"""The best mix of all levers that are on, found by CMA-ES on the training window: the rule to beat.

It starts from `reactive-tuned` and adds what that has not: prices of class-aware placement where there are several
pools, and the saving for which a job that may be deferred waits. A choice of levers is one for all times.

Source: each part as in `reactive-tuned`, `class-aware` and `gaia`; the search as in `agents.baselines.cma_search`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.class_aware import ClassAware, placement_facts, placement_knobs, setpoint_knobs
from agents.baselines.knobs import Choice, Knobs, Range
from agents.baselines.lets_wait_awhile import MARGIN
from agents.baselines.rule import Facts
from agents.baselines.timing import best_start_ratio, may_wait
from agents.baselines.view import Choices, View
from envs.gpu_cluster.codec import HOLD, LEVERS

if TYPE_CHECKING:
    from agents.baselines.training_window import TrainingWindow

IS_CLASS_AWARE = "class_aware"
NEVER_WAIT = 1.0
"""A saving that no deferral has."""


class TunedCombination(ClassAware):
    """The rule."""

    label = "tuned-combination"

    @classmethod
    def learn(cls, training: TrainingWindow) -> Facts:
        """Prices and the typical run time."""
        return placement_facts(training)

    @classmethod
    def knobs(cls, training: TrainingWindow, facts: Facts) -> tuple[Knobs, int]:
        """All levers that are on, from the tuned heuristic."""
        from agents.baselines.cma_search import PACKER
        from agents.baselines.training_window import TRIED_PACKERS
        from agents.baselines.tuned import tune

        layout = training.config.codec
        start = tune(training)
        packers = tuple(float(index) for index in range(len(TRIED_PACKERS)))
        knobs: dict[str, Range | Choice] = {
            **setpoint_knobs(start.idle_timeout_seconds, start.headroom),
            PACKER: Choice(packers, float(TRIED_PACKERS.index(start.packer))),
        }
        for lever in LEVERS:
            if getattr(layout, lever.switch) and hasattr(start, lever.name):  # those that the heuristic chooses
                values = tuple(float(choice) for choice in range(len(lever.choices)))
                knobs[lever.name] = Choice(values, float(getattr(start, lever.name)))
        if layout.signals and layout.job_hints:
            knobs[MARGIN] = Range(0.0, NEVER_WAIT, NEVER_WAIT)
        if len(training.cluster.pools) > 1 and layout.job_hints:
            knobs |= {IS_CLASS_AWARE: Choice((0.0, 1.0), 0.0), **placement_knobs(training, facts)}
        return knobs, start.simulated_jobs

    @classmethod
    def defaults(cls) -> dict[str, float]:
        """Levers that do nothing, jobs that never wait, in their default pools."""
        rest = {lever.name: 0.0 for lever in LEVERS}
        return {**super().defaults(), **rest, MARGIN: NEVER_WAIT, IS_CLASS_AWARE: 0.0}

    def decide(self, view: View, choices: Choices) -> None:
        """Constant levers; where they are on, class-aware placement and deferral."""
        for lever in LEVERS:
            choices.levers[lever.name][:] = self.constant(lever.name).astype(np.int64)[:, None]
        is_aware = self.constant(IS_CLASS_AWARE) > 0.0
        if is_aware.any():
            aware = view.present & is_aware[:, None]
            choices.placement[:] = np.where(aware, self.cheapest_pool(view), choices.placement)
        margin = self.constant(MARGIN)
        if (margin < NEVER_WAIT).any():
            saving = 1.0 - best_start_ratio(view).max(axis=2)
            choices.placement[:] = np.where(may_wait(view) & (saving > margin[:, None]), HOLD, choices.placement)


BASELINE = Baseline(tune=TunedCombination.tune, group=LITERATURE)
