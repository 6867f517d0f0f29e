"""How many jobs will come: a self-exciting intensity, fitted to one part of a trace and told of each job since.

Jobs come in bursts: each one makes others more likely for a while. The expected number of jobs until a horizon is

    base + rhythm * (mean of this hour of the week)
         + sum over scales of weight * (sum over past jobs of exp(-age / scale))

with weights >= 0. What it knows at a moment is what was submitted before it.

Source: Hawkes, "Spectra of some self-exciting and mutually exciting point processes" (Biometrika 1971); the sum of
exponentials stands for the slow decay that job submissions have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from traces.errors import TraceValueError
from traces.trace import Trace

SCALES_SECONDS: Final = (600.0, 3600.0, 21_600.0, 86_400.0)
"""How long a job makes others more likely, seconds: minutes, hours, a shift, a day."""

STEP_SECONDS: Final = 600.0
"""Moments at which the model is fitted and measured lie so far apart, seconds."""

DAY_SECONDS: Final = 86_400.0
WEEK_HOURS: Final = 168
MIN_JOBS: Final = 100


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalModel:
    """Predicts the number of jobs until a horizon.

    Attributes:
        horizon_seconds: how far it looks, seconds.
        base: jobs that come whatever was submitted.
        rhythm: weight of the mean of the hour of the week.
        weights: of the decayed sums of jobs, [scales], in the order of `SCALES_SECONDS`.
        week: mean number of jobs until the horizon by hour of the week, [168], Monday 00:00 first.
        week_offset_seconds: seconds from Monday 00:00 to second 0 of the trace.
    """

    horizon_seconds: float
    base: float
    rhythm: float
    weights: NDArray[np.float64]
    week: NDArray[np.float64]
    week_offset_seconds: float

    def predict(self, submits: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """The expected number of jobs in (moment, moment + horizon], [moments] float64.

        Args:
            submits: submit times, [jobs] float64, seconds, ascending; those after a moment do not count for it.
            moments: [moments] float64, seconds, ascending.
        """
        hours = hour_of_week(moments, self.week_offset_seconds)
        return self.base + self.rhythm * self.week[hours] + decayed(submits, moments) @ self.weights


def fit_arrivals(trace: Trace, end_seconds: float, horizon_seconds: float = 3600.0) -> ArrivalModel:
    """A model fitted to the jobs that were submitted before `end_seconds`.

    Args:
        trace: the jobs; later ones are not looked at.
        end_seconds: end of what it may learn from, seconds.
        horizon_seconds: how far it is to look, seconds, > 0.

    Raises:
        TraceValueError: too few jobs, or too short a time, to learn from.
    """
    submits = trace.submit_time_seconds
    known = submits[: np.searchsorted(submits, end_seconds)]
    from scipy.optimize import nnls  # a second to import, and few commands fit arrivals

    moments = moments_between(trace.first_submit_seconds, end_seconds - horizon_seconds)
    if len(known) < MIN_JOBS or len(moments) < WEEK_HOURS:
        raise TraceValueError(
            f"{len(known)} jobs in {max(end_seconds - trace.first_submit_seconds, 0.0) / 86_400:.1f} days are too few "
            f"to learn arrivals from; at least {MIN_JOBS} jobs in two days are needed"
        )
    came = counts(known, moments, horizon_seconds)
    hours = hour_of_week(moments, trace.week_offset_seconds)
    week = _week(came, hours)
    # Each moment sees the mean of the other weeks, as a later one will; with its own the rhythm would explain it all.
    others = _other_weeks(came, hours, (moments + trace.week_offset_seconds) // (WEEK_HOURS * 3600.0))
    columns = np.column_stack([np.ones(len(moments)), others, decayed(known, moments)])
    # Counts vary as their mean does: each moment counts by the inverse of the mean of its hour.
    scale = 1.0 / np.sqrt(np.maximum(others, came.mean() / 10 + 1e-9))
    weights, _ = nnls(columns * scale[:, None], came * scale)
    return ArrivalModel(
        horizon_seconds, float(weights[0]), float(weights[1]), weights[2:], week, trace.week_offset_seconds
    )


def moments_between(start_seconds: float, end_seconds: float) -> NDArray[np.float64]:
    """Moments at which arrivals are predicted, [moments] float64, seconds, `STEP_SECONDS` apart.

    The first is a day after the start, so that the longest scale has seen something.
    """
    return np.arange(start_seconds + DAY_SECONDS, end_seconds, STEP_SECONDS)


def counts(submits: NDArray[np.float64], moments: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Jobs submitted in (moment, moment + seconds], [moments] float64; before it where `seconds` is negative."""
    ends = np.searchsorted(submits, moments + seconds, side="right")
    jobs: NDArray[np.int64] = np.abs(ends - np.searchsorted(submits, moments, side="right"))
    return jobs.astype(np.float64)


def hour_of_week(moments: NDArray[np.float64], week_offset_seconds: float) -> NDArray[np.int64]:
    """The hour of the week of each moment, [moments] int64, from Monday 00:00."""
    hours: NDArray[np.int64] = ((moments + week_offset_seconds) // 3600.0).astype(np.int64) % WEEK_HOURS
    return hours


def decayed(submits: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of exp(-age / scale) over the jobs submitted until each moment, [moments, scales] float64."""
    sums = np.zeros((len(moments), len(SCALES_SECONDS)))
    seen = np.searchsorted(submits, moments, side="right")
    scales = np.array(SCALES_SECONDS)
    state, last, first = np.zeros(len(scales)), 0.0, 0
    for row, (moment, until) in enumerate(zip(moments.tolist(), seen.tolist(), strict=True)):
        state = state * np.exp(-(moment - last) / scales)
        ages = moment - submits[first:until]
        state = state + np.exp(-ages[:, None] / scales).sum(axis=0)
        sums[row], last, first = state, moment, until
    return sums


def _week(came: NDArray[np.float64], hours: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean counts by hour of the week, [168]; where none was seen, the mean of that hour of other days."""
    total, seen = np.bincount(hours, came, WEEK_HOURS), np.bincount(hours, minlength=WEEK_HOURS)
    day_total, day_seen = total.reshape(7, 24).sum(axis=0), seen.reshape(7, 24).sum(axis=0)
    day = np.where(day_seen > 0, day_total / np.maximum(day_seen, 1), came.mean())
    return np.where(seen > 0, total / np.maximum(seen, 1), np.tile(day, 7))


def _other_weeks(
    came: NDArray[np.float64], hours: NDArray[np.int64], weeks: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean count of the same hour in the weeks that a moment is not in, [moments]; without any, the mean of all."""
    _, number = np.unique(weeks, return_inverse=True)
    cell = number * WEEK_HOURS + hours
    own, own_seen = np.bincount(cell, came), np.bincount(cell)
    total, seen = np.bincount(hours, came, WEEK_HOURS), np.bincount(hours, minlength=WEEK_HOURS)
    others = seen[hours] - own_seen[cell]
    mean: NDArray[np.float64] = np.where(others > 0, (total[hours] - own[cell]) / np.maximum(others, 1), came.mean())
    return mean
