"""Kubernetes Events, so that `kubectl describe` says what the autoscaler did to an object and why."""

from __future__ import annotations

import logging
import queue
import threading
import time
from datetime import UTC, datetime
from typing import Literal, Protocol

from autoscaler.live.kube.client import Json, KubeClient, KubeError
from autoscaler.live.model import ObjectRef
from autoscaler.live.names import FIELD_MANAGER, METRIC_ERRORS
from autoscaler.live.telemetry.metrics import Metrics

_LOG = logging.getLogger(__name__)

REPEAT_SECONDS = 300.0
"""The same Event about the same object is written at most this often."""

MAX_WAITING = 1000
MAX_MESSAGE = 1000
EventType = Literal["Normal", "Warning"]


class Recorder(Protocol):
    """Takes Events; never blocks and never raises."""

    def event(self, about: ObjectRef, event_type: EventType, reason: str, message: str) -> None:
        """Record that something happened to an object."""
        ...

    def lease_event(self, event_type: EventType, reason: str, message: str) -> None:
        """Record that something happened to this process, on its Lease."""
        ...


class LogRecorder:
    """Writes Events to the log only: in a dry run nothing in the cluster is changed.

    Args:
        lease: reference of the Lease.
    """

    def __init__(self, lease: ObjectRef) -> None:
        self._lease = lease

    def event(self, about: ObjectRef, event_type: EventType, reason: str, message: str) -> None:
        """Log it."""
        _log(about, event_type, reason, message)

    def lease_event(self, event_type: EventType, reason: str, message: str) -> None:
        """Log it."""
        _log(self._lease, event_type, reason, message)


def _log(about: ObjectRef, event_type: EventType, reason: str, message: str) -> None:
    extra = {"kind": about.kind, "object": f"{about.namespace}/{about.name}".lstrip("/"), "reason": reason}
    _LOG.log(logging.INFO if event_type == "Normal" else logging.WARNING, message, extra=extra)


class EventRecorder:
    """Writes Events to the cluster from a thread of its own; what does not fit in the queue is only logged.

    Args:
        client: calls the API server.
        metrics: counts failures.
        identity: name of this process.
        lease: reference of the Lease.
    """

    def __init__(self, client: KubeClient, metrics: Metrics, identity: str, lease: ObjectRef) -> None:
        self._client, self._metrics, self._identity, self._lease = client, metrics, identity, lease
        self._waiting: queue.Queue[Json | None] = queue.Queue(MAX_WAITING)
        self._written: dict[tuple[str, str, str], float] = {}
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def event(self, about: ObjectRef, event_type: EventType, reason: str, message: str) -> None:
        """Record that something happened to an object."""
        now = time.monotonic()
        key = (about.uid or f"{about.kind}/{about.namespace}/{about.name}", reason, message)
        if now - self._written.get(key, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return
        if len(self._written) >= MAX_WAITING:
            self._written = {known: at for known, at in self._written.items() if now - at < REPEAT_SECONDS}
        self._written[key] = now
        _log(about, event_type, reason, message)
        try:
            self._waiting.put_nowait(self._body(about, event_type, reason, message))
        except queue.Full:
            self._metrics.add(METRIC_ERRORS, 1, "event_dropped")

    def lease_event(self, event_type: EventType, reason: str, message: str) -> None:
        """Record that something happened to this process, on its Lease."""
        self.event(self._lease, event_type, reason, message)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Write what is waiting, for a while, and end."""
        try:
            self._waiting.put(None, timeout=timeout_seconds)
        except queue.Full:
            return
        self._thread.join(timeout_seconds)

    def _body(self, about: ObjectRef, event_type: EventType, reason: str, message: str) -> Json:
        now = datetime.now(UTC)
        # The API server wants Events about cluster-wide objects there.
        namespace = about.namespace or "default"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            # The name must be unique; this is how client-go forms it.
            "metadata": {"name": f"{about.name[:200]}.{time.time_ns():x}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "name": about.name,
                "namespace": about.namespace,
                "uid": about.uid,
            },
            "type": event_type,
            "reason": reason,
            "message": message[:MAX_MESSAGE],
            "eventTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "firstTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lastTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "count": 1,
            "action": reason,
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self._identity[:128],
        }

    def _run(self) -> None:
        while (body := self._waiting.get()) is not None:
            try:
                self._client.create(f"/api/v1/namespaces/{body['metadata']['namespace']}/events", body)
            except KubeError as error:
                self._metrics.add(METRIC_ERRORS, 1, error.kind)
                _LOG.warning("an Event was not written", extra={"reason": body["reason"], "error": str(error)})
