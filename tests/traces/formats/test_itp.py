"""Microsoft ITP."""

from datetime import datetime
from pathlib import Path

import pytest

import traces

ROWS = "job_id,submission_time,duration,num_gpu\nb,500,600,8\na,100,1200,1\n"


def test_jobs_are_read_and_sorted(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(ROWS)
    trace = traces.load(f"itp:{tmp_path}/x.csv")
    assert trace.table["job_id"].to_pylist() == ["a", "b"]
    assert trace.gpu_milli.tolist() == [1000, 8000]
    assert trace.metadata.start_time == datetime.fromisoformat("2021-03-04")
    assert trace.metadata.licence == "MIT"


def test_a_bad_row_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(ROWS + "c,50,-5,1\n")
    with pytest.raises(
        traces.TraceValueError, match=r"x.csv: row 3, column duration: -5.0 is negative; durations must"
    ):
        traces.load(f"itp:{tmp_path}/x.csv?strict=true")
    trace = traces.load(f"itp:{tmp_path}/x.csv?separator=comma")
    assert trace.metadata.bad_rows == {"its duration is negative": 1}


@pytest.mark.parametrize(
    ("cluster", "jobs"),
    [("01", 1595), ("02", 5778), ("05", 3629), ("06", 2396), ("08", 13047), ("09", 11134), ("10", 260)],
)
def test_the_real_clusters(data_dir: Path, cluster: str, jobs: int) -> None:
    trace = traces.load(f"itp:{data_dir}/traces/itp/cluster{cluster}.csv.gz")
    assert trace.num_jobs == jobs
    assert trace.duration_seconds.min() >= 600
