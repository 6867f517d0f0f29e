"""From a URI to a trace: names, options, windows, lazy imports."""

import subprocess
import sys
from pathlib import Path

import pytest

import traces
from traces.formats import FORMATS
from traces.trace import Trace
from traces.uri import TraceURI


@pytest.fixture
def hourly(tmp_path: Path) -> str:
    """A Parquet trace of ten jobs, one each hour."""
    path = str(tmp_path / "x.parquet")
    submit = [hour * 3600.0 for hour in range(10)]
    Trace.from_columns(submit_time_seconds=submit, duration_seconds=[60.0] * 10, gpu_milli=[1000] * 10).to_parquet(path)
    return path


def test_every_format_describes_itself() -> None:
    known = traces.formats()
    assert [item.name for item in known] == sorted(FORMATS)
    for item in known:
        assert item.description
        assert item.licence
        assert TraceURI.parse(item.example).scheme == item.name
        assert traces.holds_nodes(item.example) == (item.rows == "nodes")
        assert all(option.description for option in item.options)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("philyl:x.csv", "no trace format 'philyl'.*philly"),
        ("itp:x.csv?limt=5", "no option 'limt'.*limit"),
        ("openb:x.csv?pendin=keep", "no option 'pendin'.*pending"),
        ("openb:x.csv?pending=maybe", "pending takes keep or drop, not 'maybe'"),
        ("itp:x.csv?limit=five", "limit takes a whole number, not 'five'"),
        ("itp:x.csv?start_seconds=soon", "start_seconds takes a number, not 'soon'"),
        ("csv:x.csv?start_time=noon", "start_time takes a time"),
        ("synthetic:quikstart", "no preset 'quikstart'.*quickstart"),
        ("openb-nodes:x.csv", "use traces.load_nodes"),
    ],
)
def test_a_mistake_in_a_uri_is_named(uri: str, message: str) -> None:
    with pytest.raises(traces.TraceURIError, match=message):
        traces.load(uri)


def test_jobs_are_not_nodes() -> None:
    with pytest.raises(traces.TraceURIError, match=r"use traces\.load$"):
        traces.load_nodes("itp:x.csv")


def test_every_format_takes_a_window_and_a_limit(hourly: str) -> None:
    trace = traces.load(f"{hourly}?start_seconds=7200&end_seconds=25200&limit=3")
    assert trace.submit_time_seconds.tolist() == [7200, 10800, 14400]
    assert traces.load(trace.uri).table.equals(trace.table)


def test_an_empty_window_tells_the_times_that_there_are(hourly: str) -> None:
    with pytest.raises(traces.TraceURIError, match="from 0 to 32400 seconds"):
        traces.load(f"{hourly}?start_seconds=40000")
    with pytest.raises(traces.TraceURIError, match="at least 1 job"):
        traces.load(f"{hourly}?limit=0")


def test_the_first_import_stays_known_in_the_copy(hourly: str, tmp_path: Path) -> None:
    first = traces.load(f"{hourly}?limit=4")
    first.to_parquet(str(tmp_path / "copy.parquet"))
    assert traces.load(str(tmp_path / "copy.parquet")).metadata.origin == first.uri


def test_importing_traces_imports_no_format() -> None:
    code = "import sys, traces; print([m for m in sys.modules if m.startswith('traces.formats.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
