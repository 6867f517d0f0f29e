"""What rules that choose pools by the class of a job have in common."""

from __future__ import annotations

import numpy as np

from agents.baselines.rule import Facts
from agents.baselines.view import Bools, Floats, Ints, View

SPEEDS = "class_speeds"
"""Fact: [C, pools of the cluster], the speed of each class of jobs in each pool."""


def class_of(view: View, facts: Facts) -> Ints:
    """[B, W] int64, the class whose speeds in the allowed pools are nearest to those of each slot's job."""
    speeds = facts.array(SPEEDS)  # [C, P']
    seen = view.pair("speed")[:, :, None, : speeds.shape[1]]  # [B, W, 1, P']
    allowed = view.pair("allowed")[:, :, None, : speeds.shape[1]]
    return np.asarray((np.abs(seen - speeds) * allowed).sum(axis=3).argmin(axis=2), np.int64)


def fits_or_allowed(view: View) -> Bools:
    """[B, W, P] bool, pools where a job starts at once; where it starts in none, all that may run it."""
    fits, allowed = view.pair("fits_now") > 0.0, view.pair("allowed") > 0.0
    return np.where(fits.any(axis=2, keepdims=True), fits, allowed)


def predicted_hours(view: View, unknown_hours: float) -> Floats:
    """[B, W] float64, the run time that is expected of each slot's job, or a typical one where none is."""
    known = view.slot("is_predicted") > 0.0
    return np.where(known, view.slot("predicted") / 3600.0, unknown_hours)
