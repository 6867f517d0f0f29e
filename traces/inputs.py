"""Opening what a data set comes in: plain or compressed files, members of archives, folders of either.

A path may go on into an archive: `data.zip/data/Venus/cluster_log.csv`. Compression is found from the first bytes, not
from the name. Nothing is ever written to disk, and a file that swells beyond reason (a zip bomb) is refused.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, cast

import pyarrow as pa

from configs.errors import did_you_mean
from traces.errors import TraceFileError

ARCHIVES: Final = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip")
"""Ends of the names of archives."""

COMPRESSED: Final = (".gz", ".bz2", ".zst", ".xz")
"""Ends of the names of compressed files."""

MAX_FREE_BYTES = 1 << 30
"""A file may swell to this size whatever it was before, bytes."""

MAX_RATIO = 250
"""Beyond `MAX_FREE_BYTES` no more than so many bytes for each compressed one; text tables stay below 100."""

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark that spreadsheets write before UTF-8 text."""

_BLOCK = 1 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Input:
    """One file of a data set, on its own or inside an archive.

    Attributes:
        path: the file or the archive.
        member: name inside the archive; "" where `path` is the file itself.
        transform: applied to whole lines, block by block, before anything else reads them.
    """

    path: str
    member: str = ""
    transform: Callable[[bytes], bytes] | None = None

    def __str__(self) -> str:
        return f"{self.path}/{self.member}" if self.member else self.path

    @property
    def name(self) -> str:
        """The file's own name without folders and ends of compression, such as `cluster_log.csv`."""
        name = PurePosixPath(self.member or Path(self.path).as_posix()).name
        while name.endswith(COMPRESSED):
            name = name.rpartition(".")[0]
        return name

    @property
    def parent(self) -> str:
        """The name of the folder that it is in, such as `Venus`; "" where there is none."""
        return PurePosixPath(self.member or Path(self.path).as_posix()).parent.name

    def with_lines(self, transform: Callable[[bytes], bytes]) -> "Input":
        """The same file, whose lines a function changes, drops or adds to."""
        return replace(self, transform=transform)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The content without compression.

        Raises:
            TraceFileError: it cannot be read, is UTF-16 text, or swells beyond reason. Damage is an `OSError` or one
                of Arrow's, when the reader comes to it.
        """
        check_readable(self.path)
        with _raw(self) as (stream, size):
            start = stream.peek(6)[:6]  # type: ignore[attr-defined]
            if start.startswith(_UTF16):
                raise TraceFileError(f"{self}: is UTF-16 text; save it as UTF-8")
            kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
            if kind is None and str(self).endswith(COMPRESSED):
                raise TraceFileError(f"{self}: is damaged or not compressed, as its name says; fetch the file again")
            content = _Guarded(_decompressed(stream, kind), size, str(self))
            yield content if self.transform is None else _Lines(content, self.transform)  # type: ignore[misc]

    def head(self, size: int = 1 << 16) -> bytes:
        """The first bytes of the content, fewer where it is shorter.

        Raises:
            TraceFileError: it cannot be read or is damaged.
        """
        try:
            with self.open() as stream:
                return stream.read(size)
        except TraceFileError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise damaged(str(self), error) from error


def check_readable(path: str) -> None:
    """Raise unless `path` is a file that can be opened.

    Raises:
        TraceFileError: there is no such file, it is a folder, or it may not be read.
    """
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise TraceFileError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def damaged(where: str, error: Exception, kind: str = "") -> TraceFileError:
    """The error for a file whose content cannot be read."""
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return TraceFileError(f"{where}: is damaged{kind} ({reason}); check or fetch the file again")


def find_inputs(path: str) -> list[Input]:
    """The files at a path in the order of their names: of a folder all below it, of an archive all members.

    Raises:
        TraceFileError: nothing is there, or an archive is damaged or has a member outside of it.
    """
    if Path(path).is_dir():
        files = [file for file in sorted(Path(path).rglob("*")) if file.is_file() and not file.name.startswith(".")]
        return [each for file in files for each in find_inputs(str(file))]
    archive, member = _split(path)
    if not member:
        return _members(archive) if archive.endswith(ARCHIVES) else [Input(path)]
    members = _members(archive)
    found = [each for each in members if each.member == member or each.member.startswith(f"{member}/")]
    if not found:
        raise TraceFileError(f"{archive}: has no {member}{did_you_mean(member, [each.member for each in members])}")
    return found


def only_input(path: str) -> Input:
    """The one file at a path.

    Raises:
        TraceFileError: nothing is there, or there are several.
    """
    if Path(path).is_dir():
        check_readable(path)
    found = find_inputs(path)
    if len(found) != 1:
        some = ", ".join(str(each) for each in found[:4]) or "nothing"
        raise TraceFileError(f"{path}: holds {len(found)} files ({some}); name one of them")
    return found[0]


def _split(path: str) -> tuple[str, str]:
    """A path that goes on into an archive, as archive and member; the member is "" where it does not."""
    if Path(path).exists():
        return path, ""
    for parent in Path(path).parents:
        if parent.is_file() and parent.name.endswith(ARCHIVES):
            return str(parent), Path(path).relative_to(parent).as_posix()
    return path, ""


def _members(path: str) -> list[Input]:
    check_readable(path)
    try:
        if path.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                names = [item.filename for item in archive.infolist() if not item.is_dir()]
        else:
            with tarfile.open(path) as tar:
                names = list(_tar_names(tar, path))
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise damaged(path, error, " or no archive") from error
    for name in names:
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
            raise TraceFileError(f"{path}: member {name!r} lies outside of the archive; do not trust this file")
    wanted = [name for name in names if not PurePosixPath(name).name.startswith(".") and "__MACOSX" not in name]
    return [Input(path, name) for name in sorted(wanted)]


def _tar_names(tar: tarfile.TarFile, path: str) -> Iterator[str]:
    """The files of a tar, which is read to its end: a bomb is refused where it says how large it is.

    Raises:
        TraceFileError: a member swells beyond reason.
    """
    limit = _most_bytes(Path(path).stat().st_size)
    for item in tar:
        if item.size > limit:
            raise _swells(f"{path}/{item.name}", limit)
        if item.isfile():
            yield item.name


def _most_bytes(size: int) -> int:
    """How large a file may be that was compressed to so many bytes."""
    return max(MAX_FREE_BYTES, MAX_RATIO * size)


def _swells(where: str, limit: int) -> TraceFileError:
    return TraceFileError(f"{where}: swells to more than {limit:,} bytes; it is no trace")


@contextmanager
def _raw(source: Input) -> Iterator[tuple[IO[bytes], int]]:
    """The bytes as they are stored, and their number (that of the archive for a member of a tar)."""
    size = Path(source.path).stat().st_size
    if not source.member:
        with Path(source.path).open("rb") as stream:
            yield stream, size
        return
    try:
        if source.path.endswith(".zip"):
            with zipfile.ZipFile(source.path) as archive, _opened(archive, source) as member:
                size = archive.getinfo(source.member).compress_size
                yield io.BufferedReader(cast("io.RawIOBase", member)), size
            return
        with tarfile.open(source.path) as tar:
            inner = tar.extractfile(source.member)
            assert inner is not None
            yield inner, size
    except (EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, KeyError) as error:
        raise damaged(str(source), error) from error


def _opened(archive: zipfile.ZipFile, source: Input) -> IO[bytes]:
    """A member of a zip.

    Raises:
        TraceFileError: it is encrypted, or packed in a way that Python does not know.
    """
    try:
        return archive.open(source.member)
    except (RuntimeError, NotImplementedError) as error:
        raise TraceFileError(f"{source}: cannot be unpacked ({error}); unpack it with another program") from error


def _decompressed(stream: IO[bytes], kind: str | None) -> Any:
    if kind is None:
        return stream
    if kind == "xz":
        return lzma.open(stream)
    if kind == "bz2":
        return bz2.open(stream)
    if kind == "gzip" and isinstance(stream, io.BufferedReader) and isinstance(stream.raw, io.FileIO):
        # Arrow's is faster.
        return pa.input_stream(stream.name, compression="gzip")
    return gzip.open(stream) if kind == "gzip" else pa.CompressedInputStream(pa.PythonFile(stream, "r"), kind)


class _Guarded(io.RawIOBase):
    """A stream that ends with an error where it swells beyond reason; damage of any kind is an `OSError`."""

    def __init__(self, stream: Any, size: int, where: str) -> None:
        self._stream, self._limit, self._where = stream, _most_bytes(size), where
        self._seen = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_BLOCK), b""))
        try:
            block: bytes = self._stream.read(size)
        except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
            raise OSError(str(error)) from error
        self._seen += len(block)
        if self._seen > self._limit:
            raise _swells(self._where, self._limit)
        return block


class _Lines(io.RawIOBase):
    """A stream whose lines a function changes, block by block."""

    def __init__(self, stream: Any, transform: Callable[[bytes], bytes]) -> None:
        self._stream, self._transform = stream, transform
        self._ready, self._rest, self._ended, self._is_start = b"", b"", False, True

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_BLOCK), b""))
        while len(self._ready) < size and not self._ended:
            block: bytes = self._stream.read(_BLOCK)
            self._ended = not block
            data = self._rest + block
            if self._is_start:
                data, self._is_start = data.removeprefix(BOM), False
            end = len(data) if self._ended else data.rfind(b"\n") + 1
            self._rest = data[end:]
            self._ready += self._transform(data[:end])
        block, self._ready = self._ready[:size], self._ready[size:]
        return block
