"""Microsoft Philly as CSV."""

from datetime import datetime
from pathlib import Path

import pytest

import traces

HEADER = "timestamp,duration,num_gpus,gpu_time,cluster\n"
ROWS = "2017-10-09 07:02:00,60.0,2,120.0,11cb48\n2017-10-09 07:01:00,30.5,1,30.5,6214e9\n"


def test_second_0_is_the_earliest_timestamp(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(HEADER + ROWS)
    trace = traces.load(f"philly:{tmp_path}/x.csv")
    assert trace.submit_time_seconds.tolist() == [0, 60]
    assert trace.duration_seconds.tolist() == [30.5, 60]
    assert trace.table["job_id"].to_pylist() == ["job-2", "job-1"]
    assert trace.table["group"].to_pylist() == ["6214e9", "11cb48"]
    assert trace.metadata.start_time == datetime.fromisoformat("2017-10-09T07:01")
    assert trace.week_offset_seconds == 7 * 3600 + 60


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2017-10-09 07:01:00,-5.0,1,0,a\n", "row 3, column duration: -5.0 is negative; durations must be > 0 seconds"),
        ("2017-10-09 07:01:00,inf,1,0,a\n", "row 3, column duration: inf is not a finite number"),
        ("2017-10-09 07:01:00,nan,1,0,a\n", "row 3, column duration: is empty"),
        ("2017-10-09 07:01:00,5,0,0,a\n", "row 3, column num_gpus: 0 is not a number of GPUs"),
        (",5,1,0,a\n", "row 3, column timestamp: is empty"),
        ("None,5,1,0,a\n", "row 3, column timestamp: is empty"),
        ("soon,5,1,0,a\n", "row 3, column timestamp: 'soon' is not a time"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(HEADER + ROWS + row)
    with pytest.raises(traces.TraceValueError, match=message):
        traces.load(f"philly:{tmp_path}/x.csv?strict=true")
    assert sum(traces.load(f"philly:{tmp_path}/x.csv").metadata.bad_rows.values()) == 1


def test_the_real_trace_has_52849_jobs(data_dir: Path) -> None:
    trace = traces.load(f"philly:{data_dir}/traces/philly/philly_until_2017-11-01.csv.gz")
    assert trace.num_jobs == 52_849
    assert trace.metadata.start_time == datetime.fromisoformat("2017-09-04T10:30:41")
    assert trace.duration_seconds.min() == 1
    assert trace.gpu_milli.max() == 32_000
    assert trace.metadata.dropped == {}
