"""Predictions of run times and of arrivals from what has been seen before, as a live cluster could make them."""

from traces.prediction.arrivals import ArrivalModel, fit_arrivals
from traces.prediction.measure import ArrivalErrors, RunTimeErrors, arrival_errors, run_time_errors
from traces.prediction.predictors import PREDICTORS, JobTraits, RunTimePredictor
from traces.prediction.run_times import Predicting, predict_run_times

__all__ = [
    "PREDICTORS",
    "ArrivalErrors",
    "ArrivalModel",
    "JobTraits",
    "Predicting",
    "RunTimeErrors",
    "RunTimePredictor",
    "arrival_errors",
    "fit_arrivals",
    "predict_run_times",
    "run_time_errors",
]
