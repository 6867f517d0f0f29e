"""Audits of `autoscaler deploy`, and autoscalers that run, as what the dashboard shows."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from autoscaler.dashboard.errors import DashboardError
from autoscaler.dashboard.sources import Feed
from autoscaler.recordings.audit import AuditReader
from envs.recording import Batch

TIMEOUT_SECONDS = 10.0
KEEP_SECONDS = 24 * 3600.0
"""Of the past of an autoscaler that runs, so that a page may follow it for weeks; its audit has the rest."""


@dataclass(frozen=True, slots=True)
class AuditSource:
    """An audit file, also while it is written."""

    name: str
    title: str
    path: Path
    keep_seconds: float | None = None

    def open(self) -> Feed:
        """Begin to read it."""
        return _AuditFeed(self.path)


class _AuditFeed:
    """Reads the lines that come to an audit; one that is not whole yet is read the next time."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._line = path, 0, 0
        self._reader = AuditReader(path.name)
        self.head = self._reader.head

    def news(self) -> Iterator[Batch]:
        with self._path.open("rb") as file:
            if self._path.stat().st_size < self._offset:
                self._offset = 0  # the file was full, and another one has its name now
            file.seek(self._offset)
            lines = file.read().split(b"\n")
        self._offset += sum(len(line) + 1 for line in lines[:-1])
        yield from self._reader.read(self._records(lines[:-1]))
        self.head = self._reader.head

    def _records(self, lines: list[bytes]) -> Iterator[Mapping[str, Any]]:
        for line in lines:
            self._line += 1
            if line.strip():
                yield parse(line, f"{self._path}:{self._line}")


def parse(line: bytes, where: str) -> Mapping[str, Any]:
    """One record.

    Raises:
        DashboardError: it is none.
    """
    try:
        record = json.loads(line)
        if "kind" in record:
            return dict(record)
    except (ValueError, TypeError) as error:
        raise DashboardError(f"{where}: is no record of an audit ({error})") from error
    raise DashboardError(f"{where}: is no record of an audit")


class LiveSource:
    """An autoscaler that runs with `http.stream` on.

    Args:
        url: of its server.
        keep_seconds: how much of the past a page keeps.

    Raises:
        DashboardError: it is no URL of HTTP.
    """

    def __init__(self, url: str, keep_seconds: float = KEEP_SECONDS) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise DashboardError(f"--live {url}: is no URL; give one such as http://127.0.0.1:8085")
        self.name = self.title = url
        self.keep_seconds: float | None = keep_seconds
        self._url = url.rstrip("/") + "/stream"

    def open(self) -> Feed:
        """Begin to read it.

        Raises:
            DashboardError: it does not answer, or has no stream.
        """
        return _LiveFeed(self._url, self.title)


class _LiveFeed:
    """Asks for what came since the last answer; goes on where an autoscaler is away for a while."""

    def __init__(self, url: str, title: str) -> None:
        self._url, self._title = url, title
        self._reader = AuditReader(title)
        self._place: dict[str, Any] = {}
        self.head = self._reader.head
        self._lines: list[bytes] | None = self._ask()

    def _ask(self) -> list[bytes]:
        address = f"{self._url}?{urlencode(self._place)}"
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 (checked above)
                first, *lines = answer.read().split(b"\n")
        except urllib.error.HTTPError as error:
            error.close()
            hint = "; switch it on: http.stream: true" if error.code == 404 else ""
            raise DashboardError(f"{self._url}: answers {error.code}{hint}") from error
        except OSError as error:
            raise DashboardError(f"{self._url}: cannot be read ({getattr(error, 'reason', error)})") from error
        place = parse(first, self._url)
        self._place = {name: place[name] for name in ("process", "next")}
        return [line for line in lines if line]

    def news(self) -> Iterator[Batch]:
        if self._lines is None:
            try:
                self._lines = self._ask()
            except DashboardError as error:
                self.head = replace(self._reader.head, title=str(error))
                return
        lines, self._lines = self._lines, None
        yield from self._reader.read(parse(line, self._url) for line in lines)
        self.head = self._reader.head
