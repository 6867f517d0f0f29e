"""List and watch: one thread per resource keeps the store up to date and says how fresh it is.

The official client's informer has no read time-out and no bookmarks, so a half-open connection leaves it deaf for ever.
Here every list and every watch ends by itself, bookmarks keep a quiet watch fresh, and everything is listed again
from time to time.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from autoscaler.live.config import ApiSettings
from autoscaler.live.kube.client import GoneError, Json, KubeClient, KubeError
from autoscaler.live.view.store import Resource

_LOG = logging.getLogger(__name__)

PATHS: dict[str, str] = {
    Resource.NODES: "/api/v1/nodes",
    Resource.PODS: "/api/v1/pods",
    Resource.JOBS: "/apis/batch/v1/jobs",
    Resource.PDBS: "/apis/policy/v1/poddisruptionbudgets",
    Resource.DAEMON_SETS: "/apis/apps/v1/daemonsets",
    Resource.QUOTAS: "/api/v1/resourcequotas",
}
"""Where the API server has what is watched in any case."""

DEVICES = "/apis/resource.k8s.io/v1"
DEVICE_PATHS: dict[str, str] = {
    resource: f"{DEVICES}/{resource}"
    for resource in (Resource.SLICES, Resource.CLAIMS, Resource.CLAIM_TEMPLATES, Resource.DEVICE_CLASSES)
}
"""What is watched where the API server has devices: Kubernetes 1.34 and later."""

Path = str | Callable[[], str | None]
"""Where the API server has a collection, or how to find out; None: it does not serve it now."""

PAGE_ITEMS = 500
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
STOP_SECONDS = 2.0
"""How long a stop waits for the thread; it may be in the middle of a list."""

ABSENT_SECONDS = 30.0
"""How often it is looked whether the API server serves a collection that it did not serve before."""

READ_GRACE_SECONDS = 15.0
"""How long a watch may stay silent beyond the time at which the server promised to end it."""


class Sink(Protocol):
    """Takes in what is watched, see `view.store.Store`."""

    def replace(self, resource: str, items: Iterable[Any]) -> None:
        """Take in a full list: objects that are not in it are gone."""
        ...

    def apply(self, resource: str, event_type: str, item: Any) -> None:
        """Take in one event of a watch."""
        ...


class Listing:
    """Every object of a collection, page by page: never is more than one page in memory as JSON.

    Args:
        client: calls the API server; iterating raises what it raises.
        path: the collection.
        field_selector: which objects of it; empty: all.

    Attributes:
        version: the resourceVersion to watch from; empty until the first page is there.
    """

    def __init__(self, client: KubeClient, path: str, field_selector: str = "") -> None:
        self._client, self._path = client, path
        self._only = {"fieldSelector": field_selector} if field_selector else {}
        self.version = ""

    def __iter__(self) -> Iterator[Json]:
        params = {"limit": str(PAGE_ITEMS), **self._only}
        while True:
            page = self._client.get(self._path, params)
            metadata = page.get("metadata") or {}
            self.version = str(metadata.get("resourceVersion") or "")
            yield from page.pop("items", None) or []
            if not metadata.get("continue"):
                return
            params = {"limit": str(PAGE_ITEMS), "continue": str(metadata["continue"]), **self._only}


@dataclass(slots=True)
class _News:
    """When a resource was last heard of, on the monotonic clock."""

    seconds: float | None = None
    watching: bool = False


class Watcher:
    """Watches one resource in a thread of its own.

    Args:
        client: calls the API server.
        resource: name of what to watch.
        path: where the API server has it, see `Path`; a collection that it does not serve is empty.
        store: takes the objects in.
        settings: time-outs.
        on_relist: called with the reason of each full list: `start`, `gone`, `resync` or `error`.
        on_error: called with each failed call.
        field_selector: which objects of the collection; empty: all.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: str,
        path: Path,
        store: Sink,
        settings: ApiSettings,
        on_relist: Callable[[str, str], None] = lambda *_: None,
        on_error: Callable[[KubeError], None] = lambda _: None,
        field_selector: str = "",
    ) -> None:
        self.resource = resource
        self._client, self._path, self._store, self._settings = client, path, store, settings
        self._on_relist, self._on_error = on_relist, on_error
        self._field_selector = field_selector
        self._stop = threading.Event()
        self._news = _News()
        self._end_watch: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name=f"watch-{resource}", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch and its thread."""
        self._stop.set()
        self._end_watch()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    @property
    def listed(self) -> bool:
        """Whether the resource was listed at least once."""
        return self._news.seconds is not None

    def age_seconds(self) -> float:
        """Wall seconds since it was last heard of; infinite before the first list."""
        seconds = self._news.seconds
        return float("inf") if seconds is None else time.monotonic() - seconds

    def stale(self) -> bool:
        """Whether what the store has may no longer be true."""
        settings = self._settings
        limit = settings.stale_seconds if self._news.watching else settings.disconnected_seconds
        return self.age_seconds() > limit

    def _heard(self) -> None:
        self._news.seconds = time.monotonic()

    def _run(self) -> None:
        pause, reason = FIRST_PAUSE_SECONDS, "start"
        while not self._stop.is_set():
            try:
                reason = self._list_and_watch(reason)
                pause = FIRST_PAUSE_SECONDS
                continue
            except KubeError as error:
                if self._stop.is_set():
                    return
                self._on_error(error)
                _LOG.warning("watching failed", extra={"resource": self.resource, "error": str(error)})
            except Exception:
                # A bug of ours in one resource must not leave the loop deaf; stale data then hold the decision.
                _LOG.exception("watching failed", extra={"resource": self.resource})
            self._news.watching = False
            reason = "error"
            self._stop.wait(pause * random.uniform(0.5, 1.0))
            pause = min(2.0 * pause, LONGEST_PAUSE_SECONDS)

    def _list_and_watch(self, reason: str) -> str:
        """List, then watch until it is time to list again; return why."""
        path = self._path if isinstance(self._path, str) else self._path()
        if path is None:
            return self._absent()
        objects = Listing(self._client, path, self._field_selector)
        self._store.replace(self.resource, objects)
        version = objects.version
        self._heard()
        self._on_relist(self.resource, reason)
        relist_at = time.monotonic() + self._settings.relist_seconds
        while not self._stop.is_set() and time.monotonic() < relist_at:
            try:
                version = self._watch(path, version)
            except GoneError:
                return "gone"
            self._news.watching = False
        return "resync"

    def _absent(self) -> str:
        """There is nothing to watch; look again after a while."""
        self._store.replace(self.resource, ())
        self._heard()
        self._news.watching = True
        self._stop.wait(min(ABSENT_SECONDS, self._settings.stale_seconds / 2.0))
        return "start"

    def _watch(self, path: str, version: str) -> str:
        """Watch once; return the resourceVersion to go on from."""
        seconds = self._settings.watch_timeout_seconds
        params = {
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            # Spread out, so that the watches of many replicas do not all end at once.
            "timeoutSeconds": str(max(1, round(seconds * random.uniform(0.75, 1.0)))),
        }
        if self._field_selector:
            params["fieldSelector"] = self._field_selector
        # The server writes a bookmark about every minute: silence for `stale_seconds` means a dead connection.
        silence = min(seconds + READ_GRACE_SECONDS, self._settings.stale_seconds)
        for event in self._client.watch(path, params, silence, on_open=self._opened):
            item: Any = event.get("object")
            kind = str(event.get("type"))
            self._heard()
            if kind != "BOOKMARK":
                self._store.apply(self.resource, kind, item)
            version = _version_of(item) or version
            if self._stop.is_set():
                break
        return version

    def _opened(self, end: Callable[[], None]) -> None:
        self._end_watch = end
        if self._stop.is_set():
            end()
        self._news.watching = True
        self._heard()


def _version_of(item: Any) -> str:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else ""


class Watchers:
    """All watches of one process.

    Args:
        watchers: one per resource.
    """

    def __init__(self, watchers: Iterable[Watcher]) -> None:
        self._watchers = tuple(watchers)

    def start(self) -> None:
        """Begin to watch."""
        for watcher in self._watchers:
            watcher.start()

    def stop(self) -> None:
        """End all watches."""
        for watcher in self._watchers:
            watcher.stop()

    def wait_listed(self, stop: threading.Event, timeout_seconds: float) -> bool:
        """Wait until everything was listed once; False: it was not in time, or `stop` was set."""
        deadline = time.monotonic() + timeout_seconds
        while not all(watcher.listed for watcher in self._watchers):
            if stop.wait(0.02) or time.monotonic() > deadline:
                return False
        return True

    def stale(self) -> tuple[str, ...]:
        """Names of the resources whose data may no longer be true."""
        return tuple(str(watcher.resource) for watcher in self._watchers if watcher.stale())

    def ages_seconds(self) -> dict[str, float]:
        """Wall seconds since each resource was last heard of."""
        return {str(watcher.resource): watcher.age_seconds() for watcher in self._watchers}
