"""From a URI to a trace: names, options, windows, lazy imports."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import traces
from autoscaler.cli import main
from traces.format import Format
from traces.formats import FORMATS
from traces.options import NoOptions
from traces.trace import Trace
from traces.uri import TraceURI


@pytest.fixture
def hourly(tmp_path: Path) -> str:
    """A Parquet trace of ten jobs, one each hour."""
    path = str(tmp_path / "x.parquet")
    submit = [hour * 3600.0 for hour in range(10)]
    Trace.from_columns(
        {"submit_time_seconds": submit, "duration_seconds": [60.0] * 10, "gpu_milli": [1000] * 10}
    ).to_parquet(path)
    return path


def test_every_format_describes_itself() -> None:
    known = traces.formats()
    assert [item.name for item in known] == sorted(FORMATS)
    for item in known:
        assert item.description
        assert item.licence
        assert TraceURI.parse(item.example).scheme == item.name
        assert traces.kind_of(item.example) == item.kind
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
        ("csv:x.csv?strict=yes", "strict takes true or false, not 'yes'"),
        ("itp:x.csv?separator=;", "separator takes auto or comma or semicolon or tab or pipe, not ';'"),
        ("parquet:x.parquet?strict=true", "parquet has no option 'strict'"),
        ("synthetic:quikstart", "no preset 'quikstart'.*quickstart"),
        ("openb-nodes:x.csv", "use traces.load_nodes"),
    ],
)
def test_a_mistake_in_a_uri_is_named(uri: str, message: str) -> None:
    with pytest.raises(traces.TraceURIError, match=message):
        traces.load(uri)


def test_a_format_is_one_module_and_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A toy format is listed, read and inspected by the command line like the others."""
    toy = ModuleType("toy_format")
    toy.FORMAT = Format(  # type: ignore[attr-defined]
        name="toy",
        kind="jobs",
        description="jobs of 1 GPU, a duration on each line",
        options=NoOptions,
        load=lambda path, _: Trace.from_columns(
            {
                "submit_time_seconds": range(len(Path(path).read_text().split())),
                "duration_seconds": [float(word) for word in Path(path).read_text().split()],
                "gpu_milli": [1000] * len(Path(path).read_text().split()),
            }
        ),
        licence="MIT",
        citation="Toy et al., 2024",
        example="toy:x.txt",
    )
    monkeypatch.setitem(sys.modules, "toy_format", toy)
    monkeypatch.setitem(FORMATS, "toy", "toy_format")
    (tmp_path / "x.txt").write_text("5\n7\n")
    assert "toy" in [item.name for item in traces.formats()]
    assert main(["traces", "info", f"toy:{tmp_path}/x.txt"]) == 0
    assert traces.load(f"toy:{tmp_path}/x.txt?limit=1").duration_seconds.tolist() == [5.0]


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
