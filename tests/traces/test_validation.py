"""Checks name the first bad cell in the words of the user's file."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces import Trace, TraceValueError
from traces.validation import Origin, gpus_to_milli

bad_durations = st.one_of(st.floats(max_value=0), st.just(float("nan")), st.just(float("inf")))


@given(st.integers(0, 19), bad_durations)
def test_any_bad_duration_is_found_in_its_row(index: int, value: float) -> None:
    duration = np.ones(20)
    duration[index] = value
    origin = Origin("jobs.csv", {"duration_seconds": "runtime"}, np.arange(20) * 2 + 5)
    with pytest.raises(TraceValueError, match=rf"jobs.csv: row {index * 2 + 5}, column runtime: "):
        Trace.from_columns(
            submit_time_seconds=np.arange(20.0), duration_seconds=duration, gpu_milli=[1000] * 20, origin=origin
        )


@given(st.lists(st.one_of(st.floats(0.001, 1), st.integers(1, 512)), min_size=1))
def test_gpus_become_thousandths(gpus: list[float]) -> None:
    milli = gpus_to_milli(pa.chunked_array([pa.array(gpus, pa.float64())]), "gpu_milli", Origin())
    assert milli.dtype == np.int64
    assert np.all(np.abs(milli - np.array(gpus) * 1000) <= 0.5)
    assert np.all(milli >= 1)


@pytest.mark.parametrize("value", [0.0, -1.0, 1.5, float("nan"), float("inf"), 1e12])
def test_gpus_that_no_job_can_ask_are_refused(value: float) -> None:
    with pytest.raises(TraceValueError, match="row 2, column num_gpus: "):
        gpus_to_milli(pa.chunked_array([[1.0, value]]), "gpu_milli", Origin("x.csv", {"gpu_milli": "num_gpus"}))
