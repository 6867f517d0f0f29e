"""Helios' Cluster Energy Saving: idle nodes sleep only where demand has fallen and is predicted to fall.

Recent trend: the demand now against its mean over the last hour. Predicted trend: the demand in three hours against
now, by a ridge regression on the demand now, its mean, and what is usual at both hours. Where both fall by more than a
threshold, nodes that are idle go but for a buffer; else idle nodes are kept. Nodes are woken for what waits.

Source: Hu et al., Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters, SC 2021
(CES with Dynamic Resource Sleep); the predictor there is gradient-boosted trees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.demand import DIGITS, SAMPLE_SECONDS, hour_profile, profile_hour
from agents.baselines.rule import HEADROOM, TIMEOUT, Elapsed, Facts, Rule
from agents.baselines.view import Choices, Floats, View
from envs.gpu_cluster.codec import IDLE_AGE_EDGES_SECONDS

if TYPE_CHECKING:
    from agents.baselines.training_window import TrainingWindow

RECENT_SECONDS = 3600.0
AHEAD_SECONDS = 3.0 * 3600.0
RIDGE = 1e-3
FALL = "fall_nodes"
USUAL, WEIGHTS = "gpus_by_hour", "weights"
KEPT = len(IDLE_AGE_EDGES_SECONDS) - 1


class HeliosCes(Rule):
    """The rule; threshold, buffer and time-out are tuned."""

    label = "helios-ces"
    grid: ClassVar = {FALL: (1.0, 0.0, 2.0), TIMEOUT: (0.0, 60.0, 300.0, 600.0), HEADROOM: (0.0, 0.05, 0.15)}

    @classmethod
    def learn(cls, training: TrainingWindow) -> Facts:
        """What is usual by hour, and the weights of the prediction for each pool."""
        demand, hours = training.demand_gpus(SAMPLE_SECONDS)
        usual = hour_profile(demand, hours, lambda samples: samples.mean(axis=0))
        recent = _recent_means(demand)
        ahead = min(round(AHEAD_SECONDS / SAMPLE_SECONDS), len(demand) - 1)
        now, then = slice(0, len(demand) - ahead), slice(ahead, len(demand))
        weights = []
        for pool in range(demand.shape[1]):
            rows = _regressors(demand[now, pool], recent[now, pool], usual[pool, hours[now]], usual[pool, hours[then]])
            normal = rows.T @ rows + RIDGE * len(rows) * np.eye(rows.shape[1])
            weights.append(np.round(np.linalg.solve(normal, rows.T @ demand[then, pool]), DIGITS).tolist())
        return Facts({USUAL: usual.tolist(), WEIGHTS: weights})

    def reset(self, num_clusters: int) -> None:
        """No demand was seen yet."""
        self._elapsed = Elapsed(num_clusters)
        self._recent: Floats = np.full((num_clusters, self.layout.max_pools), np.nan)

    def decide(self, view: View, choices: Choices) -> None:
        """Let idle nodes go where demand fell and will fall."""
        demand = view.used_gpus
        keep = np.exp(-self._elapsed.advance(view) / RECENT_SECONDS)[:, None]
        self._recent = np.where(np.isnan(self._recent), demand, keep * self._recent + (1.0 - keep) * demand)
        usual, weights = self.facts.array(USUAL), self.facts.array(WEIGHTS)
        usual_now = usual[:, profile_hour(view, 0.0)].T
        usual_then = usual[:, profile_hour(view, AHEAD_SECONDS)].T
        predicted = (_regressors(demand, self._recent, usual_now, usual_then) * weights).sum(axis=-1)
        fall = self.constant(FALL)[:, None] * view.gpus_per_node
        falls = (self._recent - demand >= fall) & (demand - predicted >= fall)
        choices.timeout[:] = np.where(falls, choices.timeout, KEPT)


def _regressors(demand: Floats, recent: Floats, usual_now: Floats, usual_then: Floats) -> Floats:
    """[..., 5] float64."""
    return np.stack([np.ones_like(demand), demand, recent, usual_now, usual_then], axis=-1)


def _recent_means(demand: Floats) -> Floats:
    """[T, P] float64, the exponentially weighted mean of the demand until each sample."""
    keep, means = np.exp(-SAMPLE_SECONDS / RECENT_SECONDS), demand.copy()
    for index in range(1, len(demand)):
        means[index] = keep * means[index - 1] + (1.0 - keep) * demand[index]
    return means


BASELINE = Baseline(tune=HeliosCes.tune, group=LITERATURE)
