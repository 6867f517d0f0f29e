"""Bad CSV files: one line that says where and what."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from traces import TraceFileError, TraceValueError
from traces.tables import read_csv

COLUMNS = {"name": pa.string(), "seconds": pa.float64(), "count": pa.int64(), "at": pa.timestamp("s")}
HEADER = "name,seconds,count,at,more\n"
GOOD = "a,1.5,2,2017-10-09 07:01:55,x\n"


def write(tmp_path: Path, text: str, name: str = "x.csv") -> str:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return str(path)


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_plain_and_compressed_files_are_read(tmp_path: Path, name: str, start: str, end: str) -> None:
    table = read_csv(write(tmp_path, start + (HEADER + GOOD).replace("\n", end), name), COLUMNS)
    assert table.column_names == list(COLUMNS)
    assert table["seconds"].to_pylist() == [1.5]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,fast,2,2017-10-09 07:01:55,x\n", "row 2, column seconds: 'fast' is not a number"),
        ("a,1,2.5,2017-10-09 07:01:55,x\n", "row 2, column count: '2.5' is not a whole number"),
        ("a,1,2,soon,x\n", "row 2, column at: 'soon' is not a time"),
        ("a,1,2\n", "row 2: has 3 cells, the header 5"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(TraceValueError, match=message):
        read_csv(write(tmp_path, HEADER + GOOD + row + GOOD), COLUMNS)


def test_a_missing_column_proposes_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(TraceValueError, match="no column second; did you mean 'seconds'"):
        read_csv(write(tmp_path, HEADER + GOOD), {"second": pa.float64()})


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(TraceFileError, match=r"nowhere.csv: cannot be read"):
        read_csv(str(tmp_path / "nowhere.csv"), COLUMNS)
    with pytest.raises(TraceFileError, match="cannot be read"):
        read_csv(str(tmp_path), COLUMNS)
    with pytest.raises(TraceFileError, match="is empty"):
        read_csv(write(tmp_path, ""), COLUMNS)
    (tmp_path / "bad.csv.gz").write_bytes(b"no gzip at all")
    with pytest.raises(TraceFileError, match="damaged"):
        read_csv(str(tmp_path / "bad.csv.gz"), COLUMNS)


def test_a_truncated_archive_is_damaged(tmp_path: Path) -> None:
    whole = gzip.compress((HEADER + "".join(f"{n},{n * 7919 % 1013},2,,x\n" for n in range(100_000))).encode())
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TraceFileError, match="damaged"):
        read_csv(str(tmp_path / "cut.csv.gz"), COLUMNS)
