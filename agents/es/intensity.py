"""The learned intensity of arrivals: how many GPUs to expect soon, by the memory of submissions; fitted, not searched.

Source: Hawkes, "Spectra of some self-exciting and mutually exciting point processes" (Biometrika 1971). The weights of
the fading sums are fitted by least squares that are not negative, as in `traces.prediction.arrivals`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec import INTENSITY_INPUTS, Signal
from envs.gpu_cluster.simulator.arrivals import signals_at
from envs.gpu_cluster.simulator.problem import Problem

HORIZON_MS = 600_000
"""GPUs that are submitted so soon are what is expected: a node boots in 5 to 10 minutes."""

STEP_MS = 300_000
"""Moments that are learned from are so far apart; and there is one at each submission, where policies decide too."""

COLUMNS = [int(Signal.FADING_GPUS_60S) + int(feature) for feature in INTENSITY_INPUTS]


def fit_intensity(grounds: Sequence[tuple[Problem, int, int]]) -> NDArray[np.float64]:
    """The weights of `INTENSITY`, [1 + I] float64, all >= 0.

    Args:
        grounds: trace and cluster, with the layout's `arrival_features`; begin and end of what may be learned from, ms.
    """
    from scipy.optimize import nnls  # a second to import, and few policies have an intensity

    parts = [_moments_of(*ground) for ground in grounds]
    inputs, came = (np.concatenate(each) for each in zip(*parts, strict=True))
    weights: NDArray[np.float64] = nnls(np.column_stack([np.ones(len(came)), inputs]), came)[0]
    return weights


def _moments_of(problem: Problem, begin: int, end: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The inputs at moments, [M, I] float64, and the GPUs that came until the horizon, [M] float64."""
    submit = problem.submit_ms
    last = max(end - HORIZON_MS, begin + 1)
    own = submit[(submit >= begin) & (submit < last)]
    moments = np.unique(np.concatenate([own, np.arange(begin, last, STEP_MS)]))
    before = np.concatenate([[0], np.cumsum(problem.gpu_milli)])
    now, then = (np.searchsorted(submit, moments + ahead, side="right") for ahead in (0, HORIZON_MS))
    came = (before[then] - before[now]) / 1000.0
    return signals_at(problem, moments)[:, COLUMNS], came
