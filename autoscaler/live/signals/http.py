"""One request with a bound on everything: time, size, redirects. An error says where and why, never a credential."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from autoscaler.live.signals.base import Problem, SourceError

MAX_BYTES = 32 * 1024 * 1024
CHUNK_BYTES = 65536

_BY_STATUS = {401: Problem.UNAUTHORIZED, 403: Problem.FORBIDDEN, 408: Problem.TIMEOUT, 429: Problem.RATE_LIMITED}


@cache
def _pool() -> urllib3.PoolManager:
    return urllib3.PoolManager(retries=False, maxsize=8)


def get_text(url: str, query: Mapping[str, str], headers: Mapping[str, str], timeout_seconds: float) -> str:
    """The body of an answer of status 200.

    Args:
        url: without a query.
        query: its parameters; a credential may be among them.
        headers: likewise.
        timeout_seconds: for all of it, also for a server that sends a byte now and then.

    Raises:
        SourceError: anything else happened.
    """
    deadline = time.monotonic() + timeout_seconds
    where = _where(url)
    whole = f"{url}?{urlencode(query)}" if query else url
    timeout = urllib3.Timeout(connect=timeout_seconds, read=timeout_seconds)
    try:
        response = _pool().request(
            "GET", whole, headers=dict(headers), timeout=timeout, preload_content=False, redirect=False
        )
        with closing(response):
            body = _read(response, deadline, where)
            if response.status != 200:
                raise _refusal(response.status, response.headers.get("Retry-After"), where)
    except urllib3.exceptions.NewConnectionError:  # of urllib3's time-outs it is one too
        raise SourceError(Problem.UNREACHABLE, f"{where}: no connection") from None
    except urllib3.exceptions.TimeoutError:
        raise SourceError(Problem.TIMEOUT, f"{where}: no answer in {timeout_seconds:g} s") from None
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        # Not the text of the error: it may have the whole address in it, and so a token.
        raise SourceError(Problem.UNREACHABLE, f"{where}: {type(error).__name__}") from None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise SourceError(Problem.MALFORMED, f"{where}: the answer is no UTF-8 text") from None


def get_json(url: str, query: Mapping[str, str], headers: Mapping[str, str], timeout_seconds: float) -> Any:
    """The JSON of an answer of status 200; see `get_text`."""
    text = get_text(url, query, {"Accept": "application/json", **headers}, timeout_seconds)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise SourceError(Problem.MALFORMED, f"{_where(url)}: the answer is no JSON") from None


def _read(response: Any, deadline: float, where: str) -> bytes:
    parts, size = [], 0
    # Not `stream`, which waits for a whole chunk: a server that sends a byte now and then would pass every time-out.
    while part := response.read1(CHUNK_BYTES, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise SourceError(Problem.MALFORMED, f"{where}: the answer is larger than {MAX_BYTES >> 20} MiB")
        if time.monotonic() > deadline:
            raise SourceError(Problem.TIMEOUT, f"{where}: the answer was not whole in time")
    return b"".join(parts)


def _refusal(status: int, retry_after: str | None, where: str) -> SourceError:
    problem = _BY_STATUS.get(status, Problem.SERVER_ERROR if status >= 500 else Problem.REFUSED)
    return SourceError(problem, f"{where}: status {status}", _retry_seconds(retry_after))


def _retry_seconds(text: str | None) -> float | None:
    """What `Retry-After` says: seconds, or a date."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _where(url: str) -> str:
    """Host and path of a URL, for messages."""
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path}"
