"""Any CSV table of jobs."""

from datetime import datetime
from pathlib import Path

import pytest

import traces

QUERY = "?submit=created&duration=run time&gpus=cards&job_id=id&user=owner"
HEADER = "id,owner,created,run time,cards\n"


def load(tmp_path: Path, rows: str, query: str = QUERY) -> traces.Trace:
    (tmp_path / "x.csv").write_text(HEADER + rows)
    return traces.load(f"csv:{tmp_path}/x.csv{query}")


def test_columns_are_named_by_options(tmp_path: Path) -> None:
    trace = load(tmp_path, "17,ann,20,5,0.5\n18,,10.5,7,4\n")
    assert trace.table.select(
        ["job_id", "user", "submit_time_seconds", "duration_seconds", "gpu_milli"]
    ).to_pylist() == [
        {"job_id": "18", "user": None, "submit_time_seconds": 10.5, "duration_seconds": 7.0, "gpu_milli": 4000},
        {"job_id": "17", "user": "ann", "submit_time_seconds": 20.0, "duration_seconds": 5.0, "gpu_milli": 500},
    ]
    assert trace.metadata.start_time is None


FACTS = "at,s,n,pri,guess,by,due,few,many,class,save,box\n"
FACTS_QUERY = (
    "?submit=at&duration=s&gpus=n&priority=pri&predicted_duration=guess&latest_start=by&deadline=due"
    "&min_gpus=few&max_gpus=many&workload=class&checkpoint_interval=save&image=box"
)
FACT_COLUMNS = (
    *("priority", "predicted_duration_seconds", "latest_start_seconds", "deadline_seconds"),
    *("min_gpus", "max_gpus", "workload", "checkpoint_interval_seconds", "image"),
)


def facts(tmp_path: Path, rows: str) -> traces.Trace:
    (tmp_path / "x.csv").write_text(FACTS + rows)
    return traces.load(f"csv:{tmp_path}/x.csv{FACTS_QUERY}")


def test_facts_of_jobs_are_read_and_empty_cells_are_null(tmp_path: Path) -> None:
    trace = facts(tmp_path, "0,5,0,,,,,,,,,\n1,5,4,2,6.5,10,20.5,1,8,bert,600,a:1\n2,5,4,,,,,,,,,\n")
    rows = trace.table.select(FACT_COLUMNS).to_pylist()
    assert list(rows[0].values()) == [2, 6.5, 10.0, 20.5, 1, 8, "bert", 600.0, "a:1"]
    assert set(rows[1].values()) == {None}
    with pytest.raises(traces.TraceValueError, match=r"row 2, column due: 1\.0 is not after the submit time 1\.0"):
        facts(tmp_path, "0,5,0,,,,,,,,,\n1,5,4,,,,1,,,,,\n")
    with pytest.raises(traces.TraceValueError, match="row 1, column due: 'soon' is not a number"):
        facts(tmp_path, "1,5,4,,,,soon,,,,,\n")


def test_deadlines_may_be_timestamps_as_submit_times_are(tmp_path: Path) -> None:
    day = "2024-05-01 00:"
    trace = facts(tmp_path, f"{day}01:00,5,1,,,,,,,,,\n{day}00:00,5,1,,,{day}00:30,{day}02:00.5,,,,,\n")
    assert trace.table["latest_start_seconds"].to_pylist() == [30.0, None]
    assert trace.table["deadline_seconds"].to_pylist() == [120.5, None]
    with pytest.raises(traces.TraceURIError, match="column due holds timestamps; option start_time must say"):
        facts(tmp_path, f"1,5,4,,,,{day}00:30,,,,,\n")


@pytest.mark.parametrize(
    "time", ["2024-05-01 00:00:10", "2024-05-01T00:00:10", "2024-05-01 00:00:10.000", "2024-05-01 00:00:10Z"]
)
def test_timestamps_start_at_the_earliest(tmp_path: Path, time: str) -> None:
    trace = load(tmp_path, f"1,a,{time},5,1\n2,b,{time.replace('00:00:10', '00:01:10')},5,1\n")
    assert trace.submit_time_seconds.tolist() == [0, 60]
    assert trace.metadata.start_time == datetime.fromisoformat("2024-05-01T00:00:10")


def test_fractions_of_timestamps_are_kept_to_the_microsecond(tmp_path: Path) -> None:
    trace = load(tmp_path, "1,a,2024-05-01 00:00:10.000000100,5,1\n2,b,2024-05-01 00:00:10.2500009,5,1\n")
    assert trace.submit_time_seconds.tolist() == [0, 0.25]


def test_a_table_without_rows_has_no_jobs(tmp_path: Path) -> None:
    with pytest.raises(traces.TraceURIError, match="no job in the file; check"):
        load(tmp_path, "")


def test_the_user_may_say_when_second_0_was(tmp_path: Path) -> None:
    trace = load(tmp_path, "1,a,5,5,1\n", QUERY + "&start_time=2024-01-02T00:00")
    assert trace.week_offset_seconds == 86_400
    with pytest.raises(traces.TraceURIError, match="start_time: column created holds timestamps"):
        load(tmp_path, "1,a,2024-05-01 00:00:10,5,1\n", QUERY + "&start_time=2024-01-02T00:00")


def test_cpu_jobs_are_dropped_and_counted_and_rows_still_count_in_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, "1,a,5,5,0\n2,a,5,5,1\n").metadata.dropped == {"it asks no GPU": 1}
    with pytest.raises(traces.TraceValueError, match=r"row 2, column run time: -5\.0"):
        load(tmp_path, "1,a,5,5,0\n2,a,5,-5,1\n")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("3,a,soon,5,1\n", "row 2, column created: 'soon' is not a number"),
        ("3,a,,5,1\n", "row 2, column created: is empty"),
        ("3,a,5,5,1.5\n", "row 2, column cards: 1.5 is not a whole number of GPUs"),
        ("3,a,5,5,\n", "row 2, column cards: is empty"),
        ("1,a,5,5,1\n", "row 2, column id: '1' is already the value of row 1"),
        ("3,a,5,0,1\n", "row 2, column run time: 0.0 is zero"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(traces.TraceValueError, match=message):
        load(tmp_path, "1,a,4,5,1\n" + row)


def test_a_column_of_neither_numbers_nor_times_is_refused(tmp_path: Path) -> None:
    with pytest.raises(traces.TraceValueError, match="row 1, column created: 'yes' is not a time"):
        load(tmp_path, "1,a,yes,5,1\n")
    with pytest.raises(traces.TraceValueError, match="row 2, column created: 'yes' is not a time"):
        load(tmp_path, "1,a,,5,1\n1,a,yes,5,1\n")
    with pytest.raises(traces.TraceValueError, match="row 1, column created: '07:01:55' is not a number"):
        load(tmp_path, "1,a,07:01:55,5,1\n")


def test_a_wrong_name_proposes_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(traces.TraceValueError, match="no column card; did you mean 'cards'"):
        load(tmp_path, "1,a,4,5,1\n", "?submit=created&duration=run time&gpus=card")


def test_the_real_philly_table_reads_as_its_own_format_does(data_dir: Path) -> None:
    path = f"{data_dir}/traces/philly/philly_until_2017-11-01.csv.gz"
    trace = traces.load(f"csv:{path}?submit=timestamp&duration=duration&gpus=num_gpus&group=cluster")
    assert trace.table.equals(traces.load(f"philly:{path}").table)
