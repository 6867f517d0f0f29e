"""Checks name the first bad cell in the words of the user's file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces import Trace, TraceValueError
from traces.validation import Origin, check, gpu_count, to_milli

bad_durations = st.one_of(st.floats(max_value=0), st.just(float("nan")), st.just(float("inf")))


@given(st.integers(0, 19), bad_durations)
def test_any_bad_duration_is_found_in_its_row(index: int, value: float) -> None:
    duration = np.ones(20)
    duration[index] = value
    origin = Origin("jobs.csv", {"duration_seconds": "runtime"}, np.arange(20) * 2 + 5)
    with pytest.raises(TraceValueError, match=rf"jobs.csv: row {index * 2 + 5}, column runtime: "):
        Trace.from_columns(
            {"submit_time_seconds": np.arange(20.0), "duration_seconds": duration, "gpu_milli": [1000] * 20},
            origin=origin,
        )


@given(st.lists(st.one_of(st.floats(0.001, 1), st.integers(1, 512)), min_size=1))
def test_gpus_become_thousandths(gpus: list[float]) -> None:
    milli = to_milli(np.array(gpus, np.float64))
    assert milli.dtype == np.int64
    assert np.all(np.abs(milli - np.array(gpus) * 1000) <= 0.5)
    assert np.all(milli >= 1)


@pytest.mark.parametrize("value", [0.0, -1.0, 1.5, float("nan"), float("inf"), 1e12])
def test_gpus_that_no_job_can_request_are_refused(value: float) -> None:
    with pytest.raises(TraceValueError, match="row 2, column num_gpus: "):
        check(gpu_count(np.array([1.0, value]), "gpu_milli"), Origin("x.csv", {"gpu_milli": "num_gpus"}))


def test_a_column_that_a_trace_does_not_have_proposes_the_nearest() -> None:
    columns = {"submit_time_seconds": [0.0], "duration_seconds": [1.0], "gpu_milli": [1000]}
    with pytest.raises(TraceValueError, match="a trace has no column 'prioritiy'; did you mean 'priority'"):
        Trace.from_columns({**columns, "prioritiy": [1]})
    with pytest.raises(TraceValueError, match="no column gpu_milli; every trace needs submit_time_seconds"):
        Trace.from_columns({name: values for name, values in columns.items() if name != "gpu_milli"})
