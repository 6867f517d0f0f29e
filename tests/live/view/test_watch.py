"""Watches of what the API server may or may not serve."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from autoscaler.live.config import ApiSettings
from autoscaler.live.kube.client import NotFoundError
from autoscaler.live.kube.discovery import served_version
from autoscaler.live.view import watch
from autoscaler.live.view.watch import Watcher


class Api:
    """Serves one collection while `served` is set."""

    def __init__(self) -> None:
        self.served = False
        self.listed = threading.Event()

    def get(self, path: str, params: Any = None) -> dict[str, Any]:
        if not self.served:
            raise NotFoundError(404, "NotFound", "the server could not find the requested resource")
        if path == "/apis/ray.io/v1":
            return {"resources": [{"kind": "RayCluster", "name": "rayclusters"}]}
        return {"items": [{"metadata": {"name": "g"}}], "metadata": {"resourceVersion": "7"}}

    def watch(self, path: str, params: Any, silence: float, on_open: Any) -> Iterator[Any]:
        self.listed.set()
        threading.Event().wait(0.05)
        return iter(())


class Store:
    """Keeps the lists."""

    def __init__(self) -> None:
        self.lists: list[int] = []

    def replace(self, resource: str, objects: Any) -> None:
        self.lists.append(len(list(objects)))


def test_a_collection_that_is_not_served_is_empty_and_fresh_until_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ABSENT_SECONDS", 0.01)
    api, store, failures = Api(), Store(), []
    found: Any = lambda: "/apis/ray.io/v1/rayclusters" if served_version(api, "ray.io", ["v1"], "RayCluster") else None  # type: ignore[arg-type]  # noqa: E731
    watcher = Watcher(api, "rayclusters", found, store, ApiSettings(), on_error=failures.append)  # type: ignore[arg-type]
    watcher.start()
    try:
        while len(store.lists) < 3:
            threading.Event().wait(0.005)
        assert store.lists[:3] == [0, 0, 0]
        assert watcher.listed
        assert not watcher.stale()
        api.served = True
        assert api.listed.wait(10.0)
        assert store.lists[-1] == 1
    finally:
        watcher.stop()
    assert failures == []


def test_the_first_version_that_is_served_is_taken() -> None:
    api = Api()
    api.served = True
    assert served_version(api, "ray.io", ["v1"], "RayCluster") == "v1"  # type: ignore[arg-type]
    assert served_version(api, "ray.io", ["v1"], "RayJob") is None  # type: ignore[arg-type]
