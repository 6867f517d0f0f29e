"""What a network reads of a function and a bin of the time that it is idle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.hazard.view import Floats, View
from envs.containers.history import BINS
from envs.serverless.network import AGES, MOST_LOGIT, SOFTNESS, UNKNOWN_DISTANCE, WIDE

GAPS = ("last_gap", "gap_before", "p10", "p25", "p50", "p75", "p90")
NAMES = (
    *("age", "width", "gaps_left", "own", "own_before", "own_after", "count", "count_before", "count_after"),
    *(f"{name}_distance" for name in GAPS),
    *(f"{name}_match" for name in GAPS),
    *("last_gap", "median_gap", "gaps", "arrivals", "recent"),
)
"""Of the bin: its time and width, gaps as long or longer with those of the prior, the function's own hazard in it and
beside it, gaps in it and beside it; how far it is from the function's last gaps and quantiles; of the function."""


def logit(chances: Floats) -> Floats:
    """Log odds of chances, within `MOST_LOGIT`."""
    with np.errstate(divide="ignore"):
        odds: Floats = np.clip(np.log(chances) - np.log1p(-chances), -MOST_LOGIT, MOST_LOGIT)
    return odds


def inputs_of(view: View, own: Floats, prior: Floats) -> NDArray[np.float32]:
    """[B, BINS, inputs] float32, by `NAMES`.

    Args:
        view: of functions.
        own: [B, BINS] log odds of the functions' own hazards.
        prior: [BINS] gaps of the prior by bin, which these count.
    """
    found = np.empty((len(own), BINS, len(NAMES)), np.float32)
    found[:, :, 0], found[:, :, 1] = AGES, WIDE
    found[:, :, 2] = np.log(np.cumsum((view.counts + prior)[:, ::-1], axis=1)[:, ::-1])
    for first, values in ((3, own), (6, view.counts)):
        found[:, :, first] = values
        found[:, 1:, first + 1], found[:, 0, first + 1] = values[:, :-1], values[:, 0]
        found[:, :-1, first + 2], found[:, -1, first + 2] = values[:, 1:], values[:, -1]
    gaps = np.log1p(np.concatenate([view.last_gaps, view.quantiles], axis=1) / 1000.0)
    is_known = ~np.isnan(gaps)[:, None, :]
    distance = np.where(is_known, gaps[:, None, :] - AGES[:, None], UNKNOWN_DISTANCE)
    found[:, :, 9:16] = distance
    found[:, :, 16:23] = np.exp(-SOFTNESS * np.abs(distance))
    gaps = np.nan_to_num(gaps)
    of_function = (gaps[:, 0], gaps[:, 4], *np.log1p([view.counts.sum(axis=1), view.arrivals, view.recent]))
    found[:, :, 23:] = np.stack(of_function, axis=1)[:, None, :]
    return found
