"""Bad CSV files: one line that says where and what."""

import gzip
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest

from traces import TraceFileError, TraceValueError, tables
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


def test_rows_that_cannot_be_read_cost_their_blocks_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of ten lines is read by lines where one of them is bad, and rows keep their numbers in the file."""
    monkeypatch.setattr(tables, "_BLOCK_BYTES", 100)
    read_by_lines = []
    reader = tables.CellReader
    monkeypatch.setattr(tables, "CellReader", lambda lines, *rest: read_by_lines.append(lines) or reader(lines, *rest))
    lines = [f"a{number:02},{number:02},2\n" for number in range(60)]
    lines[31], lines[32], lines[55] = "a31,fast,2\n", "a32,slow,2\n", "a55,55\n"
    found = tables.read_text(
        write(tmp_path, "name,seconds,count\n" + "".join(lines)), dict(islice(COLUMNS.items(), 2)), ","
    )
    assert found.table["name"].to_pylist() == [f"a{number:02}" for number in range(60) if number not in (31, 32, 55)]
    assert found.rows.tolist() == [number + 1 for number in range(60) if number not in (31, 32, 55)]
    assert found.table["seconds"].to_pylist()[-1] == 59.0
    assert [(problem.row, problem.count, problem.reason) for problem in found.problems] == [
        (32, 2, "its seconds is not a number"),
        (56, 1, "it has more or fewer cells than the header"),
    ]
    assert found.unreadable == 3
    assert sum(map(len, read_by_lines)) < 300, "two blocks of 60 lines"


def test_numbers_or_times_are_told_over_all_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_BLOCK_BYTES", 64)
    rows = [f"2017-10-09 07:01:{number:02}" for number in range(40)]
    rows[20:23] = ["5", "NA", "soon"]
    found = tables.read_text(write(tmp_path, "at,x\n" + "".join(f"{row},1\n" for row in rows)), {"at": None}, ",")
    assert found.table["at"].type == pa.timestamp("us")
    assert found.table.num_rows == 38
    assert found.table["at"].null_count == 1
    assert [(problem.row, problem.count) for problem in found.problems] == [(21, 2)]


def test_one_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_BLOCK_BYTES", 64)
    monkeypatch.setattr(tables, "_MAX_LINE_BYTES", 1000)
    with pytest.raises(TraceFileError, match="has a line of more than 1,000 bytes; it is no text table"):
        read_csv(write(tmp_path, HEADER + GOOD + "x" * 5000), COLUMNS)


def test_arrow_reads_bytes_and_no_stream_of_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its threads would still read a stream after an error, and crash when Python ends meanwhile."""
    seen = []

    def reader(stream: object, **options: object) -> pa.Table:
        seen.append(type(stream))
        return read(stream, **options)

    read = tables.pacsv.read_csv
    monkeypatch.setattr(tables.pacsv, "read_csv", reader)
    read_csv(write(tmp_path, HEADER + GOOD), COLUMNS)
    assert seen == [pa.BufferReader]
