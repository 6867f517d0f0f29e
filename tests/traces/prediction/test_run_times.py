"""The option `predict` of a URI: causal, whatever is cut out of the trace afterwards."""

import numpy as np
import pytest

import traces
from traces import Trace, TraceURIError
from traces.prediction import PREDICTORS, predict_run_times, run_time_errors

ROWS = [
    # submit, run time, GPUs, user
    (0.0, 100.0, 1, "alice"),
    (10.0, 100.0, 1, "alice"),
    (20.0, 100.0, 1, "alice"),
    (50.0, 5000.0, 1, "bob"),
    (119.0, 90.0, 1, "alice"),
    (120.0, 90.0, 1, "alice"),
    (130.0, 10.0, 1, "bob"),
]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "jobs.csv"
    lines = ["submit_time_seconds,duration_seconds,gpus,user", *(",".join(map(str, row)) for row in ROWS)]
    file.write_text("\n".join(lines) + "\n")
    return f"csv:{file}?submit=submit_time_seconds&duration=duration_seconds&gpus=gpus&user=user"


def said(uri):
    return traces.load(uri).table.column("predicted_duration_seconds").to_pylist()


def test_a_job_is_predicted_from_those_that_ended_until_its_submission(path):
    # The third of alice's first jobs ends at 120, so nothing is known at 119.
    assert said(f"{path}&predict=history") == [None, None, None, None, None, 100.0, 100.0]


def test_what_ended_before_a_window_is_known_in_it(path):
    assert said(f"{path}&predict=history&start_seconds=120") == [100.0, 100.0]


def test_what_comes_later_changes_nothing(path):
    trace = traces.load(path)
    for make in PREDICTORS.values():
        whole = predict_run_times(trace, make())
        assert (predict_run_times(trace.head(6), make()) == whole[:6]).all()


def test_what_cannot_be_predicted_may_still_be_drawn(path):
    trace = traces.load(f"{path}&predict=history&estimated=1")
    found = trace.table.column("predicted_duration_seconds").to_pylist()
    assert found == [100.0, 100.0, 100.0, 5000.0, 90.0, 100.0, 100.0]
    assert "predicted_duration_seconds" in trace.metadata.synthetic_columns
    assert said(f"{path}&predict=none") == [None] * 7


def test_another_name_is_one_line(path):
    with pytest.raises(TraceURIError, match="predict takes none or history or rolling"):
        traces.load(f"{path}&predict=oracle")


def test_errors_are_those_worked_out_by_hand():
    run = np.array([100.0, 100.0, 100.0, 400.0, 100.0])
    trace = Trace.from_columns(
        {
            "submit_time_seconds": np.array([0.0, 0.0, 0.0, 1000.0, 1000.0]),
            "duration_seconds": run,
            "gpu_milli": np.full(5, 1000),
            "predicted_duration_seconds": np.array([200.0, 200.0, 50.0, 400.0, 400.0]),
        }
    )
    found = run_time_errors(trace)
    history, own = found["history"], found["the trace's own"]
    assert (history.covered, history.median_factor, history.within_two, history.under) == (0.4, 2.5, 0.5, 0.5)
    assert history.mean_error_hours == pytest.approx(150.0 / 3600.0)
    assert (own.covered, own.median_factor, own.under) == (1.0, 2.0, 0.2)
    assert found["one value"].within_two == 0.8


def test_users_help_on_philly_and_are_not_needed_elsewhere(data_dir):
    """On Philly nobody knows more than the virtual cluster; it is still better than one value for all."""
    trace = traces.load(f"philly:{data_dir}/traces/philly/philly_until_2017-11-01.csv.gz?limit=20000")
    found = run_time_errors(trace)
    assert found["history"].median_factor < 0.7 * found["one value"].median_factor
