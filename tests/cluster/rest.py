"""The official client with a timeout on every call, and plain JSON requests beside its models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubernetes import client, config

CALL_TIMEOUT_SECONDS = 30.0

Json = dict[str, Any]


class TimeoutApiClient(client.ApiClient):
    """An ApiClient whose calls end after `CALL_TIMEOUT_SECONDS` unless they name a timeout themselves."""

    def call_api(
        self,
        method: Any,
        url: Any,
        header_params: Any = None,
        body: Any = None,
        post_params: Any = None,
        _request_timeout: Any = None,
    ) -> Any:
        """Make a request."""
        timeout = CALL_TIMEOUT_SECONDS if _request_timeout is None else _request_timeout
        return super().call_api(method, url, header_params, body, post_params, timeout)


def api_client(kubeconfig: Path) -> TimeoutApiClient:
    """Return a client for a kubeconfig; it must be closed."""
    configuration = client.Configuration()
    config.load_kube_config(  # type: ignore[no-untyped-call]
        str(kubeconfig), client_configuration=configuration, persist_config=False
    )
    # The control plane is on loopback: a proxy named by the environment cannot reach it.
    configuration.proxy = None
    return TimeoutApiClient(configuration)


def request(
    api: client.ApiClient,
    method: str,
    path: str,
    body: Any = None,
    *,
    content_type: str = "application/json",
    query: Mapping[str, str] | None = None,
    timeout_seconds: float = CALL_TIMEOUT_SECONDS,
) -> Json:
    """Make a request to any path of the API and return the decoded answer.

    Raises:
        kubernetes.client.ApiException: The server answered with an error.
    """
    _, url, headers, data, _ = api.param_serialize(
        method,
        path,
        query_params=list((query or {}).items()),
        header_params={"Content-Type": content_type, "Accept": "application/json"},
        body=body,
        auth_settings=["BearerToken"],
    )
    reply = api.call_api(method, url, header_params=headers, body=data, _request_timeout=timeout_seconds)
    raw: bytes = reply.read()  # type: ignore[no-untyped-call]
    text = raw.decode()
    if not 200 <= reply.status < 300:
        raise client.ApiException.from_response(http_resp=reply, body=text, data=None)
    decoded: Json = json.loads(text)
    return decoded
