"""From the chances of a request in each bin to the keep-alive and the pre-warm that cost least.

Requests do not depend on what is kept, so what keeping a container through a bin saves on average can be said for each
bin by itself. A plan is a sum of these: from now until a bin, and, once, from a later bin until a third.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.hazard.view import STARTS, WIDTHS, Floats, View
from envs.containers.history import BINS
from envs.serverless.codec import FIRST_BEGIN, FIRST_END, NEVER

INDEX = np.arange(BINS)


class Plans(NamedTuple):
    """B plans, in bins of the time that a function is idle.

    Attributes:
        keep_until: [B] int64, the container is dropped where this bin begins.
        warm_from: [B] int64, another one is ready where this bin begins; -1: none is.
        warm_until: [B] int64, and is dropped where this bin begins, unless it is decided anew before.
    """

    keep_until: NDArray[np.int64]
    warm_from: NDArray[np.int64]
    warm_until: NDArray[np.int64]

    def actions(self, sleep: int) -> NDArray[np.int64]:
        """[B, 4] actions of Serverless-v0 that begin the plans, with a choice of the nodes' idle time-out."""
        warm = np.where(self.warm_from < 0, NEVER, FIRST_BEGIN + self.warm_from)
        return np.stack([FIRST_END + self.keep_until, warm, np.full_like(warm, sleep), np.zeros_like(warm)], axis=1)


def plan(hazards: Floats, view: View) -> Plans:
    """The plans that cost least on average; see `envs.serverless.rules.look_ahead_windows`, which is this, compiled.

    Args:
        hazards: [B, BINS] chance of a request in each bin, if none came before.
        view: of the functions.
    """
    is_ahead = view.first[:, None] <= INDEX
    chance = np.where(is_ahead, hazards, 0.0)[:, :-1]
    reached = np.concatenate([np.ones((len(chance), 1)), np.cumprod(1.0 - chance, axis=1)], axis=1)
    saved = reached[:, :-1] * (chance * view.worth_ms[:, None] - (1.0 - 0.5 * chance) * WIDTHS)
    total = np.zeros_like(reached)  # that is saved from now until each bin
    np.cumsum(np.where(is_ahead[:, :-1], saved, 0.0), axis=1, out=total[:, 1:])
    again = _most_from(total) - total - reached * view.start_ms[:, None]
    again[~is_ahead | (view.demand > 0.0)[:, None]] = 0.0
    dropped = np.maximum(_most_from(again), 0.0)
    rows, keep_until = np.arange(len(total)), np.where(is_ahead, total + dropped, -np.inf).argmax(axis=1)
    warm_from = np.where(keep_until[:, None] <= INDEX, again, -np.inf).argmax(axis=1)
    warm_until = np.where(warm_from[:, None] <= INDEX, total, -np.inf).argmax(axis=1)
    is_warmed = dropped[rows, keep_until] > 0.0
    return Plans(keep_until, np.where(is_warmed, warm_from, -1), np.where(is_warmed, warm_until, -1))


def _most_from(values: Floats) -> Floats:
    """[B, BINS] the largest value of each bin and all later ones."""
    most: Floats = np.maximum.accumulate(values[:, ::-1], axis=1)[:, ::-1]
    return most


def costs_ms(plans: Plans, view: View, idle_ms: Floats, came: NDArray[np.bool_]) -> Floats:
    """[B] what plans cost in idle periods that are over, in ms of keeping a container.

    Args:
        plans: the plans.
        view: of the functions when they were made.
        idle_ms: [B] how long each function was idle from when it went idle.
        came: [B] whether a request ended that; else nobody knows when it would have.
    """
    keep_end = np.maximum(STARTS[plans.keep_until], view.age_ms)
    begin, end = STARTS[plans.warm_from], STARTS[plans.warm_until]
    is_started = (plans.warm_from >= 0) & (idle_ms > begin - view.start_ms)
    paid = np.minimum(idle_ms, keep_end) - view.age_ms
    paid += np.where(is_started, view.start_ms + np.clip(idle_ms - begin, 0.0, end - begin), 0.0)
    is_warm = (idle_ms < keep_end) | (is_started & (idle_ms >= begin) & (idle_ms < end))
    costs: Floats = paid + np.where(came & ~is_warm, view.worth_ms, 0.0)
    return costs
