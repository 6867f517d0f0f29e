"""How wrong predictions are, beside what costs nothing to predict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traces.prediction.arrivals import counts, fit_arrivals, moments_between
from traces.prediction.predictors import PREDICTORS
from traces.prediction.run_times import predict_run_times
from traces.trace import Trace

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class RunTimeErrors:
    """How wrong predicted run times are, over the jobs that have one.

    Attributes:
        covered: share of the jobs that have one.
        median_factor: median of the larger of predicted over actual and actual over predicted; 1 is exact.
        within_two: share of the predictions within a factor of two.
        under: share of the predictions that are too short.
        mean_error_hours: mean absolute error, hours.
    """

    covered: float
    median_factor: float
    within_two: float
    under: float
    mean_error_hours: float


def run_time_errors(trace: Trace) -> dict[str, RunTimeErrors]:
    """The errors of each of `PREDICTORS`, of the trace's own estimates where it has some, and of one constant.

    The constant (`one value`) is the median run time of the whole trace: it sees the future and no job.
    """
    actual = trace.duration_seconds
    said = trace.predicted_duration_milliseconds / 1000.0
    found = {"one value": _run_time_errors(actual, np.full(len(actual), np.median(actual)))}
    if (said > 0.0).any():
        found["the trace's own"] = _run_time_errors(actual, said)
    for name, make in PREDICTORS.items():
        found[name] = _run_time_errors(actual, predict_run_times(trace, make()))
    return found


def _run_time_errors(actual: NDArray[np.float64], predicted: NDArray[np.float64]) -> RunTimeErrors:
    known = predicted > 0.0
    if not known.any():
        return RunTimeErrors(0.0, np.nan, np.nan, np.nan, np.nan)
    ratio, error = predicted[known] / actual[known], np.abs(predicted[known] - actual[known])
    factor = np.maximum(ratio, 1.0 / ratio)
    return RunTimeErrors(
        covered=float(known.mean()),
        median_factor=float(np.median(factor)),
        within_two=float((factor <= 2.0).mean()),
        under=float((ratio < 1.0).mean()),
        mean_error_hours=float(error.mean()) / 3600.0,
    )


@dataclass(frozen=True, slots=True)
class ArrivalErrors:
    """How wrong predicted numbers of jobs are.

    Attributes:
        mean_error: mean absolute error, jobs.
        rms_error: root of the mean squared error, jobs.
        explained: share of the variance of the counts that is predicted; 0: as the mean of the test part, below: worse.
    """

    mean_error: float
    rms_error: float
    explained: float


def arrival_errors(trace: Trace, split: float = 0.6, horizon_seconds: float = 3600.0) -> dict[str, ArrivalErrors]:
    """The errors of the self-exciting model and of three plain rules on the last part of a trace.

    Args:
        trace: the jobs.
        split: share of its time that the model is fitted to.
        horizon_seconds: jobs until then are predicted, seconds.

    Raises:
        TraceValueError: too few jobs, or too short a time, to learn from.
    """
    submits = trace.submit_time_seconds
    cut = trace.first_submit_seconds + split * trace.span_seconds
    model = fit_arrivals(trace, cut, horizon_seconds)
    moments = moments_between(cut - DAY_SECONDS, trace.last_submit_seconds - horizon_seconds)
    actual = counts(submits, moments, horizon_seconds)
    mean = len(submits[submits < cut]) * horizon_seconds / (cut - trace.first_submit_seconds)
    guesses = {
        "mean of the first part": np.full(len(moments), mean),
        "as many as just now": counts(submits, moments, -horizon_seconds),
        "as many as yesterday": counts(submits, moments - DAY_SECONDS, horizon_seconds),
        "self-exciting": model.predict(submits, moments),
    }
    return {name: _arrival_errors(actual, guess) for name, guess in guesses.items()}


def _arrival_errors(actual: NDArray[np.float64], guess: NDArray[np.float64]) -> ArrivalErrors:
    error = guess - actual
    variance = float(np.var(actual))
    squared = float(np.mean(error**2))
    return ArrivalErrors(
        mean_error=float(np.mean(np.abs(error))),
        rms_error=squared**0.5,
        explained=1.0 - squared / variance if variance > 0.0 else 0.0,
    )
