"""Fetching public releases into a folder: resumed where it broke off, checked, whole or not at all."""

import errno
import hashlib
import http.client
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import IO, Final

from configs.files import write_text
from traces.catalogue import File, Release
from traces.errors import TraceFileError

PINS: Final = "sha256.json"
"""File in the folder of a release that holds the checksums of the first download: name -> sha256."""

TIMEOUT_SECONDS = 60.0
"""Longest silence of a server, seconds."""

MAX_ATTEMPTS = 5
"""How often a broken connection is taken up again without a new byte."""

WAIT_SECONDS = 1.0
"""Wait before the first of these, seconds; twice as long before each further one."""

_PASSING: Final = (408, 429, 500, 502, 503, 504)
"""Answers of a server that may be others in a moment."""

_BLOCK = 1 << 18

Progress = Callable[[str, int, int | None], None]
"""(name of the file, bytes so far, bytes in all or None) -> nothing."""


def cache_folder() -> Path:
    """Where releases are kept: `AUTOSCALER_TRACES`, else the platform's cache folder."""
    own = os.environ.get("AUTOSCALER_TRACES")
    if own:
        return Path(own)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "autoscaler" / "traces"


def download(release: Release, folder: Path, progress: Progress) -> list[str]:
    """Fetch the files of a release that are not there yet.

    A file appears under its name when it is whole and its checksum is right. What was fetched of it stays beside it as
    `.partial` when the connection breaks or the disk is full, and the next call goes on from there.

    Args:
        release: what to fetch.
        folder: of the files; made where it is missing.
        progress: told now and then.

    Returns:
        Notes for the user, such as that a checksum was taken on trust.

    Raises:
        TraceFileError: the address cannot be reached, breaks off again and again, or serves something else than before.
        OutputFileError: the folder or a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pins = _pins(folder)
        return [note for file in release.files for note in _ensure(file, folder, pins, progress)]
    except TraceFileError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        fix = "free space or choose another --folder, then repeat: it goes on where it stopped"
        raise TraceFileError(f"{folder}: cannot be written ({reason}); {fix}") from error


def _ensure(file: File, folder: Path, pins: dict[str, str], progress: Progress) -> list[str]:
    target, partial = folder / file.name, folder / f"{file.name}.partial"
    expected = file.sha256 or pins.get(file.name)
    if target.exists():
        if expected is not None and _sha256(target) != expected:
            raise TraceFileError(f"{target}: is not what was fetched (checksum differs); remove it and repeat")
        return [f"{file.name} is there already"]
    _fetch(file, partial, progress)
    page = _is_page(partial)
    if page:
        partial.unlink()
        raise TraceFileError(f"{file.url}: sent {page}, no data; is the address right, and does a proxy ask to log in?")
    found = _sha256(partial)
    if expected is not None and found != expected:
        partial.unlink()
        origin = "the catalogue" if file.sha256 else "the first download"
        problem = f"has the checksum {found[:12]}..., not {expected[:12]}... of {origin}, and was not kept"
        fix = "" if file.sha256 else f"; remove {folder / PINS} to take it as it is now"
        raise TraceFileError(f"{file.url}: {problem}: the data changed or were damaged on the way{fix}")
    notes = []
    if expected is None:
        pins[file.name] = found
        write_text(folder / PINS, json.dumps(pins, indent=1) + "\n")
        notes.append(f"{file.name}: no checksum is published; trusted on first use, sha256 {found}")
    partial.replace(target)
    return notes


def _pins(folder: Path) -> dict[str, str]:
    try:
        pins: dict[str, str] = json.loads((folder / PINS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise TraceFileError(f"{folder / PINS}: is no list of checksums ({error}); remove it and repeat") from error
    return pins


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fetch(file: File, partial: Path, progress: Progress) -> None:
    """Fetch a file into `partial`, on from what is there."""
    if not file.url.startswith(("https://", "http://")):
        raise TraceFileError(f"{file.url}: is no address of the web")
    attempts = 0
    while True:
        before = partial.stat().st_size if partial.exists() else 0
        try:
            if _fetch_rest(file, partial, before, progress):
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                if error.headers.get("Content-Range") == f"bytes */{before}":
                    return  # all of it is there: the last call ended before it was checked
                partial.unlink()  # what is there is longer than the file is now
                continue
            if error.code not in _PASSING:
                raise TraceFileError(f"{file.url}: cannot be fetched (HTTP {error.code} {error.reason})") from error
            reason = f"HTTP {error.code} {error.reason}"
        except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(error) or type(error).__name__
        except urllib.error.URLError as error:
            reason = str(error.reason)
        attempts = 0 if partial.exists() and partial.stat().st_size > before else attempts + 1
        if attempts >= MAX_ATTEMPTS:
            fix = "check the network and repeat: it goes on where it stopped"
            raise TraceFileError(f"{file.url}: cannot be fetched ({reason}); {fix}")
        if attempts:
            time.sleep(WAIT_SECONDS * 2 ** (attempts - 1))


def _fetch_rest(file: File, partial: Path, before: int, progress: Progress) -> bool:
    """Append what the server sends; returns whether the file is whole."""
    request = urllib.request.Request(file.url)  # noqa: S310 - the scheme was checked
    of = partial.with_name(f"{partial.name}.of")
    if before:
        request.add_header("Range", f"bytes={before}-")
        if of.exists():
            # Else the rest of another file would be put behind what is there.
            request.add_header("If-Range", of.read_text(encoding="utf-8"))
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        length = answer.headers.get("Content-Length")
        start = before if resumed else 0
        total = start + int(length) if length is not None else None
        _check_space(partial.parent, total, start)
        _note_version(answer.headers, of)
        with partial.open("ab" if resumed else "wb") as stream:
            size = _copy(answer, stream, lambda count: progress(file.name, start + count, total))
    is_whole = total is None or start + size == total
    if is_whole:
        of.unlink(missing_ok=True)
    return is_whole


def _note_version(headers: Message, of: Path) -> None:
    """Write down which version of the file is being fetched, where the server tells them apart."""
    version = headers.get("ETag") or headers.get("Last-Modified")
    if version and not version.startswith("W/"):  # a weak tag does not say that all bytes are the same
        of.write_text(version, encoding="utf-8")
    else:
        of.unlink(missing_ok=True)


def _check_space(folder: Path, total: int | None, done: int) -> None:
    """Refuse a file that the disk cannot hold, before it is full.

    Raises:
        OSError: as above.
    """
    free = shutil.disk_usage(folder).free
    if total is not None and total - done > free:
        raise OSError(errno.ENOSPC, f"{(total - done) / 1e6:,.1f} MB are to come and {free / 1e6:,.1f} MB are free")


def _is_page(path: Path) -> str:
    """What a file is that a server sends in place of data; "" where it is none of these."""
    with path.open("rb") as stream:
        start = stream.read(200).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "a pointer of Git LFS" if start.startswith(b"version https://git-lfs") else ""


def _copy(answer: IO[bytes], stream: IO[bytes], tell: Callable[[int], None]) -> int:
    size = 0
    while block := answer.read(_BLOCK):
        stream.write(block)
        size += len(block)
        tell(size)
    return size
