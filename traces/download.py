"""Fetching public releases into a folder: resumed where it broke off, checked, whole or not at all."""

import hashlib
import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
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
    found = _sha256(partial)
    if expected is not None and found != expected:
        partial.unlink()
        origin = "the catalogue" if file.sha256 else f"the first download ({PINS})"
        problem = f"has the checksum {found[:12]}..., not {expected[:12]}... of {origin}"
        raise TraceFileError(f"{file.url}: {problem}; the data changed or were damaged on the way, nothing was kept")
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
    attempts = 0
    while True:
        before = partial.stat().st_size if partial.exists() else 0
        try:
            if _fetch_rest(file, partial, before, progress):
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                # What is there is longer than the file is now.
                partial.unlink()
                continue
            raise TraceFileError(f"{file.url}: cannot be fetched (HTTP {error.code} {error.reason})") from error
        except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(error) or type(error).__name__
        except urllib.error.URLError as error:
            reason = str(error.reason)
        attempts = 0 if partial.exists() and partial.stat().st_size > before else attempts + 1
        if attempts >= MAX_ATTEMPTS:
            fix = "check the network and repeat: it goes on where it stopped"
            raise TraceFileError(f"{file.url}: cannot be fetched ({reason}); {fix}")


def _fetch_rest(file: File, partial: Path, before: int, progress: Progress) -> bool:
    """Append what the server sends; returns whether the file is whole."""
    if not file.url.startswith(("https://", "http://")):
        raise TraceFileError(f"{file.url}: is no address of the web")
    request = urllib.request.Request(file.url)  # noqa: S310 - the scheme was checked
    if before:
        request.add_header("Range", f"bytes={before}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        length = answer.headers.get("Content-Length")
        start = before if resumed else 0
        total = start + int(length) if length is not None else None
        with partial.open("ab" if resumed else "wb") as stream:
            size = _copy(answer, stream, lambda count: progress(file.name, start + count, total))
    return total is None or start + size == total


def _copy(answer: IO[bytes], stream: IO[bytes], tell: Callable[[int], None]) -> int:
    size = 0
    while block := answer.read(_BLOCK):
        stream.write(block)
        size += len(block)
        tell(size)
    return size
