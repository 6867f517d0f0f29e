"""Releases are fetched whole, once, and as they were; against a server of this process."""

import errno
import hashlib
import io
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

import traces
from autoscaler.cli import main
from tests.traces.test_inputs import TEXT
from traces import catalogue, download
from traces.catalogue import File, Release

CONTENT = TEXT * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """What the server serves and what it was asked for; it breaks off after `breaks` bytes, once for each number."""

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    status: int = 200
    version: str = '"1"'
    breaks: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(download, "WAIT_SECONDS", 0.0)
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            site.asked.append(wanted)
            is_other = self.headers.get("If-Range", site.version) != site.version
            start = (
                int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and site.ranges and not is_other else 0
            )
            if site.status != 200 or (start and start >= len(site.content)):
                self.send_response(site.status if site.status != 200 else 416)
                self.send_header("Content-Range", f"bytes */{len(site.content)}")
                self.end_headers()
                return
            rest = site.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.send_header("ETag", site.version)
            self.end_headers()
            self.wfile.write(rest[: site.breaks.pop(0)] if site.breaks else rest)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}/x.csv"
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(site: Site, folder: Path, sha256: str | None = SHA) -> list[str]:
    release = Release(
        "x", "a toy", catalogue.NO_LICENCE, "", (File(site.url, "x.csv", sha256),), "itp:{folder}/x.csv", 1
    )
    return download.download(release, folder, lambda *_: None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once(site: Site, tmp_path: Path) -> None:
    assert fetch(site, tmp_path / "new") == []
    assert (tmp_path / "new" / "x.csv").read_bytes() == CONTENT
    assert fetch(site, tmp_path / "new") == ["x.csv is there already"]
    assert site.asked == [""]


def test_a_broken_connection_is_taken_up_where_it_stopped(site: Site, tmp_path: Path) -> None:
    site.breaks = [10_000, 5000]
    fetch(site, tmp_path)
    assert site.asked == ["", "bytes=10000-", "bytes=15000-"]
    assert (tmp_path / "x.csv").read_bytes() == CONTENT
    assert names(tmp_path) == ["x.csv"]


def test_one_that_breaks_again_and_again_is_one_line_and_goes_on_later(site: Site, tmp_path: Path) -> None:
    site.breaks = [1000, *[0] * 5]
    with pytest.raises(traces.TraceFileError, match=r"cannot be fetched .* repeat: it goes on where it stopped"):
        fetch(site, tmp_path)
    assert names(tmp_path) == ["x.csv.partial", "x.csv.partial.of"]
    fetch(site, tmp_path)
    assert site.asked[-1] == "bytes=1000-"
    assert (tmp_path / "x.csv").read_bytes() == CONTENT
    assert names(tmp_path) == ["x.csv"]


def test_a_file_that_changed_meanwhile_is_not_put_behind_the_start_of_the_old_one(site: Site, tmp_path: Path) -> None:
    site.breaks = [1000, *[0] * 5]
    with pytest.raises(traces.TraceFileError):
        fetch(site, tmp_path, None)
    site.content, site.version = CONTENT[::-1], '"2"'
    fetch(site, tmp_path, None)
    assert (tmp_path / "x.csv").read_bytes() == CONTENT[::-1]


def test_what_is_whole_already_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    """As after a kill before the checksum was looked at."""
    (tmp_path / "x.csv.partial").write_bytes(CONTENT)
    fetch(site, tmp_path)
    assert site.asked == [f"bytes={len(CONTENT)}-"]
    assert (tmp_path / "x.csv").read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.status = 503
    with pytest.raises(traces.TraceFileError, match=r"cannot be fetched \(HTTP 503 Service Unavailable\)"):
        fetch(site, tmp_path)
    assert len(site.asked) == download.MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><html>log in</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "a pointer of Git LFS"),
    ],
)
def test_a_page_in_place_of_data_is_not_trusted(site: Site, tmp_path: Path, content: bytes, what: str) -> None:
    site.content = content
    with pytest.raises(traces.TraceFileError, match=f"sent {what}, no data"):
        fetch(site, tmp_path, None)
    assert names(tmp_path) == []


def test_a_file_that_the_disk_cannot_hold_is_refused_before_it_is_full(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    with pytest.raises(traces.TraceFileError, match=r"0\.\d MB are to come and 0\.0 MB are free\); free space or"):
        fetch(site, tmp_path)
    assert names(tmp_path) == []


def test_a_server_without_ranges_begins_anew(site: Site, tmp_path: Path) -> None:
    site.ranges, site.breaks = False, [10_000]
    fetch(site, tmp_path)
    assert (tmp_path / "x.csv").read_bytes() == CONTENT


def test_what_is_longer_than_the_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    (tmp_path / "x.csv.partial").write_bytes(CONTENT * 2)
    fetch(site, tmp_path)
    assert (tmp_path / "x.csv").read_bytes() == CONTENT


def test_a_wrong_checksum_keeps_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(traces.TraceFileError, match=r"has the checksum .*, not .* of the catalogue, .* data changed"):
        fetch(site, tmp_path, "0" * 64)
    assert names(tmp_path) == []


def test_without_a_checksum_the_first_download_is_trusted_and_said_so(site: Site, tmp_path: Path) -> None:
    assert fetch(site, tmp_path, None) == [f"x.csv: no checksum is published; trusted on first use, sha256 {SHA}"]
    (tmp_path / "x.csv").unlink()
    site.content = TEXT
    with pytest.raises(traces.TraceFileError, match=r"of the first download, .* remove .*sha256.json to take it"):
        fetch(site, tmp_path, None)
    (tmp_path / "x.csv").write_bytes(b"changed")
    with pytest.raises(traces.TraceFileError, match="is not what was fetched"):
        fetch(site, tmp_path, None)


def test_a_full_disk_is_one_line_and_keeps_what_was_fetched(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(answer: IO[bytes], stream: IO[bytes], tell: Any) -> int:
        stream.write(answer.read(100))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_copy", full)
    with pytest.raises(traces.TraceFileError, match=r"cannot be written \(No space left on device\); free space"):
        fetch(site, tmp_path)
    assert names(tmp_path) == ["x.csv.partial", "x.csv.partial.of"]
    monkeypatch.undo()
    fetch(site, tmp_path)
    assert site.asked[-1] == "bytes=100-"


def test_a_page_that_is_not_there_is_one_line(site: Site, tmp_path: Path) -> None:
    site.status = 404
    with pytest.raises(traces.TraceFileError, match=r"cannot be fetched \(HTTP 404"):
        fetch(site, tmp_path)


def test_the_command_shows_the_licence_and_asks(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    release = Release("x", "a toy", catalogue.NO_LICENCE, "", (File(site.url, "x.csv"),), "itp:{folder}/x.csv", 1)
    monkeypatch.setattr(catalogue, "CATALOGUE", {"x": release})
    monkeypatch.setenv("AUTOSCALER_TRACES", str(tmp_path))
    for answer in ("", "n\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert main(["traces", "download", "x"]) == 2
        told = capfd.readouterr().err
        assert "licence: the publisher states no licence" in told
        assert "nothing was fetched, for you did not agree to the terms; y or --yes does" in told
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert main(["traces", "download", "x"]) == 0
    assert capfd.readouterr().out == f"itp:{tmp_path}/x/x.csv\n"  # nothing else: a script reads it
    assert main(["traces", "download", "x", "--yes"]) == 0
    told = capfd.readouterr()
    assert told.out == f"itp:{tmp_path}/x/x.csv\n"
    assert "licence: the publisher states no licence" in told.err
    assert main(["traces", "download", "y"]) == 2
    assert "there is no release 'y'" in capfd.readouterr().err


def test_a_mirror_serves_a_release_in_place_of_its_publisher(
    site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mirror = f"{site.url.removesuffix('/x.csv')}/"
    assert main(["traces", "download", "lingjun", "--yes", "--mirror", mirror, "--folder", str(tmp_path)]) == 0
    told = capfd.readouterr()
    assert f"  {mirror}lingjun/job.csv\n" in told.err
    assert told.out == f"lingjun:{tmp_path}\n"
    assert names(tmp_path) == ["job.csv", "sha256.json", "topo.csv", "worker.csv"]
    assert main(["traces", "download", "lingjun", "-y", "--mirror", "ftp://x", "--folder", f"{tmp_path}/y"]) == 2
    assert "ftp://x/lingjun/job.csv: is no address of the web" in capfd.readouterr().err


def test_every_release_says_what_is_allowed_and_how_it_is_read() -> None:
    for release in catalogue.CATALOGUE.values():
        assert release.licence
        assert release.citation
        assert release.uri.partition(":")[0] in {item.name for item in traces.formats()}
        assert all(file.url.startswith("https://") for file in release.files)
        assert all(file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256) for file in release.files)
