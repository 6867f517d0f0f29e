"""Leader election by a Lease, safe when the API server freezes.

The holder fences itself: it may write only until `renew_deadline_seconds` after it *sent* its last successful renewal,
on its own clock. Another candidate waits for `lease_seconds` from when it *saw* that renewal, which is later. So as
long as both clocks run at about the same speed, the old leader has stopped acting before a new one starts, whatever the
API server does.

Not even this stops a write that left before the fence and sits in the queue of a frozen API server. Such a write
carries a precondition (UID, resourceVersion, a JSON patch `test`, a name), see `autoscaler.live.actuate`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from autoscaler.live.config import LeaderElection
from autoscaler.live.kube.client import KubeClient, KubeError, NotFoundError

_LOG = logging.getLogger(__name__)

Lease = dict[str, Any]
"""A `coordination.k8s.io/v1` Lease as raw JSON."""


class LeaseLostError(RuntimeError):
    """This process no longer leads: it must change nothing any more and exit."""


class LeaseStoreError(OSError):
    """The Lease could not be read or written: time-out, conflict, no rights, no connection."""


class LeaseStore(Protocol):
    """Reads and writes one Lease; every call returns or raises within the time-out."""

    def read(self, timeout_seconds: float) -> Lease | None:
        """The Lease, None when there is none.

        Raises:
            LeaseStoreError: it could not be read.
        """
        ...

    def create(self, lease: Lease, timeout_seconds: float) -> Lease:
        """Create the Lease and return what the server stored.

        Raises:
            LeaseStoreError: it exists, or could not be created.
        """
        ...

    def replace(self, lease: Lease, timeout_seconds: float) -> Lease:
        """Replace the Lease, if its resourceVersion is still that of `lease`, and return what the server stored.

        Raises:
            LeaseStoreError: somebody changed it in between, or it could not be written.
        """
        ...


@dataclass(slots=True)
class _Observed:
    """What a candidate saw last of the lock.

    Attributes:
        version: resourceVersion of the Lease.
        seen_seconds: own monotonic clock when this version was seen first.
    """

    version: str = ""
    seen_seconds: float = 0.0


def seconds_since_boot() -> float:
    """Elapsed time that also counts while the machine sleeps, where the system has such a clock.

    `time.monotonic` stands still in a suspended machine on Linux: it would wake up and believe that it still leads.
    """
    boot_clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_clock is None else time.clock_gettime(boot_clock)


class LeaseLock:
    """The lock. `check` comes before every write; a lost lock never comes back, a new process has to win it anew.

    Args:
        store: where the Lease lives.
        config: its times.
        identity: unique to this process, also across restarts (so: host name plus something random).
        elapsed_seconds: a clock that never steps back. Wall time only goes into the Lease, for humans.
    """

    def __init__(
        self,
        store: LeaseStore,
        config: LeaderElection,
        identity: str,
        elapsed_seconds: Callable[[], float] | None = None,
    ) -> None:
        self.config = config
        self.identity = identity
        self._store = store
        self._elapsed_seconds = elapsed_seconds or seconds_since_boot
        self._observed = _Observed()
        self._mutex = threading.Lock()
        self._fence_seconds: float | None = None
        self._lost = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def held(self) -> bool:
        """Whether this process leads, on its own clock, right now. Once False after being True it stays False."""
        return self.remaining_seconds() > 0.0

    def remaining_seconds(self) -> float:
        """How long this process may still act if no renewal succeeds; 0 when it does not lead."""
        with self._mutex:
            if self._lost or self._fence_seconds is None:
                return 0.0
            remaining = self._fence_seconds - self._elapsed_seconds()
            if remaining <= 0.0:
                self._lost = True
            return max(remaining, 0.0)

    def check(self) -> None:
        """Call before every write.

        Raises:
            LeaseLostError: this process does not lead.
        """
        if not self.held:
            raise LeaseLostError(f"{self.identity} does not hold the lease {self.config.namespace}/{self.config.name}")

    def attempt(self) -> bool:
        """Try once to acquire or renew.

        Returns:
            Whether this process leads after it. A failed renewal is no loss yet: the fence runs on.
        """
        try:
            self._attempt()
        except LeaseStoreError as error:
            _LOG.warning("lease attempt failed", extra={"identity": self.identity, "reason": str(error)})
        return self.held

    def _attempt(self) -> None:
        if self._is_out():
            return
        timeout = self.config.request_timeout_seconds
        lease = self._store.read(timeout)
        if lease is not None:
            self._observe(lease)
            if not self._may_take(lease):
                self._lose_if_holding()
                return
        if self._is_out():
            return  # the read took too long
        sent_seconds = self._elapsed_seconds()
        wanted = self._renewed(lease)
        stored = self._store.create(wanted, timeout) if lease is None else self._store.replace(wanted, timeout)
        self._observe(stored)
        self._extend_fence(sent_seconds)

    def _is_out(self) -> bool:
        """Whether this process led once and no longer does: it must not even renew."""
        return self._fence_seconds is not None and not self.held

    def _observe(self, lease: Lease) -> None:
        version = str(_metadata(lease).get("resourceVersion", ""))
        if version != self._observed.version:
            self._observed = _Observed(version, self._elapsed_seconds())

    def _may_take(self, lease: Lease) -> bool:
        """Ours, given back, or not renewed for as long as its holder promised to renew it."""
        spec = _spec(lease)
        holder = spec.get("holderIdentity") or ""
        if holder in ("", self.identity):
            return True
        promised = spec.get("leaseDurationSeconds")
        duration = float(promised) if isinstance(promised, int) else float(self.config.lease_seconds)
        return self._elapsed_seconds() - self._observed.seen_seconds > duration

    def _renewed(self, lease: Lease | None) -> Lease:
        """The Lease as this process would hold it; the resourceVersion in it makes a race a conflict."""
        now = _micro_time(time.time())
        spec = dict(_spec(lease)) if lease is not None else {}
        if spec.get("holderIdentity") != self.identity:
            transitions = spec.get("leaseTransitions")
            spec["leaseTransitions"] = transitions + 1 if isinstance(transitions, int) else 0
            spec["acquireTime"] = now
        spec["holderIdentity"] = self.identity
        spec["leaseDurationSeconds"] = self.config.lease_seconds
        spec["renewTime"] = now
        metadata = dict(_metadata(lease)) if lease is not None else {}
        metadata.update(name=self.config.name, namespace=self.config.namespace)
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def _extend_fence(self, sent_seconds: float) -> None:
        with self._mutex:
            now = self._elapsed_seconds()
            if self._fence_seconds is not None and now >= self._fence_seconds:
                self._lost = True  # the answer came too late: another may lead by now
            fence = sent_seconds + self.config.renew_deadline_seconds
            if not self._lost:
                self._fence_seconds = fence

    def _lose_if_holding(self) -> None:
        """Another one holds the lock: if we thought that we do, we are out."""
        with self._mutex:
            if self._fence_seconds is not None:
                self._lost = True

    def acquire(self, stop: threading.Event) -> bool:
        """Try until this process leads or `stop` is set.

        Returns:
            Whether it leads.
        """
        while not stop.is_set():
            if self.attempt():
                _LOG.info("lease acquired", extra={"identity": self.identity})
                return True
            stop.wait(self.config.retry_seconds)
        return False

    def keep(self, on_lost: Callable[[], None]) -> None:
        """Renew in a thread until `release`.

        Args:
            on_lost: called once, in that thread, when the lease is lost. It must make the process exit.
        """
        self._thread = threading.Thread(target=self._keep, args=(on_lost,), name="lease", daemon=True)
        self._thread.start()

    def _keep(self, on_lost: Callable[[], None]) -> None:
        while not self._stop.wait(min(self.config.retry_seconds, max(self.remaining_seconds(), 0.001))):
            if not self.attempt():
                if not self._stop.is_set():
                    _LOG.error("lease lost", extra={"identity": self.identity})
                    on_lost()
                return

    def release(self) -> None:
        """Stop acting first, then give the Lease back, so that the next leader need not wait for it to expire."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0 * self.config.request_timeout_seconds + 1.0)
        was_held = self.held
        with self._mutex:
            self._lost = True
        if was_held:
            try:
                self._give_back()
            except LeaseStoreError as error:
                _LOG.warning("lease not released, it will expire", extra={"reason": str(error)})

    def _give_back(self) -> None:
        timeout = self.config.request_timeout_seconds
        lease = self._store.read(timeout)
        if lease is None or _spec(lease).get("holderIdentity") != self.identity:
            return
        spec = {**_spec(lease), "holderIdentity": "", "leaseDurationSeconds": 1}
        spec["renewTime"] = _micro_time(time.time())
        self._store.replace({**lease, "spec": spec}, timeout)


def _spec(lease: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = lease.get("spec")
    return spec if isinstance(spec, Mapping) else {}


def _metadata(lease: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = lease.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _micro_time(unix_seconds: float) -> str:
    """Kubernetes' MicroTime."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class KubeLeaseStore:
    """The Lease in the cluster.

    Args:
        client: a client that is not fenced by this very Lease.
        settings: its name and namespace.
    """

    def __init__(self, client: KubeClient, settings: LeaderElection) -> None:
        self._client = client
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{settings.namespace}/leases"
        self._path = f"{self._collection}/{settings.name}"

    def read(self, timeout_seconds: float) -> Lease | None:
        """The Lease; see `LeaseStore`."""
        try:
            return self._client.get(self._path, timeout_seconds=timeout_seconds)
        except NotFoundError:
            return None
        except KubeError as error:
            raise LeaseStoreError(f"the Lease cannot be read: {error.message}") from error

    def create(self, lease: Lease, timeout_seconds: float) -> Lease:
        """Create it; see `LeaseStore`."""
        try:
            return self._client.create(self._collection, lease, timeout_seconds=timeout_seconds)
        except KubeError as error:
            raise LeaseStoreError(f"the Lease cannot be created: {error.message}") from error

    def replace(self, lease: Lease, timeout_seconds: float) -> Lease:
        """Replace it; see `LeaseStore`."""
        try:
            return self._client.replace(self._path, lease, timeout_seconds=timeout_seconds)
        except KubeError as error:
            raise LeaseStoreError(f"the Lease cannot be renewed: {error.message}") from error
