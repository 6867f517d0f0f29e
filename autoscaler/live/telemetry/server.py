"""/healthz, /readyz, /metrics, /status and, where it is wanted, /stream over HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.stream import RecordRing
from configs.errors import UserError

SOCKET_TIMEOUT_SECONDS = 10.0


class AddressError(UserError, OSError):
    """The server cannot listen where it should."""


class Health:
    """What the process says about itself; thread-safe by single assignments.

    Args:
        activity_timeout_seconds: wall seconds without activity after which it is not healthy.

    Attributes:
        not_ready: says why the process is not ready, empty: it is.
        status: what /status shows, as JSON.
        before_metrics: called before metrics are shown, for those that change by themselves.
        ring: what /stream shows; None: there is no such page.
    """

    def __init__(self, activity_timeout_seconds: float) -> None:
        self._timeout = activity_timeout_seconds
        self._active = time.monotonic()
        self.not_ready: Callable[[], str] = lambda: "starting"
        self.before_metrics: Callable[[], object] = lambda: None
        self.status: Callable[[], dict[str, object]] = dict
        self.ring: RecordRing | None = None

    def active(self) -> None:
        """Tell that the loop is alive."""
        self._active = time.monotonic()

    def unhealthy(self) -> str:
        """Why it is not healthy, empty: it is."""
        silent = time.monotonic() - self._active
        return f"no activity for {silent:.0f} s" if silent > self._timeout else ""


class _Handler(BaseHTTPRequestHandler):
    server_version = "green-autoscaler"
    timeout = SOCKET_TIMEOUT_SECONDS
    health: Health
    metrics: Metrics

    def do_GET(self) -> None:
        """Answer a request."""
        pages: dict[str, Callable[[], tuple[int, str]]] = {
            "/healthz": lambda: _verdict(self.health.unhealthy()),
            "/readyz": lambda: _verdict(self.health.not_ready()),
            "/metrics": self._metrics,
            "/status": lambda: (200, json.dumps(self.health.status(), indent=2) + "\n"),
        }
        path, _, query = self.path.partition("?")
        if (ring := self.health.ring) is not None:
            pages["/stream"] = lambda: (200, ring.answer(query))
        page = pages.get(path)
        status, text = page() if page is not None else (404, "not found\n")
        body = text.encode()
        self.send_response(status)
        is_json = status == 200 and body.startswith(b"{")
        self.send_header("Content-Type", "application/json" if is_json else CONTENT_TYPE_PLAIN_0_0_4)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _metrics(self) -> tuple[int, str]:
        self.health.before_metrics()
        return 200, self.metrics.render()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing: probes come every few seconds."""


def _verdict(problem: str) -> tuple[int, str]:
    return (503, f"{problem}\n") if problem else (200, "ok\n")


class HealthServer:
    """Serves until it is closed.

    Args:
        host: address.
        port: port, 0: any free one.
        health: what /healthz and /readyz say.
        metrics: what /metrics says.

    Raises:
        AddressError: it cannot listen there.
    """

    def __init__(self, host: str, port: int, health: Health, metrics: Metrics) -> None:
        handler = type("Handler", (_Handler,), {"health": health, "metrics": metrics})
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise AddressError(
                f"http.host {host}, http.port {port}: {why}; choose another http.port, or null for no server"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop to serve."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(SOCKET_TIMEOUT_SECONDS)
