"""What an observation of Serverless-v0 says of an idle function, as numbers again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.containers.history import BINS, bin_start
from envs.serverless.codec import FIRST_GAPS, GAPS_SCALE, MINUTE, SUMMARY
from envs.serverless.network import ROUNDING_MS

Floats = NDArray[np.float64]

STARTS = np.array([bin_start(index) for index in range(BINS)], np.float64)
"""[BINS] ms, where bins begin."""
WIDTHS = np.diff(STARTS)
"""[BINS - 1] ms, of all but the last bin, which has no end."""
COLUMN = {feature.name: index for index, feature in enumerate(SUMMARY)}
QUANTILES = [COLUMN[f"gap_p{percent}"] for percent in (10, 25, 50, 75, 90)]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """B idle functions.

    Attributes:
        counts: [B, BINS] gaps by bin, at the demand that the container is for.
        first: [B] int64, the bin that each is in.
        age_ms: [B] how long each is idle already.
        worth_ms: [B] how long a container can be kept for what a cold start costs.
        is_spare: [B] bool, whether it was started for a request that another one served: that one, idle too, is first
            for the next request.
        start_ms: [B] how long a start takes.
        demand: [B] requests that run or wait.
        arrivals, recent: [B] requests so far, and in the last minutes.
        last_gaps: [B, 2] ms, the last one and the one before; NaN where it is not known, or of another demand.
        quantiles: [B, 5] ms, of the gaps; NaN where none is known.
    """

    counts: Floats
    first: NDArray[np.int64]
    age_ms: Floats
    worth_ms: Floats
    is_spare: NDArray[np.bool_]
    start_ms: Floats
    demand: Floats
    arrivals: Floats
    recent: Floats
    last_gaps: Floats
    quantiles: Floats


def view_of(observations: NDArray[Any]) -> View:
    """The view of observations, [B, features] float32; see `envs.serverless.codec.FEATURES`."""
    seen = np.asarray(observations, np.float64)
    counts = np.rint(_unscaled(seen[:, FIRST_GAPS:], GAPS_SCALE))
    age = _unscaled(seen[:, COLUMN["idle_age"]], 10.0 * MINUTE)
    demand = np.rint(_unscaled(seen[:, COLUMN["running"]], 2.0))
    last = _unscaled(seen[:, [COLUMN["last_gap"], COLUMN["gap_before"]]], 10.0 * MINUTE)
    known = (demand == 0.0)[:, None] & (counts.sum(axis=1)[:, None] >= np.array([1.0, 2.0]))
    quantiles = seen[:, QUANTILES]
    others = np.rint(_unscaled(seen[:, COLUMN["containers"]], 4.0)) - demand - 1.0
    is_spare = (age > 0.0) & (others > 0.0)  # a container that goes idle after a request has the age 0
    return View(
        counts=counts,
        first=np.searchsorted(STARTS, age + ROUNDING_MS, side="right") - 1,
        age_ms=age,
        worth_ms=_unscaled(seen[:, COLUMN["cold_minutes"]], 20.0) * MINUTE,
        is_spare=is_spare,
        start_ms=_unscaled(seen[:, COLUMN["cold_start"]], 30_000.0),
        demand=demand,
        arrivals=_unscaled(seen[:, COLUMN["arrivals"]], 20.0),
        recent=_unscaled(seen[:, COLUMN["recent_requests"]], 5.0),
        last_gaps=np.where(known, last, np.nan),
        quantiles=np.where(quantiles < 1.0, _unscaled(quantiles, 10.0 * MINUTE), np.nan),
    )


def _unscaled(values: Floats, scale: float) -> Floats:
    """The inverse of `envs.serverless.codec.scaled`; finite for what is infinite there."""
    below: Floats = np.minimum(values, 1.0 - 2.0**-24)
    return scale * below / (1.0 - below)


def own_hazards(view: View, prior: Floats) -> Floats:
    """[B, BINS] share of the gaps of a bin and all later ones that end in it, the prior's gaps included.

    Args:
        view: of functions.
        prior: [BINS] gaps of the prior by bin.
    """
    mass = view.counts + prior
    tail = np.cumsum(mass[:, ::-1], axis=1)[:, ::-1]
    shares: Floats = mass / tail
    return shares
