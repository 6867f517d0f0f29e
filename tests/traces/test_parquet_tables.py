"""Text tables that somebody saved as Parquet."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

import traces
from tests.traces.formats import test_helios, test_openb, test_sacct
from tests.traces.test_inputs import zipped

SAMPLES = {
    "helios": test_helios.HEADER + test_helios.row("1") + test_helios.row("2", start="", state="CANCELLED"),
    "openb": test_openb.HEADER + test_openb.SHARED + test_openb.GANG + test_openb.PENDING,
    "sacct": test_sacct.HEADER + test_sacct.row(),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_table_gives_the_same_trace_as_parquet(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.csv").write_text(SAMPLES[name])
    separator = pacsv.ParseOptions(delimiter="|" if name == "sacct" else ",")
    table = pacsv.read_csv(tmp_path / "x.csv", parse_options=separator)
    pq.write_table(table, tmp_path / "x.parquet")
    expected = traces.load(f"{name}:{tmp_path}/x.csv")
    assert traces.load(f"{name}:{tmp_path}/x.parquet").table.equals(expected.table)
    zipped(tmp_path / "x.zip", {"data/x.parquet": (tmp_path / "x.parquet").read_bytes()})
    assert traces.load(f"{name}:{tmp_path}/x.zip").metadata.dropped == expected.metadata.dropped


def test_nan_is_no_value_and_another_dtype_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table(
        {"when": pa.array([0, 60_000_000], pa.timestamp("us")), "run": [5.0, float("nan")], "gpus": [1, 2]}
    )
    pq.write_table(table, path)
    trace = traces.load(f"csv:{path}?submit=when&duration=run")
    assert trace.metadata.bad_rows == {"its run is empty": 1}
    with pytest.raises(traces.TraceValueError, match=r"has no column runs; did you mean 'run'"):
        traces.load(f"csv:{path}?submit=when&duration=runs")
    pq.write_table(table.append_column("state", [["DONE", "FAILED"]]), path)
    with pytest.raises(traces.TraceValueError, match=r"state is string and cannot be read as double .*; save it"):
        traces.load(f"csv:{path}?submit=when&duration=state")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(traces.TraceFileError, match=r"x\.parquet: is damaged"):
        traces.load(f"csv:{path}?submit=when&duration=run")
