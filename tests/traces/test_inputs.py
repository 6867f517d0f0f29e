"""What a data set comes in: compressed files, archives, folders."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

import traces
from traces import inputs

HEADER = "job_id,submission_time,duration,num_gpu\n"
TEXT = (HEADER + "a,0,600,1\nb,60,700,2\n").encode()
WAYS = {
    "x.csv": lambda text: text,
    "x.csv.gz": gzip.compress,
    "x.csv.bz2": bz2.compress,
    "x.csv.xz": lzma.compress,
    "x.csv.zst": lambda text: pa.compress(text, "zstd", asbytes=True),
}


def tar(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, text in members.items():
            item = tarfile.TarInfo(name)
            item.size = len(text)
            archive.addfile(item, io.BytesIO(text))
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize("name", WAYS)
def test_every_compression_is_found_by_its_first_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(WAYS[name](TEXT))
    assert traces.load(f"itp:{tmp_path / name}").num_jobs == 2


def test_a_single_member_of_an_archive_is_the_table(tmp_path: Path) -> None:
    members = {"data/x.csv": TEXT, "data/.hidden": b"", "__MACOSX/x.csv": b""}
    for path in (zipped(tmp_path / "x.zip", members), tar(tmp_path / "x.tar.gz", members)):
        assert traces.load(f"itp:{path}").num_jobs == 2


def test_a_path_goes_on_into_an_archive(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"data/a.csv": TEXT, "data/b.csv.gz": gzip.compress(TEXT)})
    assert traces.load(f"itp:{path}/data/b.csv.gz").num_jobs == 2
    with pytest.raises(traces.TraceFileError, match=r"has no data/c\.csv; did you mean 'data/a\.csv'"):
        traces.load(f"itp:{path}/data/c.csv")


@pytest.mark.parametrize("name", ["../x.csv", "/etc/x.csv", "data/../../x.csv", "data\\..\\..\\x.csv"])
def test_a_member_that_leaves_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(traces.TraceFileError, match="lies outside of the archive"):
        traces.load(f"itp:{tar(tmp_path / 'x.tar.gz', {name: TEXT})}")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.tar.gz"]


@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv.xz", "x.csv.bz2", "x.csv.zst"])
def test_a_truncated_file_is_damaged(tmp_path: Path, name: str) -> None:
    whole = WAYS[name]((HEADER + "".join(f"{n},{n * 7919 % 1013},600,1\n" for n in range(50_000))).encode())
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(traces.TraceFileError, match=rf"{name}: is damaged"):
        traces.load(f"itp:{tmp_path / name}")


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_a_truncated_archive_is_damaged(tmp_path: Path, name: str) -> None:
    make = zipped if name.endswith("zip") else tar
    whole = make(tmp_path / name, {"x.csv": TEXT}).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(traces.TraceFileError, match=rf"{name}: is damaged"):
        traces.load(f"itp:{tmp_path / name}")


@pytest.mark.parametrize("name", WAYS)
def test_a_bomb_is_refused_before_it_fills_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(inputs, "MAX_FREE_BYTES", 1 << 20)
    monkeypatch.setattr(inputs, "MAX_RATIO", 20)
    (tmp_path / name).write_bytes(WAYS[name](TEXT + b"a,0,600,1\n" * 1_000_000))
    if name == "x.csv":
        assert inputs.only_input(str(tmp_path / name)).head(5) == b"job_i"
        return
    with pytest.raises(traces.TraceFileError, match=r"swells to more than [\d,]+ bytes; it is no trace"):
        traces.load(f"itp:{tmp_path / name}")


def test_a_zip_bomb_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_FREE_BYTES", 1 << 20)
    path = zipped(tmp_path / "x.zip", {"x.csv": HEADER.encode() + b"0" * (1 << 26)})
    with pytest.raises(traces.TraceFileError, match="swells to more than"):
        traces.load(f"itp:{path}")


def test_utf_16_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(TEXT.decode(), encoding="utf-16")
    with pytest.raises(traces.TraceFileError, match="is UTF-16 text; save it as UTF-8"):
        traces.load(f"itp:{tmp_path}/x.csv")


def test_epoch_and_relative_times_in_one_file_are_refused_with_the_row(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(HEADER + "a,0,600,1\nb,60,700,2\nc,1614816000,600,1\n")
    with pytest.raises(traces.TraceValueError, match="row 3, column submission_time: 1614816000 s, while most"):
        traces.load(f"itp:{tmp_path}/x.csv")


def test_a_bomb_in_a_tar_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar(tmp_path / "x.tar.gz", {"x.csv": TEXT + b"0" * (1 << 21)})
    monkeypatch.setattr(inputs, "MAX_FREE_BYTES", 1 << 20)
    monkeypatch.setattr(inputs, "MAX_RATIO", 2)
    with pytest.raises(traces.TraceFileError, match=r"x\.tar\.gz/x\.csv: swells to more than 1,048,576 bytes"):
        inputs.find_inputs(str(path))


def test_lists_in_lists_without_an_end_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"items": [' + "[" * 200_000)
    with pytest.raises(traces.TraceFileError, match=r"x\.json: is damaged or not JSON"):
        traces.load(f"kubernetes:{tmp_path}/x.json")


def test_an_encrypted_archive_is_one_line(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"x.csv": TEXT})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag of the member
    content[content.find(b"PK\x01\x02") + 8] |= 1  # and in the list of members
    path.write_bytes(content)
    with pytest.raises(
        traces.TraceFileError, match=r"x\.zip/x\.csv: cannot be unpacked \(.*encrypted.*with another program"
    ):
        traces.load(f"itp:{path}")


def test_a_file_that_is_no_text_is_one_short_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.csv").write_bytes(b"\x1b[31m\n1\n")
    with pytest.raises(traces.TraceFileError, match="its first line has characters that no text has"):
        traces.load(f"itp:{tmp_path}/x.csv")
    (tmp_path / "x.csv").write_bytes(b"a" * 300 + b"\n1\n")
    with pytest.raises(traces.TraceValueError, match=r"has no column job_id; valid: .*aaa") as caught:
        traces.load(f"itp:{tmp_path}/x.csv")
    assert len(str(caught.value)) < 250
    monkeypatch.setattr("traces.tables._HEADER_BYTES", 100)
    with pytest.raises(traces.TraceFileError, match="its first line has more than 100 bytes; it is no text table"):
        traces.load(f"itp:{tmp_path}/x.csv")


@pytest.mark.parametrize("year", ["0001", "1582", "9999"])
@pytest.mark.parametrize(
    ("form", "header", "row"),
    [
        ("philly:x.csv", "timestamp,duration,num_gpus,gpu_time,cluster", "{}-10-09 07:02:00,60.0,2,120.0,a"),
        ("csv:x.csv?submit=at&duration=s&gpus=n", "at,s,n", "{}-10-09 07:02:00,60,2"),
        (
            "sacct:x.csv",
            "JobID|Submit|Start|End|AllocTRES",
            "{0}|{0}-10-09T07:02:00|{0}-10-09T07:02:00|{0}-10-09T08:02:00|gres/gpu=1",
        ),
    ],
)
def test_one_time_of_another_age_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, year: str, form: str, header: str, row: str
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [row.format(each) for each in ("2017", year, "2018", "2016")]
    Path("x.csv").write_text("\n".join([header, *lines]) + "\n")
    trace = traces.load(form)
    assert trace.num_jobs == 3
    assert trace.metadata.start_time is not None
    assert trace.metadata.start_time.year == 2016
    ((reason, count),) = trace.metadata.bad_rows.items()
    assert count == 1
    assert "is more than 127 years from most others" in reason
    strict = "&strict=true" if "?" in form else "?strict=true"
    with pytest.raises(traces.TraceValueError, match=f"row 2, column .*: {year}-10-09 07:02:00 is more than 127 years"):
        traces.load(form + strict)
