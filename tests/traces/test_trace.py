"""The Trace table: order, units, windows, demand, files."""

import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.files import OutputFileError
from traces import NO_DEADLINE, OPTIONAL, SCHEMA, Trace, TraceError, TraceFileError, TraceMetadata, TraceValueError

seconds = st.floats(0, 1e7, allow_nan=False)
jobs = st.lists(
    st.tuples(
        seconds,
        st.floats(1e-6, 1e6),
        st.one_of(st.integers(1, 1000), st.integers(1, 64).map(lambda gpus: gpus * 1000)),
        st.one_of(st.none(), st.text(max_size=5)),
        st.one_of(st.none(), st.lists(st.text(max_size=3), max_size=3)),
    ),
    max_size=30,
)


def trace_of(rows: list[tuple], metadata: TraceMetadata | None = None) -> Trace:
    submit, duration, gpu_milli, user, models = (
        (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 5
    )
    return Trace.from_columns(
        {
            "submit_time_seconds": submit,
            "duration_seconds": duration,
            "gpu_milli": gpu_milli,
            "user": user,
            "gpu_models": models,
        },
        metadata=metadata,
    )


def simple(
    submit: list[float],
    duration: list[float],
    gpu_milli: list[int],
    metadata: TraceMetadata | None = None,
    **more: object,
) -> Trace:
    columns = {"submit_time_seconds": submit, "duration_seconds": duration, "gpu_milli": gpu_milli}
    return Trace.from_columns({**columns, **more}, metadata=metadata)


def test_jobs_are_sorted_by_submit_time_and_ties_keep_their_order() -> None:
    trace = simple([5, 1, 5, 1], [1, 2, 3, 4], [1000] * 4)
    assert trace.table["job_id"].to_pylist() == ["job-2", "job-4", "job-1", "job-3"]
    assert trace.submit_time_seconds.tolist() == [1, 1, 5, 5]
    assert trace.duration_seconds.tolist() == [2, 4, 1, 3]


@given(jobs)
def test_every_trace_has_the_schema_and_ascending_times(rows: list[tuple]) -> None:
    trace = trace_of(rows)
    assert trace.table.schema.equals(SCHEMA)
    assert trace.num_jobs == len(rows)
    assert np.all(np.diff(trace.submit_time_seconds) >= 0)
    assert all(column.num_chunks <= 1 for column in trace.table.columns)


@settings(deadline=None)
@given(jobs)
def test_parquet_gives_the_same_trace_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]) -> None:
    metadata = TraceMetadata(
        "somewhere",
        "MIT",
        datetime.fromisoformat("2021-03-04T05:00"),
        {"it requests no GPU": 3},
        "itp:x.csv",
        bad_rows={"its gpus is not above 0": 2},
    )
    trace = trace_of(rows, metadata=metadata)
    path = str(tmp_path_factory.mktemp("round") / "x.parquet")
    trace.to_parquet(path)
    again = Trace.read(path)
    assert again.table.equals(trace.table)
    assert again.metadata == metadata
    assert again.uri == path


OPTIONALS = {
    "priority": [3, None, -1],
    "predicted_duration_seconds": [7.5, None, 0.0001],
    "latest_start_seconds": [100.0, None, 2.0],
    "deadline_seconds": [None, 500.5, 3.0],
    "min_gpus": [1, None, None],
    "max_gpus": [None, 8, None],
    "workload": ["resnet50", None, "bert"],
    "checkpoint_interval_seconds": [600.0, None, 0.0001],
    "image": [None, "train:1", "train:1"],
    "flexibility": [None, None, 0],
    "data_gb": [1.5, None, 0.0006],
    "data_region": ["pjm", None, "ciso"],
}


def with_optionals(**change: object) -> Trace:
    return simple([0.0, 1.0, 2.0], [5.0] * 3, [4000, 4000, 500], **(OPTIONALS | change))


def test_facts_of_some_jobs_are_arrays_with_a_default_for_the_others() -> None:
    trace = with_optionals()
    assert trace.priority.tolist() == [3, 0, -1]
    assert trace.predicted_duration_milliseconds.tolist() == [7500, 0, 1]
    assert trace.latest_start_milliseconds.tolist() == [100_000, 1000, 2000]
    assert trace.deadline_milliseconds.tolist() == [NO_DEADLINE, 500_500, 3000]
    assert trace.min_gpu_milli.tolist() == [1000, 4000, 500]
    assert trace.max_gpu_milli.tolist() == [4000, 8000, 500]
    assert trace.checkpoint_interval_milliseconds.tolist() == [600_000, 0, 1]
    assert trace.flexibility.tolist() == [3, 2, 0]
    assert trace.data_mb.tolist() == [1500, 0, 1]
    assert trace.codes("workload")[0] == ("bert", "resnet50")
    assert trace.codes("workload")[1].tolist() == [1, -1, 0]
    assert trace.codes("user")[0] == ()
    assert trace.codes("user")[1].tolist() == [-1] * 3


@pytest.mark.parametrize("count", [0, 3])
def test_a_trace_without_these_facts_has_the_defaults(count: int) -> None:
    trace = simple([1.5] * count, [2] * count, [2000] * count)
    assert all(trace.table[name].null_count == count for name in OPTIONAL)
    arrays = {
        "priority": 0,
        "predicted_duration_milliseconds": 0,
        "latest_start_milliseconds": 1500,
        "deadline_milliseconds": NO_DEADLINE,
        "min_gpu_milli": 2000,
        "max_gpu_milli": 2000,
        "checkpoint_interval_milliseconds": 0,
        "data_mb": 0,
    }
    for name, default in arrays.items():
        values = getattr(trace, name)
        assert values.dtype == np.int64, name
        assert values.tolist() == [default] * count, name
    assert trace.codes("image")[1].tolist() == [-1] * count


maybe = st.none() | st.floats(0.001, 1e6)
facts = st.lists(
    st.tuples(
        st.floats(0, 1e6),
        st.integers(1, 64),
        st.none() | st.integers(-(2**31) + 1, 2**31 - 1),
        *(maybe, maybe, maybe, maybe),
        st.none() | st.floats(0, 1),
        st.none() | st.integers(0, 64),
        st.none() | st.text(min_size=1, max_size=3),
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=30)
@given(facts)
def test_any_valid_facts_survive_a_file_and_keep_their_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]
) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * 10
    submit, gpus, priority, estimate, slack, due, interval, narrow, wide, name = columns
    trace = simple(
        submit,
        [1.0] * len(rows),
        [1000 * count for count in gpus],
        priority=priority,
        predicted_duration_seconds=estimate,
        latest_start_seconds=[more and start + more for start, more in zip(submit, slack, strict=True)],
        deadline_seconds=[more and start + more for start, more in zip(submit, due, strict=True)],
        checkpoint_interval_seconds=interval,
        min_gpus=[None if part is None else max(int(part * n), 1) for part, n in zip(narrow, gpus, strict=True)],
        max_gpus=[None if more is None else n + more for more, n in zip(wide, gpus, strict=True)],
        workload=name,
        image=name[::-1],
    )
    path = str(tmp_path_factory.mktemp("facts") / "x.parquet")
    trace.to_parquet(path)
    assert Trace.read(path).table.equals(trace.table)
    assert np.all(trace.latest_start_milliseconds >= trace.submit_milliseconds)
    assert np.all(trace.deadline_milliseconds >= trace.submit_milliseconds)
    assert np.all((trace.min_gpu_milli >= 1000) & (trace.min_gpu_milli <= trace.gpu_milli))
    assert np.all(trace.max_gpu_milli >= trace.gpu_milli)
    names, codes = trace.codes("workload")
    assert list(names) == sorted(set(names))
    expected = trace.table["workload"].to_pylist()
    assert [names[code] if code >= 0 else None for code in codes.tolist()] == expected


def test_parquet_and_windows_keep_these_facts(tmp_path: Path) -> None:
    trace = with_optionals()
    trace.to_parquet(str(tmp_path / "x.parquet"))
    assert Trace.read(str(tmp_path / "x.parquet")).table.equals(trace.table)
    assert trace.window(1).table.to_pylist() == trace.table.to_pylist()[1:]


def test_a_parquet_file_from_before_these_facts_still_loads(tmp_path: Path) -> None:
    trace = with_optionals()
    pq.write_table(trace.table.drop_columns(list(OPTIONALS)), tmp_path / "x.parquet")
    again = Trace.read(str(tmp_path / "x.parquet"))
    assert again.table.drop_columns(list(OPTIONALS)).equals(trace.table.drop_columns(list(OPTIONALS)))
    assert all(again.table[name].null_count == 3 for name in OPTIONALS)


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("priority", 2, 2**31, "2147483648 is outside of"),
        ("priority", 1, 0.5, "column priority cannot be read as int64"),
        ("predicted_duration_seconds", 2, 0.0, "0.0 is zero; estimates of run times must be > 0.*leave the cell empty"),
        ("predicted_duration_seconds", 1, float("nan"), "nan is not a finite number"),
        ("latest_start_seconds", 2, 0.5, "0.5 is before the submit time 1.0; it is a time of the trace"),
        ("latest_start_seconds", 2, 5e12, "is the column in milliseconds"),
        ("deadline_seconds", 3, 2.0, "2.0 is not after the submit time 2.0"),
        ("min_gpus", 1, 0, "0 is no width of this job; it must be from 1 to the 4 GPUs requested"),
        ("min_gpus", 2, 5, "5 is no width of this job"),
        ("min_gpus", 3, 1, "1 for a job that requests a share of one GPU"),
        ("max_gpus", 1, 3, "3 is no width of this job; it must be at least the 4 GPUs requested"),
        ("max_gpus", 2, 10**9, ".* and at most 1000000"),
        ("workload", 2, "", "is an empty text"),
        ("flexibility", 3, 4, "4 is no flexibility tier; they are 0 to 3"),
        ("checkpoint_interval_seconds", 2, -1.0, "-1.0 is negative; checkpoint intervals must be > 0"),
        ("image", 3, "", "is an empty text"),
        ("data_region", 1, "", "is an empty text"),
        ("data_gb", 1, -1.0, "-1.0 is no size of data; a job reads 0 to 1000000 GB"),
        ("data_gb", 3, float("nan"), "nan is no size of data"),
        ("data_gb", 3, 2e6, "2000000.0 is no size of data"),
    ],
)
def test_a_broken_fact_names_row_column_and_value(column: str, row: int, value: object, message: str) -> None:
    values = list(OPTIONALS[column])
    values[row - 1] = value
    where = "" if "column" in message else f"row {row}, column {column}: "
    with pytest.raises(TraceValueError, match=where + message):
        with_optionals(**{column: values})


def test_times_in_milliseconds_round_halves_up_and_no_job_lasts_zero() -> None:
    trace = simple([0.0004, 0.0005, 1.0015, 2.9999], [0.0001, 0.0015, 0.0025, 7], [1000] * 4)
    assert trace.submit_milliseconds.tolist() == [0, 1, 1002, 3000]
    assert trace.duration_milliseconds.tolist() == [1, 2, 3, 7000]
    assert trace.submit_milliseconds.dtype == trace.duration_milliseconds.dtype == np.int64


def test_windows_take_the_start_in_and_the_end_out_and_keep_times() -> None:
    trace = simple([0, 10, 10, 20, 30], [1] * 5, [1000] * 5)
    assert trace.window(10, 30).submit_time_seconds.tolist() == [10, 10, 20]
    assert trace.window(end_seconds=10).num_jobs == 1
    assert trace.window(20).submit_time_seconds.tolist() == [20, 30]
    assert trace.window(30, 10).num_jobs == 0


def test_span_is_from_the_first_to_the_last_submission() -> None:
    trace = simple([7, 3, 5], [100] * 3, [1000] * 3)
    assert (trace.first_submit_seconds, trace.last_submit_seconds, trace.span_seconds) == (3, 7, 4)
    empty = trace.window(100)
    assert (empty.span_seconds, empty.peak_gpu_milli, empty.gpu_hours) == (0, 0, 0)


@given(jobs)
def test_peak_is_that_of_a_cluster_where_nobody_waits(rows: list[tuple]) -> None:
    trace = trace_of(rows)
    starts, ends = trace.submit_milliseconds, trace.submit_milliseconds + trace.duration_milliseconds
    in_use = [int(trace.gpu_milli[(starts <= now) & (now < ends)].sum()) for now in starts]
    assert trace.peak_gpu_milli == max(in_use, default=0)


def test_a_job_that_starts_when_another_ends_does_not_add_to_the_peak() -> None:
    assert simple([0, 10], [10, 10], [4000, 4000]).peak_gpu_milli == 4000


def test_week_offset_counts_from_monday_midnight() -> None:
    thursday = TraceMetadata(start_time=datetime.fromisoformat("2021-03-04T01:00"))
    assert simple([0], [1], [1000], metadata=thursday).week_offset_seconds == 3 * 86_400 + 3600
    assert simple([0], [1], [1000]).week_offset_seconds == 0.0


def test_a_start_time_with_a_zone_is_refused() -> None:
    with pytest.raises(TraceValueError, match="time zone"):
        TraceMetadata(start_time=datetime(2021, 3, 4, tzinfo=UTC))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"submit_time_seconds": [0, -2.5]}, "row 2, column submit_time_seconds: -2.5 is negative"),
        ({"submit_time_seconds": [0, 1.7e12]}, "row 2, .*milliseconds"),
        ({"duration_seconds": [0.0, 1]}, "row 1, column duration_seconds: 0.0 is zero"),
        ({"duration_seconds": [1, float("nan")]}, "row 2, column duration_seconds: nan is not a finite number"),
        ({"duration_seconds": [1, float("inf")]}, "row 2, column duration_seconds: inf"),
        ({"duration_seconds": [1, None]}, "row 2, column duration_seconds: is empty"),
        ({"gpu_milli": [0, 1000]}, "row 1, column gpu_milli: 0 is not above 0"),
        ({"gpu_milli": [1000, 1500]}, "row 2, column gpu_milli: 1500 is not a whole number"),
        ({"gpu_milli": [1000, 2.5]}, "column gpu_milli cannot be read as int64"),
        ({"gpu_milli": [1000, 10**10]}, "row 2, column gpu_milli: 10000000000"),
        ({"job_id": ["a", "a"]}, "row 2, column job_id: 'a' is already the value of row 1"),
        ({"user": ["a"]}, "column user has 1 rows"),
    ],
)
def test_a_broken_rule_names_row_column_and_value(change: dict, message: str) -> None:
    good = {"submit_time_seconds": [0.0, 1.0], "duration_seconds": [1.0, 1.0], "gpu_milli": [1000, 1000]}
    with pytest.raises(TraceValueError, match=message):
        Trace.from_columns(good | change)


def test_a_trace_does_not_change_with_the_arrays_it_was_made_of() -> None:
    submit = np.zeros(2)
    trace = simple(submit, np.ones(2), [1000, 1000])
    submit[0] = 7
    assert trace.submit_time_seconds.tolist() == [0, 0]


def test_a_table_with_other_columns_is_no_trace() -> None:
    with pytest.raises(TraceValueError, match="SCHEMA"):
        Trace(pa.table({"job_id": ["a"]}))


def test_parquet_without_a_required_column_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"submit_time_seconds": [1.0], "gpu_milli": [1000]}), tmp_path / "x.parquet")
    with pytest.raises(TraceValueError, match="no column duration_seconds"):
        Trace.read(str(tmp_path / "x.parquet"))


def test_parquet_of_another_tool_is_validated_and_sorted(tmp_path: Path) -> None:
    columns = {"submit_time_seconds": [3, 1], "duration_seconds": [1, 2], "gpu_milli": [1000, 500], "more": ["x", "y"]}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    assert Trace.read(str(tmp_path / "x.parquet")).gpu_milli.tolist() == [500, 1000]


@pytest.mark.parametrize("content", [b"", b"PAR1 but no more", b"job_id,duration\n"])
def test_a_damaged_parquet_file_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(TraceFileError, match="damaged or not Parquet") as caught:
        Trace.read(str(tmp_path / "x.parquet"))
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, TraceError)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow over 16 KiB, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    simple([0], [1], [1000]).to_parquet(str(path))
    rng = np.random.default_rng(0)
    large = simple(rng.random(10_000), rng.random(10_000) + 1, [1000] * 10_000)
    with pytest.raises(OutputFileError, match="cannot be written"):
        large.to_parquet(str(path))
    assert Trace.read(str(path)).num_jobs == 1
    assert list(tmp_path.iterdir()) == [path]
