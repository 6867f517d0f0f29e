"""What rules that act by the price of energy and carbon have in common: prices now, later, and of a whole run."""

from __future__ import annotations

import numpy as np

from agents.baselines.view import Bools, Floats, View

HOURS_PER_DAY = 24.0
AHEAD = ("price_in_1h", "price_in_3h", "price_in_6h", "price_in_12h", "price_in_24h")


def ratio(share: Floats) -> Floats:
    """The ratio to a base behind a share that is one half where both are equal; large where the base is nothing."""
    return np.asarray(share / np.maximum(1.0 - share, 1e-9), np.float64)


def may_wait(view: View) -> Bools:
    """[B, W] bool, slots whose job may be deferred, and still may."""
    return view.may_hold & (view.slot("slack") > 0.0)


def expected_price_ratio(view: View) -> Floats:
    """[B, P] float64, the mean price that is expected over the next day, over the price now."""
    return np.asarray(np.mean([ratio(view.pool(name)) for name in AHEAD], axis=0), np.float64)


def best_start_ratio(view: View) -> Floats:
    """[B, W, P] float64, the price of the best run until the latest start, over that of a run here and now."""
    return np.where(view.pair("allowed") > 0.0, ratio(view.pair("best_start_price")), 0.0)
