"""Gavel: shares of the pools for each class of jobs that are fair by throughput, kept by priorities.

A linear program over the training window gives every class of jobs (equal speeds in all pools) the share of its work
that each pool should do, so that the least normalised throughput is as large as can be, and then the sum. A job goes to
the pool where its class has got least of its share so far, among those where it starts at once.

Source: Narayanan et al., Gavel, OSDI 2020 (heterogeneity-aware max-min fairness; the priority is the target allocation
over what was received).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.placing import SPEEDS, class_of, fits_or_allowed
from agents.baselines.rule import SHORT_TIMEOUTS, TIMEOUT, Facts, Rule
from agents.baselines.view import Choices, Floats, View

if TYPE_CHECKING:
    from agents.baselines.training_window import TrainingWindow

LOAD = "load_factor"
LOADS = (1.0, 2.0, 4.0)
RECEIVED = 1.0  # GPUs that count as received at the start, so that the first choice is by the shares alone


class Gavel(Rule):
    """The rule; idle time-out and by how much the load exceeds its mean are tuned."""

    label = "gavel"
    grid: ClassVar = {LOAD: LOADS, TIMEOUT: SHORT_TIMEOUTS}

    @classmethod
    def learn(cls, training: TrainingWindow) -> Facts:
        """Classes of jobs, and the shares of each for several loads."""
        from agents.baselines.allocation import fair_shares, job_classes

        speeds, gpus, capacity = job_classes(training)
        shares = {f"shares_load{load:g}": fair_shares(speeds, load * gpus, capacity).tolist() for load in LOADS}
        return Facts({SPEEDS: speeds.tolist(), **shares})

    def reset(self, num_clusters: int) -> None:
        """No class has received anything."""
        self._received: Floats = np.full((num_clusters, *self.facts.array(SPEEDS).shape), RECEIVED)

    def decide(self, view: View, choices: Choices) -> None:
        """Place job after job where its class is furthest below its share."""
        shares = np.stack([self.facts.array(f"shares_load{load:g}") for load in LOADS])
        which = (self.constant(LOAD)[:, None] == np.array(LOADS)).argmax(axis=1)
        lanes = np.arange(len(view.observations))
        target = np.broadcast_to(shares[which], (len(lanes), *shares.shape[1:]))
        classes, gpus, present = class_of(view, self.facts), view.slot("gpus"), view.present
        pools = target.shape[2]
        candidates, starts = fits_or_allowed(view)[..., :pools], view.pair("fits_now")[..., :pools] > 0.0
        for slot in range(self.layout.window_slots):
            mine = classes[:, slot]
            received = self._received[lanes, mine]
            score = target[lanes, mine] / (received / received.sum(axis=1, keepdims=True))
            pool = np.where(candidates[:, slot], score, -1.0).argmax(axis=1)
            placed = present[:, slot] & candidates[:, slot].any(axis=1)
            choices.placement[placed, slot] = pool[placed] + 1
            started = placed & starts[lanes, slot, pool]
            self._received[lanes[started], mine[started], pool[started]] += gpus[started, slot]


BASELINE = Baseline(tune=Gavel.tune, needs=("job_hints",), group=LITERATURE)
