"""The last records of the audit in memory, for those who look on: /stream of the server, where http.stream is on."""

from __future__ import annotations

import json
import secrets
import threading
from collections import deque
from urllib.parse import parse_qs

MOST_BYTES = 16 * 2**20
"""Of the records that are kept; the oldest go first."""

ANSWER_BYTES = 4 * 2**20
"""One answer ends after so much; the next begins where it ended."""


class RecordRing:
    """Keeps the last records and the header that they belong to; the loop adds, threads of the server read.

    Args:
        most_bytes: that are kept.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._lines: deque[bytes] = deque()
        self._header = b""
        self._next = 0
        self._lock = threading.Lock()
        # Numbers of a process that began anew must not be taken for those of the one before.
        self._name = secrets.token_hex(8)

    def add(self, line: bytes, is_header: bool) -> None:
        """Keep a record.

        Args:
            line: JSON with its line end.
            is_header: those that follow are to be read with this one.
        """
        with self._lock:
            if is_header:
                self._header = line
            self._lines.append(line)
            self._bytes += len(line)
            self._next += 1
            while self._bytes > self._most_bytes and len(self._lines) > 1:
                self._bytes -= len(self._lines.popleft())

    def answer(self, query: str) -> str:
        """The records after those that someone has, one a line.

        The first line says where to go on: `kind` is "stream", `process` the name of this process, `next` the number
        of the next record, `whole` whether none is missing between what the asker has and these; where it is false,
        what follows begins with a header.

        Args:
            query: `process=NAME&next=NUMBER` as the answer before said it; empty: from the oldest record on.
        """
        asked = parse_qs(query)
        number = asked.get("next", [""])[0]
        with self._lock:
            first = self._next - len(self._lines)
            is_known = asked.get("process", [""])[0] == self._name and number.isdecimal()
            start = int(number) if is_known else -1
            whole = first <= start <= self._next
            lines = [] if whole else [self._header]
            end, size = max(start, first) if whole else first, 0
            while end < self._next and (size == 0 or size < ANSWER_BYTES):
                lines.append(self._lines[end - first])
                size += len(lines[-1])
                end += 1
        about = {"kind": "stream", "process": self._name, "next": end, "whole": whole}
        return json.dumps(about) + "\n" + b"".join(lines).decode()
