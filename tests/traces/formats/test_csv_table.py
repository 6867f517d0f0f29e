"""Any CSV table of jobs."""

from datetime import datetime
from pathlib import Path

import pytest

import traces

QUERY = "?submit=created&duration=run time&gpus=cards&job_id=id&user=owner&strict=true"
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
    "&min_gpus=few&max_gpus=many&workload=class&checkpoint_interval=save&image=box&strict=true"
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


def test_flexibility_tiers_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("at,s,n,tier\n0,5,1,0\n1,5,1,\n")
    trace = traces.load(f"csv:{tmp_path}/x.csv?submit=at&duration=s&gpus=n&flexibility_tier=tier")
    assert trace.table["flexibility"].to_pylist() == [0, None]


def test_sizes_and_regions_of_data_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("at,s,n,size,place\n0,5,1,2.5,ciso\n1,5,1,,\n")
    trace = traces.load(f"csv:{tmp_path}/x.csv?submit=at&duration=s&gpus=n&data_gb=size&data_region=place")
    assert trace.table.select(["data_gb", "data_region"]).to_pylist() == [
        {"data_gb": 2.5, "data_region": "ciso"},
        {"data_gb": None, "data_region": None},
    ]


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
    assert load(tmp_path, "1,a,5,5,0\n2,a,5,5,1\n").metadata.dropped == {"it requests no GPU": 1}
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
    with pytest.raises(traces.TraceValueError, match="row 1, column created: 'yes' is not a number"):
        load(tmp_path, "1,a,yes,5,1\n")
    with pytest.raises(traces.TraceValueError, match="row 2, column created: 'yes' is not a number"):
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


LENIENT = QUERY.replace("&strict=true", "")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("spaces", ["", " "])
def test_the_separator_is_found_and_spaces_do_not_count(tmp_path: Path, separator: str, spaces: str) -> None:
    text = HEADER + "17,ann,20,5,0.5\n18,,10.5,7,4\n"
    (tmp_path / "x.csv").write_text(text.replace(",", f"{spaces}{separator}{spaces}"))
    trace = traces.load(f"csv:{tmp_path}/x.csv{QUERY}")
    assert trace.submit_time_seconds.tolist() == [10.5, 20]
    assert trace.table["user"].to_pylist() == [None, "ann"]
    assert trace.table["job_id"].to_pylist() == ["18", "17"]


def test_a_separator_can_be_told(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("submit_time_seconds;duration_seconds;gpus;a,b\n1;2;3;4,5\n")
    assert traces.load(f"csv:{tmp_path}/x.csv?separator=semicolon").gpu_milli.tolist() == [3000]
    with pytest.raises(traces.TraceValueError, match="has no column submit_time_seconds"):
        traces.load(f"csv:{tmp_path}/x.csv?separator=comma")


GOOD = "".join(f"{number},ann,{number},60,1\n" for number in range(20))


@pytest.mark.parametrize(
    ("row", "reason", "message"),
    [
        ("x,bob,5,NA,1\n", "its run time is empty", "row 21, column run time: is empty"),
        ("x,bob,5,fast,1\n", "its run time is not a number", "row 21, column run time: 'fast' is not a number"),
        ("x,bob,5,-2,1\n", "its run time is negative", r"row 21, column run time: -2\.0 is negative"),
        ("x,bob,5,60,-1\n", "its cards is not a number of GPUs", "row 21, column cards: -1 is not a number of GPUs"),
        ("x,bob,5,60,2.5\n", "its cards is not a whole number of GPUs", "row 21, column cards: 2.5 is not a whole"),
        ("x,bob,later,60,1\n", "its created is not a number", "row 21, column created: 'later' is not a number"),
        ("3,bob,5,60,1\n", "its id is that of an earlier row", "'3' is already the value of row 4"),
        ("x,bob,5,60\n", "it has more or fewer cells than the header", "row 21: has 4 cells, the header 5"),
        ("x,b\xff,5,60,1\n", "it is not UTF-8 text", r"row 21: is not UTF-8 text \(byte 4 of the line\)"),
        ("x,b\xff,5,60\n", "it is not UTF-8 text", "row 21: is not UTF-8 text"),
        ('x,"b,5,60,1\n', "it has more or fewer cells than the header", "row 21: has 2 cells"),
    ],
)
def test_a_bad_row_is_left_out_and_counted_unless_strict(
    tmp_path: Path, row: str, reason: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_bytes((HEADER + GOOD + row + "y,bob,40,60,1\n").encode("latin-1"))
    trace = traces.load(f"csv:{tmp_path}/x.csv{LENIENT}")
    assert trace.metadata.bad_rows == {reason: 1}
    assert trace.metadata.bad_rows_text == f"1 row left out that cannot be used: 1 because {reason}"
    assert trace.num_jobs == 21
    assert trace.table["job_id"].to_pylist()[-1] == "y"
    with pytest.raises(traces.TraceValueError, match=message):
        traces.load(f"csv:{tmp_path}/x.csv{QUERY}")
    assert capfd.readouterr() == ("", "")


def test_a_file_of_mostly_bad_rows_is_an_error(tmp_path: Path) -> None:
    """Times in milliseconds, or the wrong column, must not give a small trace in silence."""
    rows = "".join(f"{number},ann,{number},{6e12},1\n" for number in range(3))
    with pytest.raises(traces.TraceValueError, match=r"is the column in milliseconds\?.*\(3 of 5 rows cannot be used"):
        load(tmp_path, rows + "8,a,1,2,1\n9,a,1,2,1\n", LENIENT)
    assert load(tmp_path, rows + "".join(f"{number},a,1,2,1\n" for number in range(5, 8)), LENIENT).num_jobs == 3


def test_rows_keep_their_numbers_when_others_are_left_out(tmp_path: Path) -> None:
    query = "?submit=created&duration=run time&gpus=cards"
    trace = load(tmp_path, "a,b,0,5,1\na,b,1,NA,1\na,b,2,5,0\na,b,3,5,1\n", query)
    assert trace.table["job_id"].to_pylist() == ["job-1", "job-4"]
    assert (trace.metadata.bad_rows, trace.metadata.dropped) == (
        {"its run time is empty": 1},
        {"it requests no GPU": 1},
    )


def test_timestamps_with_one_bad_cell_stay_timestamps(tmp_path: Path) -> None:
    rows = "1,a,2024-05-01 00:00:10,5,1\n2,b,2024-05-01 00:01:10,5,1\n3,c,yesterday,5,1\n"
    trace = load(tmp_path, rows, LENIENT)
    assert trace.submit_time_seconds.tolist() == [0, 60]
    assert trace.metadata.bad_rows == {"its created is not a time": 1}


def test_words_for_nothing_are_no_value_in_columns_of_numbers_only(tmp_path: Path) -> None:
    trace = load(tmp_path, "NA,None,5,5,1\n", QUERY)
    assert trace.table.select(["job_id", "user"]).to_pylist() == [{"job_id": "NA", "user": "None"}]
    assert facts(tmp_path, "1,5,4,NA,null,,N/A,,,,,\n").table["priority"].null_count == 1


SITE = "Job;Abgabe;Start;Ende;GPUs;Typ;Kerne\n"
SITE_QUERY = "?submit=Abgabe&start=Start&end=Ende&gpus=GPUs&job_id=Job&gpu_model=Typ&cpu_milli=Kerne"


def site(tmp_path: Path, rows: str, query: str = SITE_QUERY) -> traces.Trace:
    (tmp_path / "x.csv").write_text(SITE + rows)
    return traces.load(f"csv:{tmp_path}/x.csv{query}")


def test_run_times_follow_from_starts_and_ends_and_jobs_without_them_are_dropped(tmp_path: Path) -> None:
    """The clocks go back between the start and the end of the first job: offsets say that it ran for two hours."""
    trace = site(
        tmp_path,
        "a;2025-10-26 02:00:00+02:00;2025-10-26 02:30:00+02:00;2025-10-26 03:30:00+01:00;4;H100;32000\n"
        "b;2025-10-26 04:00:00+01:00;;;1;;\n"
        "c;2025-10-26 04:00:00+01:00;2025-10-26 04:00:00+01:00;;1;;\n"
        "d;2025-10-26 05:00:00+01:00;2025-10-26 05:10:00+01:00;2025-10-26 05:00:00+01:00;1;;\n"
        "e;2025-10-26 05:00:00+01:00;2025-10-26 05:10:00+01:00;2025-10-26 05:11:00+01:00;8;;\n",
    )
    columns = ("job_id", "submit_time_seconds", "duration_seconds", "gpu_models", "cpu_milli")
    assert [list(row.values()) for row in trace.table.select(columns).to_pylist()] == [
        ["a", 0.0, 7200.0, ["H100"], 32000],
        ["e", 14400.0, 60.0, None, None],
    ]
    assert trace.metadata.dropped == {"it never ran": 1, "it still ran at the end of the collection": 1}
    assert trace.metadata.bad_rows == {"its duration_seconds is negative": 1}


@pytest.mark.parametrize(
    ("query", "rows", "problem"),
    [
        ("?submit=Abgabe&start=Start&gpus=GPUs", "a;0;1;2;1;;\n", "give both"),
        (f"{SITE_QUERY}&duration=Kerne", "a;0;1;2;1;;\n", "drop one"),
        (SITE_QUERY, "a;0;1;2025-01-01 00:00:00;1;;\n", "two kinds, timestamps and numbers"),
    ],
)
def test_starts_and_ends_that_say_no_run_time_are_one_clear_line(
    tmp_path: Path, query: str, rows: str, problem: str
) -> None:
    with pytest.raises(traces.TraceError, match=problem):
        site(tmp_path, rows, query)
