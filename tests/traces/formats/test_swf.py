"""Standard Workload Format."""

import gzip
from datetime import datetime
from pathlib import Path

import pytest

import traces

HEADER = "; Version: 2.2\n; Computer: Toy\n; UnixStartTime: 1714550400\n; TimeZoneString: Europe/Berlin\n;\n\n"


def line(*changes: tuple[int, float]) -> str:
    """Fields 1 to 18 of a job of 4 processors that ran for an hour, with changes by number."""
    values: list[float] = [1, 0, 10, 3600, 4, -1, 2048, 4, 7200, 1024, 1, 3, 2, -1, 5, 1, -1, -1]
    for number, value in changes:
        values[number - 1] = value
    return "  ".join(f"{value:5g}" for value in values) + "\n"


def load(tmp_path: Path, text: str, query: str = "") -> traces.Trace:
    (tmp_path / "x.swf").write_text(text)
    return traces.load(f"swf:{tmp_path}/x.swf{query}")


def test_the_fields_of_a_job(tmp_path: Path) -> None:
    trace = load(tmp_path, HEADER + line() + "; a note in between\n" + line((1, 2), (2, 60), (11, 5)))
    job = {name: value for name, value in trace.table.to_pylist()[0].items() if value is not None}
    assert job == {
        "job_id": "1",
        "submit_time_seconds": 0.0,
        "duration_seconds": 3600.0,
        "gpu_milli": 4000,
        "user": "3",
        "group": "2",
        "memory_mib": 4,
        "status": "completed",
        "predicted_duration_seconds": 7200.0,
    }
    assert trace.table["status"].to_pylist() == ["completed", "cancelled"]
    assert trace.metadata.source == "Standard Workload Format, Toy"
    assert trace.metadata.start_time == datetime.fromisoformat("2024-05-01T10:00")


def test_minus_one_is_unknown(tmp_path: Path) -> None:
    unknown = line((5, -1), (8, 6), (9, -1), (10, -1), (11, -1), (12, -1), (13, -1), (15, -1))
    trace = load(tmp_path, unknown)
    job = {name: value for name, value in trace.table.to_pylist()[0].items() if value is not None}
    assert job == {"job_id": "1", "submit_time_seconds": 0.0, "duration_seconds": 3600.0, "gpu_milli": 6000}
    assert trace.metadata.start_time is None


def test_parts_jobs_that_never_ran_and_jobs_without_processors_are_dropped(tmp_path: Path) -> None:
    rows = [
        line(),
        *(line((1, 10 + status), (11, status)) for status in (2, 3, 4)),
        line((1, 5), (4, -1)),
        line((1, 6), (4, 0)),
        line((1, 7), (5, -1), (8, -1)),
    ]
    trace = load(tmp_path, HEADER + "".join(rows))
    assert trace.num_jobs == 1
    assert trace.metadata.dropped == {
        "it is a part of a job that another row sums up": 3,
        "it never ran": 2,
        "it says no number of processors": 1,
    }


def test_processors_may_stand_for_gpus(tmp_path: Path) -> None:
    assert load(tmp_path, line((5, 33)), "?processors_per_gpu=16").gpu_milli.tolist() == [3000]
    with pytest.raises(traces.TraceURIError, match="processors_per_gpu"):
        load(tmp_path, line(), "?processors_per_gpu=0")


def test_lines_that_cross_blocks_are_read_whole(tmp_path: Path) -> None:
    text = HEADER + "".join(line((1, number), (2, number)) for number in range(40_000))
    (tmp_path / "x.swf.gz").write_bytes(gzip.compress(text.encode()))
    trace = traces.load(f"swf:{tmp_path}/x.swf.gz")
    assert trace.num_jobs == 40_000
    assert trace.submit_time_seconds.tolist() == list(range(40_000))


def test_a_bad_row_is_named_and_counted(tmp_path: Path) -> None:
    rows = [line(), line((1, 2)), line((1, 3)).replace("3600", "many"), line((1, 4)).rpartition("-1")[0] + "\n"]
    trace = load(tmp_path, HEADER + "".join(rows))
    assert sum(trace.metadata.bad_rows.values()) == 2
    with pytest.raises(traces.TraceValueError, match="row 3, column run_time: 'many' is not a number"):
        load(tmp_path, HEADER + "".join(rows), "?strict=true")


def test_numbers_without_an_end_are_counted(tmp_path: Path) -> None:
    odd = [line((1, 2), (11, float("inf"))), line((1, 3), (5, float("inf"))), line((1, 4), (10, float("inf")))]
    trace = load(tmp_path, HEADER + line() + "".join(odd) + line((1, 5)))
    assert trace.table["status"].to_pylist() == ["completed", None, "completed", "completed"]
    assert trace.metadata.bad_rows == {"its processors is not a number of GPUs": 1}


def test_a_byte_order_mark_and_line_ends_of_windows_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "x.swf").write_bytes(
        b"\xef\xbb\xbf" + (HEADER + line() + "\n" + line((1, 2))).replace("\n", "\r\n").encode()
    )
    trace = traces.load(f"swf:{tmp_path}/x.swf")
    assert trace.num_jobs == 2
    assert trace.metadata.bad_rows == {}


def test_fractions_stay_where_another_row_says_nothing(tmp_path: Path) -> None:
    silent = line((1, 2)).replace(" 7200 ", " NA ")
    assert "NA" in silent
    trace = load(tmp_path, HEADER + line((9, 7200.5)) + silent)
    assert trace.table["predicted_duration_seconds"].to_pylist() == [7200.5, None]
