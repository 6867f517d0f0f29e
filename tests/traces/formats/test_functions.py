"""Formats of invocations of functions, on small hand-made files and on the samples where they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import traces
from traces.errors import TraceFileError, TraceURIError, TraceValueError
from traces.invocations import Invocations

DATA = Path(os.environ.get("AUTOSCALER_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "functions"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent")
COUNTS = "HashOwner,HashApp,HashFunction,Trigger,61,62,63\no,a1,f1,http,2,0,1\no,a2,f2,timer,0,3,0\n"
LEVELS = ",".join(f"percentile_Average_{level}" for level in (0, 1, 25, 50, 75, 99, 100))
DURATIONS = f"HashOwner,HashApp,HashFunction,{LEVELS}\no,a1,f1,10,10,10,10,10,10,10\no,a2,f2,1,2,3,4,5,6,7\n"
MEMORY = "HashOwner,HashApp,AverageAllocatedMb\no,a1,120\n"
OPTIONS = "?seed=3"


@pytest.fixture
def azure(tmp_path):
    (tmp_path / "invocations_per_function_md.anon.d01.csv").write_text(COUNTS)
    (tmp_path / "function_durations_percentiles.anon.d01.csv").write_text(DURATIONS)
    (tmp_path / "app_memory_percentiles.anon.d01.csv").write_text(MEMORY)
    return tmp_path


def test_azure_2019_keeps_the_counts_of_every_minute(azure):
    found = traces.load_invocations(f"azure-functions-2019:{azure}{OPTIONS}")
    minutes = [(int(f), int(t) // 60_000) for f, t in zip(found.function, found.time_ms, strict=True)]
    assert sorted(minutes) == [(0, 0), (0, 0), (0, 2), (1, 1), (1, 1), (1, 1)]
    assert found.span_ms == 3 * 60_000
    assert found.day_offset_ms == 60 * 60_000
    assert (found.duration_ms[found.function == 0] == 10).all()
    assert ((found.duration_ms[found.function == 1] >= 1) & (found.duration_ms[found.function == 1] <= 7)).all()
    assert found.memory_mib.tolist() == [120.0, 170.0]


def test_azure_2019_can_put_a_minute_together_or_spread_it_evenly(azure):
    together = traces.load_invocations(f"azure-functions-2019:{azure}?spread=together")
    assert len(set(together.time_ms[together.function == 1].tolist())) == 1
    even = traces.load_invocations(f"azure-functions-2019:{azure}?spread=even")
    assert np.ptp(np.diff(even.time_ms[even.function == 1])) <= 1


def test_azure_2019_leaves_out_functions_without_durations_and_counts_them(azure):
    (azure / "function_durations_percentiles.anon.d01.csv").write_text(DURATIONS.replace("f2", "f3"))
    found = traces.load_invocations(f"azure-functions-2019:{azure}")
    assert found.function_id == ("f1",)
    assert found.bad_rows == {"their function has no durations": 1}


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (COUNTS.replace("2,0,1", "2,-4,1"), r"row 1, column 62: -4 invocations; it must be at least 0"),
        (COUNTS.replace("61,62,63", "a,b,c"), "has no column of a minute"),
    ],
)
def test_azure_2019_refuses_counts_without_meaning(azure, counts, message):
    (azure / "invocations_per_function_md.anon.d01.csv").write_text(counts)
    with pytest.raises(TraceValueError, match=message):
        traces.load_invocations(f"azure-functions-2019:{azure}")


def test_azure_2019_names_the_file_that_is_missing(azure):
    (azure / "function_durations_percentiles.anon.d01.csv").unlink()
    with pytest.raises(TraceValueError, match="has no file of durations"):
        traces.load_invocations(f"azure-functions-2019:{azure}")


def test_azure_2021_begins_an_invocation_its_duration_before_its_end(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("app,func,end_timestamp,duration\na,f,10.0,9.0\na,g,11.5,1.0\n")
    found = traces.load_invocations(f"azure-functions-2021:{path}")
    assert found.time_ms.tolist() == [0, 9500]
    assert found.duration_ms.tolist() == [9000, 1000]
    assert found.function_id == ("a/f", "a/g")


def test_azure_2021_leaves_out_a_negative_duration_or_refuses_it(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("app,func,end_timestamp,duration\na,f,10.0,-9.0\na,g,11.5,1.0\n")
    assert traces.load_invocations(f"azure-functions-2021:{path}").num_invocations == 1
    with pytest.raises(TraceValueError, match=r"row 1: end_timestamp 10.0, duration -9.0"):
        traces.load_invocations(f"azure-functions-2021:{path}?strict=true")


def test_gpu_functions_have_run_times_and_deadlines_of_each_job(tmp_path):
    head = "HashOwner,HashApp,HashFunction,Trigger,1,2,3\n"
    (tmp_path / "invocations.csv").write_text(f"{head}o,a,gpt2,queue,1,0,2\n")
    (tmp_path / "iterations.csv").write_text(f"{head}o,a,gpt2,queue,100,200,300\n")
    (tmp_path / "deadline.csv").write_text(f"{head}o,a,gpt2,queue,9000,20000,30000\n")
    found = traces.load_invocations(f"gpu-functions:{tmp_path}")
    assert found.duration_ms.tolist() == [5000, 10000, 15000]
    assert found.deadline_ms.tolist() == [9000, 20000, 30000]
    (tmp_path / "batch.csv").write_text(f"{head}o,a,gpt2,queue,32,80,8\n")
    found = traces.load_invocations(f"gpu-functions:{tmp_path}")
    assert found.duration_ms.tolist() == [5000, *[10000] * 3, 15000]  # 80 samples are for three workers
    assert len(set(found.time_ms.tolist())) == 3
    (tmp_path / "batch.csv").write_text(f"{head}o,a,gpt2,queue,4000,8,8\n")
    with pytest.raises(TraceValueError, match="has a job of batch 4000, which needs 4000 workers"):
        traces.load_invocations(f"gpu-functions:{tmp_path}?batch_per_worker=1")
    (tmp_path / "batch.csv").unlink()
    (tmp_path / "deadline.csv").write_text(f"{head}o,a,gpt2,queue,9000\n")
    with pytest.raises(TraceValueError, match="has 3 jobs, but fewer iterations or deadlines"):
        traces.load_invocations(f"gpu-functions:{tmp_path}")


def test_jobs_of_a_cluster_are_calls_of_functions_of_their_user_and_size(tmp_path):
    path = tmp_path / "jobs.csv"
    path.write_text(
        "submit_time_seconds,duration_seconds,gpus,user\n100,60,1,ada\n160,30,20,ada\n400,5,0.5,bob\n500,7,1,ada\n"
    )
    found = traces.load_invocations(f"job-functions:csv:{path}")
    calls = [(found.function_id[f], int(t)) for f, t in zip(found.function, found.time_ms, strict=True)]
    # A job of 20 GPUs is three requests for nodes of 8; csv names no user unless an option does.
    assert calls == [("all-1", 0), *[("all-8", 60_000)] * 3, ("all-0.5", 300_000), ("all-1", 400_000)]
    assert found.gpu_milli[found.function_id.index("all-0.5")] == 500


def test_generated_functions_have_the_published_skew():
    summary = traces.load_invocations("synthetic-functions:web?functions=400&hours=24&seed=1").summary()
    per_day = summary.per_function
    assert per_day["p10"] < 5 < per_day["p50"] < 500 < per_day["p90"]
    again = traces.load_invocations("synthetic-functions:web?functions=400&hours=24&seed=1")
    assert again.num_invocations == summary.invocations


def test_mistakes_are_one_line():
    with pytest.raises(TraceURIError, match="did you mean 'mixed'"):
        traces.load_invocations("synthetic-functions:mixde")
    with pytest.raises(TraceURIError, match="functions"):
        traces.load_invocations("synthetic-functions:mixed?functions=0")
    with pytest.raises(TraceURIError, match="is a format of jobs, not of invocations"):
        traces.load_invocations("synthetic:quickstart")
    with pytest.raises(TraceFileError):
        traces.load_invocations("azure-functions-2021:missing.csv")
    with pytest.raises(TraceValueError, match=r"has the duration -0\.001 s"):
        Invocations.from_columns(["f"], np.array([0]), np.array([0]), np.array([-1]), span_ms=1)


@needs_data
def test_the_samples_load():
    azure = traces.load_invocations(f"azure-functions-2019:{DATA / 'azure2019_sample'}")
    assert (azure.num_functions, azure.num_invocations) == (348, 2_817_860)
    jobs = traces.load_invocations(f"gpu-functions:{DATA / 'gpu_training_jobload_0.5'}")
    assert jobs.num_functions == 3
    assert (jobs.deadline_ms >= jobs.duration_ms).mean() > 0.95
