"""Statistics over many scenarios: interquartile mean, performance profile, probability of improvement, intervals.

A *run* is a policy with one seed on one window of one scenario; its score is a cost ratio, lower is better. Intervals
are percentiles of a stratified bootstrap: within each scenario windows and seeds are drawn anew, with replacement, and
scenarios are kept. All policies see the same draws of windows, because they ran the same windows.

Source: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS 2021). There a
task has runs that differ in the seed alone. Here windows of one scenario are drawn too, and the probability of
improvement compares runs on the same window only.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscaler.evaluation.statistics import CONFIDENCE, FEWEST, Estimate

DRAWS = 2000
METHOD = "stratified bootstrap over windows and seeds within each scenario, percentile interval"
TRIM = 0.25
"""Cut at each end for the interquartile mean."""

Scores = Mapping[str, NDArray[np.float64]]
"""Scenario -> [S, W] float64, a score for each seed and window."""


class Profile(NamedTuple):
    """The share of runs whose score is at most a threshold.

    Attributes:
        shares: [T] float64, a share for each threshold.
        low: [T] float64, lower end of its interval.
        high: [T] float64, upper end.
    """

    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


class Strata:
    """Resampled runs of each scenario; policies that are compared get the same draws of windows.

    Args:
        seed: of the draws.
        draws: how many.
    """

    def __init__(self, seed: int = 0, draws: int = DRAWS) -> None:
        self._seed, self._draws = seed, draws

    def windows(self, scenario: str, count: int) -> NDArray[np.int64]:
        """[draws, count] int64, numbers of windows: a function of the scenario alone."""
        return self._generator(scenario, "windows").integers(count, size=(self._draws, count))

    def seeds(self, scenario: str, policy: str, count: int) -> NDArray[np.int64]:
        """[draws, count] int64, positions of seeds of a policy."""
        return self._generator(scenario, policy).integers(count, size=(self._draws, count))

    def runs(self, scores: Scores, policy: str) -> NDArray[np.float64]:
        """[draws, R] float64: the scores of R drawn runs, of all scenarios."""
        return np.concatenate([self._drawn(name, values, policy) for name, values in scores.items()], axis=1)

    def _drawn(self, scenario: str, values: NDArray[np.float64], policy: str) -> NDArray[np.float64]:
        windows = self.windows(scenario, values.shape[1])
        seeds = self.seeds(scenario, policy, values.shape[0])
        return values[seeds[:, :, None], windows[:, None, :]].reshape(self._draws, -1)

    def _generator(self, *words: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, *(zlib.crc32(word.encode()) for word in words)])


def interquartile_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of the middle half of the last axis: a quarter is cut at each end, rounded down to whole values."""
    cut = int(TRIM * values.shape[-1])
    middle = np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut]
    return np.asarray(middle.mean(axis=-1), np.float64)


def iqm(scores: Scores, policy: str, strata: Strata) -> Estimate:
    """The interquartile mean of all runs, with its interval.

    Args:
        scores: of one policy, at least one scenario.
        policy: its name.
        strata: the draws.
    """
    mean = float(interquartile_mean(_flat(scores)))
    return _estimate(mean, interquartile_mean(strata.runs(scores, policy)), scores)


def profile(scores: Scores, policy: str, thresholds: Sequence[float], strata: Strata) -> Profile:
    """The share of runs at or below each threshold, with intervals.

    Args:
        scores: of one policy, at least one scenario.
        policy: its name.
        thresholds: T of them.
        strata: the draws.
    """
    flat, drawn = _flat(scores), strata.runs(scores, policy)
    shares = np.array([(flat <= threshold).mean() for threshold in thresholds])
    below = np.stack([(drawn <= threshold).mean(axis=1) for threshold in thresholds])
    low, high = np.quantile(below, _tails(), axis=1)
    return Profile(shares, low, high)


def probability_of_improvement(ours: Scores, theirs: Scores, names: tuple[str, str], strata: Strata) -> Estimate:
    """How likely one policy is better than another on a window, averaged over windows, then over scenarios.

    On each window every seed of the one meets every seed of the other; equal scores count as half.

    Args:
        ours: scores of the one, lower is better.
        theirs: of the other, for the same scenarios and windows.
        names: of both.
        strata: the draws.
    """
    means, draws = [], []
    for scenario, mine in ours.items():
        other = theirs[scenario]
        wins = (mine[:, None, :] < other[None, :, :]) + 0.5 * (mine[:, None, :] == other[None, :, :])
        means.append(wins.mean())
        windows = strata.windows(scenario, mine.shape[1])
        rows, columns = (
            strata.seeds(scenario, name, len(found)) for name, found in zip(names, (mine, other), strict=True)
        )
        drawn = wins[rows[:, :, None, None], columns[:, None, :, None], windows[:, None, None, :]]
        draws.append(drawn.mean(axis=(1, 2, 3)))
    return _estimate(float(np.mean(means)), np.mean(draws, axis=0), ours)


def _flat(scores: Scores) -> NDArray[np.float64]:
    return np.concatenate([values.ravel() for values in scores.values()])


def _tails() -> list[float]:
    return [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0]


def _estimate(mean: float, draws: NDArray[np.float64], scores: Scores) -> Estimate:
    """With the interval, where there are windows enough for one."""
    if sum(values.shape[1] for values in scores.values()) < FEWEST or not np.isfinite(draws).all():
        return Estimate(mean, None, None)
    low, high = np.quantile(draws, _tails()).tolist()
    return Estimate(mean, low, high)
