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
