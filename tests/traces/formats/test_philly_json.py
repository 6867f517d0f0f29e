"""Microsoft Philly as released."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import traces
from tests.traces.test_inputs import tar

DAY = "2017-10-09 "


def attempt(start: Any, end: Any, *gpus: int) -> dict[str, Any]:
    detail = [{"ip": f"m{number}", "gpus": [f"gpu{gpu}" for gpu in range(count)]} for number, count in enumerate(gpus)]
    return {"start_time": start, "end_time": end, "detail": detail}


def job(
    number: int, *attempts: dict[str, Any], status: str = "Pass", submitted: Any = f"{DAY}07:00:00"
) -> dict[str, Any]:
    name = f"application_1506638472019_{number}"
    return {
        "status": status,
        "vc": "6214e9",
        "jobid": name,
        "attempts": list(attempts),
        "submitted_time": submitted,
        "user": "7f04ca",
    }


def load(tmp_path: Path, jobs: Any, query: str = "") -> traces.Trace:
    (tmp_path / "cluster_job_log").write_text(jobs if isinstance(jobs, str) else json.dumps(jobs))
    return traces.load(f"philly-json:{tmp_path}/cluster_job_log{query}")


HOUR = attempt(f"{DAY}08:00:00", f"{DAY}09:00:00", 2)


def test_gpus_are_of_the_first_attempt_and_the_run_time_spans_all(tmp_path: Path) -> None:
    retried = job(2, attempt(f"{DAY}08:00:00", f"{DAY}08:10:00", 8, 8), attempt(f"{DAY}09:00:00", f"{DAY}09:30:00", 4))
    trace = load(tmp_path, [retried, job(1, HOUR, status="Killed", submitted=f"{DAY}06:00:00")])
    assert trace.gpu_milli.tolist() == [2000, 16_000]
    assert trace.duration_seconds.tolist() == [3600, 5400]
    assert trace.submit_time_seconds.tolist() == [0, 3600]
    assert trace.table["status"].to_pylist() == ["Killed", "Pass"]
    assert set(trace.table["group"].to_pylist()) == {"6214e9"}
    assert trace.metadata.start_time == datetime.fromisoformat("2017-10-09T06:00")


@pytest.mark.parametrize("missing", [None, "", "None"])
def test_a_missing_time_is_null_empty_or_a_word(tmp_path: Path, missing: Any) -> None:
    jobs = [
        job(1, HOUR),
        job(2, attempt(f"{DAY}08:00:00", missing, 1)),
        job(3, attempt(missing, missing, 1)),
        job(4),
        job(5, attempt(f"{DAY}08:00:00", f"{DAY}09:00:00")),
    ]
    trace = load(tmp_path, jobs)
    assert trace.num_jobs == 1
    assert trace.metadata.dropped == {
        "it has no attempt, so its GPUs are not known": 1,
        "it never ran": 1,
        "it still ran at the end of the collection": 1,
        "it requests no GPU": 1,
    }
    assert load(
        tmp_path, [*jobs, *(job(6 + n, HOUR) for n in range(3)), job(9, HOUR, submitted=missing)]
    ).metadata.bad_rows == {"its submitted_time is empty": 1}


def test_the_release_is_found_in_its_archive(tmp_path: Path) -> None:
    members = {
        "trace-data/cluster_job_log": json.dumps([job(1, HOUR)]).encode(),
        "trace-data/cluster_gpu_util": b"time\n",
    }
    assert traces.load(f"philly-json:{tar(tmp_path / 'trace-data.tar.gz', members)}").num_jobs == 1


def test_jobs_larger_than_a_block_are_read_whole(tmp_path: Path) -> None:
    text = json.dumps([job(number, *[HOUR] * 40) for number in range(400)], indent=1)
    assert len(text) > 3 << 20
    assert load(tmp_path, text).num_jobs == 400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps([job(1, HOUR)])[:-30], r"damaged or not JSON \(item 1: "),
        ('{"a": 1}', "holds no JSON array"),
        ("", "holds no JSON array"),
        ("[]\n[]", "more follows the first JSON document"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(traces.TraceFileError, match=message):
        load(tmp_path, text)


def test_jobs_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    late = attempt(f"{DAY}08:00:00", f"{DAY}07:00:00", 1)
    odd = attempt(f"{DAY}08:00:00", "later", 1)
    jobs = [
        *(job(number, HOUR) for number in range(6)),
        {"jobid": "x"},
        "nothing",
        job(8, late),
        job(9, odd),
        job(3, HOUR),
    ]
    trace = load(tmp_path, jobs)
    assert trace.metadata.bad_rows == {
        "it is no job of this log": 2,
        "its attempts.end_time is not a time": 1,
        "its jobid is that of an earlier row": 1,
        "its duration_seconds is negative": 1,
    }
    with pytest.raises(traces.TraceValueError, match="job 7 is no job of this log"):
        load(tmp_path, jobs, "?strict=true")
    with pytest.raises(traces.TraceValueError, match=r"row 2, column duration_seconds: .* is negative"):
        load(tmp_path, [job(1, HOUR), job(2, late)], "?strict=true")
