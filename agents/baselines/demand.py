"""The usual demand by hour, learned from the training window, and the nodes that it asks for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agents.baselines.view import Floats, Ints, View

HOURS = 24
PROFILE_HOURS = 2 * HOURS
"""A day of the week and one of the weekend: the observation does not tell Monday from Tuesday."""

SAMPLE_SECONDS = 300.0
DIGITS = 4


def hour_profile(demand: Floats, hours: NDArray[np.int64], summary: Callable[[Floats], Floats]) -> Floats:
    """A summary of the demand in each hour of the profile; an hour without a sample has that of all samples.

    Args:
        demand: [T, P] float64, GPUs.
        hours: [T] int64, the hour of the profile of each sample.
        summary: from [samples, P] to [P].

    Returns:
        [P, PROFILE_HOURS] float64, rounded, so that it is the same after JSON.
    """
    profile = np.empty((demand.shape[1], PROFILE_HOURS))
    for hour in range(PROFILE_HOURS):
        samples = demand[hours == hour]
        profile[:, hour] = summary(samples if len(samples) else demand)
    return np.round(profile, DIGITS)


def profile_hour(view: View, ahead_seconds: float | Floats) -> Ints:
    """[B] int64, the hour of the profile that comes in so many seconds; the kind of day is that of now."""
    hours = ((view.day_hours + ahead_seconds / 3600.0) % HOURS).astype(np.int64)
    return np.asarray(np.minimum(hours, HOURS - 1) + HOURS * (view.cluster("weekend") > 0.5), np.int64)


def nodes_for(view: View, gpus: Floats) -> Floats:
    """[B, P] float64, nodes that hold so many GPUs if they are full."""
    return np.asarray(np.ceil(gpus / np.maximum(view.gpus_per_node, 1.0) - 1e-6), np.float64)
