"""The self-exciting model of arrivals: what it learns, and that it does not see the future."""

import numpy as np
import pytest

import traces
from traces import Trace, TraceValueError
from traces.prediction import arrival_errors, fit_arrivals
from traces.prediction.arrivals import SCALES_SECONDS, counts, decayed, hour_of_week

DAY = 86_400.0


def trace_of(submits):
    submits = np.sort(np.asarray(submits, dtype=np.float64))
    jobs = len(submits)
    columns = {"submit_time_seconds": submits, "duration_seconds": np.ones(jobs), "gpu_milli": np.full(jobs, 1000)}
    return Trace.from_columns(columns)


def test_decayed_sums_are_those_of_each_job():
    submits, moments = np.array([0.0, 50.0, 50.0, 4000.0]), np.array([50.0, 3000.0, 5000.0])
    by_hand = [
        [sum(np.exp(-(moment - at) / scale) for at in submits if at <= moment) for scale in SCALES_SECONDS]
        for moment in moments
    ]
    assert decayed(submits, moments) == pytest.approx(np.array(by_hand))


def test_counts_leave_out_the_moment_itself_and_take_in_the_end():
    submits = np.array([0.0, 10.0, 20.0])
    assert counts(submits, np.array([0.0, 10.0]), 10.0).tolist() == [1.0, 1.0]
    assert counts(submits, np.array([20.0]), -10.0).tolist() == [1.0]


def test_hours_of_the_week_begin_on_monday():
    assert hour_of_week(np.array([0.0, 3599.0, 3600.0, 7 * DAY]), 0.0).tolist() == [0, 0, 1, 0]
    assert hour_of_week(np.array([0.0]), 6 * DAY).tolist() == [144]


def test_bursts_are_learned():
    rng = np.random.default_rng(0)
    starts = rng.uniform(0.0, 60 * DAY, 200)
    bursts = np.concatenate([start + rng.exponential(1800.0, 40) for start in starts])
    found = arrival_errors(trace_of(bursts))
    assert found["self-exciting"].rms_error < 0.92 * found["mean of the first part"].rms_error
    assert found["self-exciting"].rms_error < 0.92 * found["as many as just now"].rms_error
    assert found["self-exciting"].explained > 0.15


def test_of_jobs_without_bursts_nothing_is_made_up():
    found = arrival_errors(trace_of(np.random.default_rng(1).uniform(0.0, 60 * DAY, 8000)))
    assert abs(found["self-exciting"].explained) < 0.02


def test_what_comes_later_changes_no_prediction():
    trace = traces.load("synthetic:quickstart?days=20&seed=3")
    model = fit_arrivals(trace, 10 * DAY)
    moments = np.arange(10 * DAY, 12 * DAY, 600.0)
    submits = trace.submit_time_seconds
    cut = submits[submits <= 12 * DAY]
    assert (model.predict(submits, moments) == model.predict(cut, moments)).all()
    same = fit_arrivals(trace.window(None, 10 * DAY), 10 * DAY)
    assert same.weights.tolist() == model.weights.tolist()


@pytest.mark.parametrize(("jobs", "days"), [(50, 30), (500, 1)])
def test_too_little_to_learn_from_is_one_line(jobs, days):
    with pytest.raises(TraceValueError, match="too few to learn arrivals from") as caught:
        arrival_errors(trace_of(np.linspace(0.0, days * DAY, jobs)))
    assert "\n" not in str(caught.value)
