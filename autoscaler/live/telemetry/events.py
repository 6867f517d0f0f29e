"""Kubernetes Events, so that `kubectl describe` says what the autoscaler did to an object and why."""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

from autoscaler.live.kube.client import ConflictError, Json, KubeClient, KubeError
from autoscaler.live.names import FIELD_MANAGER, METRIC_ERRORS
from autoscaler.live.objects import ObjectRef
from autoscaler.live.telemetry.metrics import Metrics

_LOG = logging.getLogger(__name__)

REPEAT_SECONDS = 300.0
"""The same Event about the same object is written at most this often."""

BURST = 25
"""Different Events that an object may get at once; one more follows in each `REPEAT_SECONDS`, as client-go has it."""

MAX_WAITING = 1000
MAX_TOLD = 10_000
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


@dataclass(slots=True)
class _Told:
    """An Event that was told.

    Attributes:
        seconds: when it was written last, on the monotonic clock.
        unwritten: how often it was told since then.
    """

    seconds: float
    unwritten: int = 0


@dataclass(frozen=True, slots=True)
class _Write:
    """An Event on its way.

    Attributes:
        body: the Event as it is created.
        times: how often it happened since it was written last.
    """

    body: Json
    times: int


class EventRecorder:
    """Writes Events to the cluster from a thread of its own; what does not fit in the queue is only logged.

    The same Event about the same object is one object in the cluster, whose count and last time grow: its name follows
    from what it says, so a restart and another replica find it too. It is written again after `repeat_seconds` at the
    earliest. Different Events about one object are bounded as well, see `BURST`.

    Args:
        client: calls the API server.
        metrics: counts failures.
        identity: name of this process.
        lease: reference of the Lease.
        repeat_seconds: the same Event about the same object is written at most this often.
    """

    def __init__(
        self,
        client: KubeClient,
        metrics: Metrics,
        identity: str,
        lease: ObjectRef,
        repeat_seconds: float = REPEAT_SECONDS,
    ) -> None:
        self._client, self._metrics, self._identity, self._lease = client, metrics, identity, lease
        self._repeat_seconds = repeat_seconds
        self._waiting: queue.Queue[_Write | None] = queue.Queue(MAX_WAITING)
        self._told: dict[str, _Told] = {}
        self._spent: dict[str, tuple[float, float]] = {}  # Events about an object, and when that number was true
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def event(self, about: ObjectRef, event_type: EventType, reason: str, message: str) -> None:
        """Record that something happened to an object."""
        now, about, message = time.monotonic(), with_uid(about), message[:MAX_MESSAGE]
        name = event_name(about, event_type, reason, message)
        told = self._told.get(name)
        if told is not None and now - told.seconds < self._repeat_seconds:
            told.unwritten += 1
            return
        if not self._may_tell(about, now):
            self._metrics.add(METRIC_ERRORS, 1, "event_dropped")
            return
        times = 1 if told is None else 1 + told.unwritten
        if len(self._told) >= MAX_TOLD:
            self._told = {
                known: each for known, each in self._told.items() if now - each.seconds < self._repeat_seconds
            }
        self._told[name] = _Told(now)
        _log(about, event_type, reason, message)
        try:
            self._waiting.put_nowait(_Write(self._body(name, about, event_type, reason, message), times))
        except queue.Full:
            del self._told[name]  # told the next time
            self._metrics.add(METRIC_ERRORS, 1, "event_dropped")

    def _may_tell(self, about: ObjectRef, now: float) -> bool:
        """Whether an object may get one more Event: `BURST` at once, and one more in each `repeat_seconds`."""
        key = f"{about.kind}/{about.uid}"
        spent, at = self._spent.get(key, (0.0, now))
        spent = max(0.0, spent - (now - at) / self._repeat_seconds)
        if len(self._spent) >= MAX_TOLD:
            quiet = BURST * self._repeat_seconds
            self._spent = {known: each for known, each in self._spent.items() if now - each[1] < quiet}
        may = spent + 1.0 <= BURST
        self._spent[key] = (spent + may, now)
        return may

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

    def _body(self, name: str, about: ObjectRef, event_type: EventType, reason: str, message: str) -> Json:
        now = datetime.now(UTC)
        # The API server wants Events about cluster-wide objects there.
        namespace = about.namespace or "default"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "name": about.name,
                "namespace": about.namespace,
                "uid": about.uid,
            },
            "type": event_type,
            "reason": reason,
            "message": message,
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
        while (write := self._waiting.get()) is not None:
            try:
                self._write(write)
            except KubeError as error:
                self._metrics.add(METRIC_ERRORS, 1, error.kind)
                _LOG.warning("an Event was not written", extra={"reason": write.body["reason"], "error": str(error)})

    def _write(self, write: _Write) -> None:
        """Create an Event, or raise the count of the one that is there already."""
        body = write.body
        collection = f"/api/v1/namespaces/{body['metadata']['namespace']}/events"
        try:
            self._client.create(collection, body)
        except ConflictError:
            path = f"{collection}/{body['metadata']['name']}"
            count = self._client.get(path).get("count")
            times = (count if isinstance(count, int) else 1) + write.times
            self._client.patch(path, {"count": times, "lastTimestamp": body["lastTimestamp"]})


def with_uid(about: ObjectRef) -> ObjectRef:
    """The reference as `kubectl describe` selects its Events: a Node is known by its name too, as kubelet writes it."""
    return replace(about, uid=about.name) if about.kind == "Node" and not about.uid else about


def event_name(about: ObjectRef, event_type: str, reason: str, message: str) -> str:
    """The name of an Event: the same for the same words about the same object."""
    words = "\n".join((about.kind, about.namespace, about.name, about.uid, event_type, reason, message))
    return f"{about.name[:200]}.{hashlib.sha256(words.encode()).hexdigest()[:16]}"
