"""Statistics of a trace."""

from datetime import datetime

import pytest

from traces import Trace, TraceMetadata
from traces.summary import summarize


def test_numbers_of_a_small_trace() -> None:
    trace = Trace.from_columns(
        {
            "submit_time_seconds": [0, 1800, 3600],
            "duration_seconds": [3600, 7200, 3600],
            "gpu_milli": [500, 8000, 250],
            "user": ["a", "b", "a"],
        },
        metadata=TraceMetadata("here", "MIT", datetime.fromisoformat("2024-01-01T23:00"), {"it requests no GPU": 2}),
    )
    summary = summarize(trace)
    assert (summary.jobs, summary.span_seconds, summary.jobs_per_day) == (3, 3600, 72)
    assert summary.gpu_hours == pytest.approx(0.5 + 16 + 0.25)
    assert summary.peak_gpus == 8.5
    assert [(item.gpus, item.jobs) for item in summary.gpu_mix] == [("<1", 2), ("8", 1)]
    assert sum(item.gpu_hours for item in summary.gpu_mix) == pytest.approx(summary.gpu_hours)
    assert summary.duration_seconds["p50"] == 3600
    assert summary.jobs_by_hour[23] == 2
    assert summary.jobs_by_hour[0] == 1
    assert (summary.users, summary.groups) == (2, None)
    assert summary.jobs_with["user"] == 3
    assert summary.jobs_with["priority"] == summary.jobs_with["group"] == 0
    assert summary.synthetic_columns == ()
    assert summary.dropped == {"it requests no GPU": 2}


def test_one_job_has_no_rate() -> None:
    trace = Trace.from_columns({"submit_time_seconds": [5], "duration_seconds": [1], "gpu_milli": [1000]})
    assert summarize(trace).jobs_per_day is None
