"""The Kubernetes API as raw JSON: every call has a time-out, and every failure is one of a few typed errors.

A thin layer over the official client's `ApiClient`, which brings kubeconfig files, tokens and TLS. Its models are left
aside: they are several times slower to build and refuse objects that are odd in one field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from autoscaler.live.names import FIELD_MANAGER
from configs.errors import UserError

Json = dict[str, Any]
"""A Kubernetes object as the API server sends it."""

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

CONNECT_TIMEOUT_SECONDS = 5.0
MAX_MESSAGE = 500


class ClusterAccessError(UserError, OSError):
    """The cluster cannot be used: no kubeconfig, no answer, missing rights or a missing CRD."""


class KubeError(OSError):
    """A call that failed.

    Attributes:
        status: HTTP status, 0 when there was no answer.
        reason: Kubernetes' reason such as `AlreadyExists`, may be empty.
        message: what the server said, in one line.
        retry_after_seconds: how long the server said to wait, else None.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    @property
    def kind(self) -> str:
        """Short name for metrics: `conflict`, `not_found` ..."""
        return KINDS.get(type(self), "other")


class ConflictError(KubeError):
    """409: a precondition does not hold, or the object exists already."""


class NotFoundError(KubeError):
    """404: no such object, or no such resource."""


class TooManyRequestsError(KubeError):
    """429: the server is busy, or a PodDisruptionBudget forbids an eviction."""


class ForbiddenError(KubeError):
    """401 or 403: wrong credentials or missing rights."""


class InvalidError(KubeError):
    """400 or 422: the server refuses the object."""


class GoneError(KubeError):
    """410: the resourceVersion is too old; list again."""


class PausedError(KubeError):
    """The call was not sent: the kill switch says that nothing may be changed."""


class UnreachableError(KubeError):
    """No answer in time, no connection, or a server error: whether the call had an effect is not known."""


KINDS: dict[type[KubeError], str] = {
    ConflictError: "conflict",
    NotFoundError: "not_found",
    TooManyRequestsError: "too_many_requests",
    ForbiddenError: "forbidden",
    InvalidError: "invalid",
    GoneError: "gone",
    PausedError: "paused",
    UnreachableError: "unreachable",
}
_BY_STATUS: dict[int, type[KubeError]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    422: InvalidError,
    429: TooManyRequestsError,
}


CONNECTIONS = 64
"""Connections that are kept open: each watch holds one, and there is one for each kind of objects."""


def error_from(status: int, body: str, retry_after: str | None = None) -> KubeError:
    """The typed error of an answer; `body` is a Kubernetes Status or anything else."""
    reason, message = "", body
    with suppress(ValueError):
        document = json.loads(body)
        if isinstance(document, dict):
            reason, message = str(document.get("reason") or ""), str(document.get("message") or body)
    seconds: float | None = None
    with suppress(ValueError):
        seconds = float(retry_after) if retry_after else None
    kind = _BY_STATUS.get(status, UnreachableError if status >= 500 or status == 0 else KubeError)
    return kind(status, reason, f"{status} {' '.join(message.split())[:MAX_MESSAGE]}", seconds)


class KubeClient:
    """Calls the API server.

    Args:
        api_client: a configured `kubernetes.client.ApiClient`.
        timeout_seconds: time-out of a call, in wall seconds, where the call says nothing else.
        before_write: called before every call that is no GET; what it raises ends the call. None: nothing.
        write_timeout_seconds: longest time-out of such a call; None: no bound.
    """

    def __init__(
        self,
        api_client: Any,
        timeout_seconds: float = 10.0,
        before_write: Callable[[], None] | None = None,
        write_timeout_seconds: float | None = None,
    ) -> None:
        self._api = api_client
        self.timeout_seconds = timeout_seconds
        self._before_write = before_write
        self._write_timeout_seconds = write_timeout_seconds

    def fenced(self, before_write: Callable[[], None], write_timeout_seconds: float) -> KubeClient:
        """The same client for somebody who may write only for as long as `before_write` does not raise."""
        return KubeClient(self._api, self.timeout_seconds, before_write, write_timeout_seconds)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self._api.configuration.host)

    def get(self, path: str, params: Mapping[str, str] | None = None, *, timeout_seconds: float | None = None) -> Json:
        """Read an object or a list.

        Args:
            path: such as `/api/v1/nodes/a`.
            params: query parameters.
            timeout_seconds: None: the client's.

        Raises:
            KubeError: one of its subclasses.
        """
        return self.request("GET", path, params=params, timeout_seconds=timeout_seconds)

    def create(self, path: str, body: Json, *, timeout_seconds: float | None = None) -> Json:
        """POST an object to a collection; see `get`."""
        return self.request("POST", path, body=body, timeout_seconds=timeout_seconds)

    def replace(self, path: str, body: Json, *, timeout_seconds: float | None = None) -> Json:
        """PUT an object; see `get`."""
        return self.request("PUT", path, body=body, timeout_seconds=timeout_seconds)

    def patch(
        self,
        path: str,
        body: Json | list[Json],
        content_type: Literal["merge", "json", "strategic", "apply"] = "merge",
        *,
        params: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Json:
        """PATCH an object, or create it where it is applied; see `get`."""
        types = {"merge": MERGE_PATCH, "json": JSON_PATCH, "strategic": STRATEGIC_PATCH, "apply": APPLY_PATCH}
        return self.request(
            "PATCH", path, params=params, body=body, content_type=types[content_type], timeout_seconds=timeout_seconds
        )

    def delete(self, path: str, body: Json | None = None, *, timeout_seconds: float | None = None) -> Json:
        """DELETE an object, `body` being DeleteOptions such as preconditions; see `get`."""
        return self.request("DELETE", path, body=body, timeout_seconds=timeout_seconds)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content_type: str = "application/json",
        timeout_seconds: float | None = None,
    ) -> Json:
        """Make any call; see `get`."""
        timeout = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        if method != "GET" and self._before_write is not None:
            self._before_write()
            timeout = min(timeout, self._write_timeout_seconds or timeout)
        if method in ("POST", "PUT", "PATCH"):
            # Who last set which field shows in managedFields.
            params = {**(params or {}), "fieldManager": FIELD_MANAGER}
        response = self._open(method, path, params, body, content_type, timeout)
        text = _read(response)
        if not 200 <= response.status <= 299:
            raise error_from(response.status, text, response.headers.get("Retry-After"))
        return _object(text)

    def watch(
        self,
        path: str,
        params: Mapping[str, str],
        read_timeout_seconds: float,
        on_open: Callable[[Callable[[], None]], None] = lambda _: None,
    ) -> Iterator[Json]:
        """Yield the events of a watch until the server ends it.

        Args:
            path: the collection.
            params: query parameters; `watch=true` is added.
            read_timeout_seconds: longest silence of the server, in wall seconds.
            on_open: called when the server has accepted the watch, with a function that ends it from another thread.

        Raises:
            KubeError: one of its subclasses; an event of type ERROR becomes one too.
        """
        query = {**params, "watch": "true"}
        timeout = (CONNECT_TIMEOUT_SECONDS, read_timeout_seconds)
        response = self._open("GET", path, query, None, "application/json", timeout)
        try:
            if response.status != 200:
                raise error_from(response.status, _read(response), response.headers.get("Retry-After"))
            on_open(lambda: _shut_down(response))
            for line in _lines(response):
                event = _object(line)
                if event.get("type") == "ERROR":
                    status = event.get("object") or {}
                    raise error_from(int(status.get("code") or 500), json.dumps(status))
                yield event
        finally:
            response.response.close()

    def close(self) -> None:
        """Close all connections."""
        self._api.rest_client.pool_manager.clear()

    def _open(
        self, method: str, path: str, params: Mapping[str, str] | None, body: Any, kind: str, timeout: Any
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": kind}
        query: list[tuple[str, str]] = list((params or {}).items())
        self._api.update_params_for_auth(headers, query, ["BearerToken"], path, method, body)
        url = f"{self._api.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            return self._api.call_api(method, url, headers, body, _request_timeout=timeout)
        except Exception as error:
            # Besides urllib3's errors: the generated client and credential plugins have types of their own.
            raise UnreachableError(0, type(error).__name__, f"{self.server}: {_one_line(error)}") from error


def _read(response: Any) -> str:
    import urllib3

    try:
        return bytes(response.read() or b"").decode("utf-8", "replace")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnreachableError(0, type(error).__name__, f"the answer broke off: {_one_line(error)}") from error


def _shut_down(response: Any) -> None:
    """End a watch that another thread reads; one that has ended already is left alone."""
    with suppress(ValueError, RuntimeError, OSError, AttributeError):
        response.response.shutdown()


def _lines(response: Any) -> Iterator[str]:
    import urllib3

    rest = b""
    try:
        for chunk in response.response.stream(65536, decode_content=True):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                if line.strip():
                    yield line.decode("utf-8", "replace")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnreachableError(0, type(error).__name__, f"the watch broke off: {_one_line(error)}") from error


def _object(text: str) -> Json:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UnreachableError(0, "NotJson", f"the answer is no JSON: {text[:80]!r}") from error
    if not isinstance(document, dict):
        raise UnreachableError(0, "NotJson", f"the answer is no JSON object: {text[:80]!r}")
    return document


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:MAX_MESSAGE] or type(error).__name__


def connect(kubeconfig: str | None = None, context: str | None = None, timeout_seconds: float = 10.0) -> KubeClient:
    """A client from a kubeconfig file, or from the service account of the pod that this process runs in.

    Args:
        kubeconfig: path; None: the pod's service account inside a cluster, else `KUBECONFIG` or the user's file.
        context: context of the file, None: its current one.
        timeout_seconds: see `KubeClient`.

    Raises:
        ClusterAccessError: there is no such file, or it cannot be used.
    """
    import os

    from kubernetes import client, config
    from yaml import YAMLError

    configuration = client.Configuration()
    if kubeconfig is not None and not Path(kubeconfig).expanduser().is_file():
        raise ClusterAccessError(f"{kubeconfig}: no such kubeconfig file")
    try:
        if kubeconfig is None and context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(kubeconfig, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        where = kubeconfig or os.environ.get("KUBECONFIG") or "the default kubeconfig"
        raise ClusterAccessError(f"{where}: not a usable kubeconfig: {_one_line(error)}") from error
    # urllib3 would try three times by itself, each with the full time-out, and repeat calls that are not idempotent.
    configuration.retries = False
    # A watch per resource, calls of the loop and the lease at the same time.
    configuration.connection_pool_maxsize = CONNECTIONS
    return KubeClient(client.ApiClient(configuration), timeout_seconds)
