"""Releases are fetched whole, once, and as they were; against a server of this process."""

import errno
import hashlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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
    breaks: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            site.asked.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and site.ranges else 0
            if site.status != 200 or start > len(site.content):
                self.send_error(site.status if site.status != 200 else 416)
                return
            rest = site.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
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
    assert names(tmp_path) == ["x.csv.partial"]
    fetch(site, tmp_path)
    assert site.asked[-1] == "bytes=1000-"
    assert (tmp_path / "x.csv").read_bytes() == CONTENT


def test_a_server_without_ranges_begins_anew(site: Site, tmp_path: Path) -> None:
    site.ranges, site.breaks = False, [10_000]
    fetch(site, tmp_path)
    assert (tmp_path / "x.csv").read_bytes() == CONTENT


def test_what_is_longer_than_the_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    (tmp_path / "x.csv.partial").write_bytes(CONTENT * 2)
    fetch(site, tmp_path)
    assert (tmp_path / "x.csv").read_bytes() == CONTENT


def test_a_wrong_checksum_keeps_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(traces.TraceFileError, match=r"has the checksum .*, not .* of the catalogue; the data changed"):
        fetch(site, tmp_path, "0" * 64)
    assert names(tmp_path) == []


def test_without_a_checksum_the_first_download_is_trusted_and_said_so(site: Site, tmp_path: Path) -> None:
    assert fetch(site, tmp_path, None) == [f"x.csv: no checksum is published; trusted on first use, sha256 {SHA}"]
    (tmp_path / "x.csv").unlink()
    site.content = TEXT
    with pytest.raises(traces.TraceFileError, match="of the first download"):
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
    assert names(tmp_path) == ["x.csv.partial"]
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
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["traces", "download", "x"]) != 0
    assert "licence: the publisher states no licence" in capfd.readouterr().err
    assert main(["traces", "download", "x", "--yes"]) == 0
    uri = capfd.readouterr().out.strip()
    assert uri == f"itp:{tmp_path}/x/x.csv"
    assert main(["traces", "download", "y"]) == 2
    assert "there is no release 'y'" in capfd.readouterr().err


def test_every_release_says_what_is_allowed_and_how_it_is_read() -> None:
    for release in catalogue.CATALOGUE.values():
        assert release.licence
        assert release.citation
        assert release.uri.partition(":")[0] in {item.name for item in traces.formats()}
        assert all(file.url.startswith("https://") for file in release.files)
