"""Events: one object for the same words, a count that grows, and no storm."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from autoscaler.live import names
from autoscaler.live.kube.client import ConflictError, NotFoundError
from autoscaler.live.objects import ObjectRef
from autoscaler.live.telemetry import events
from autoscaler.live.telemetry.events import BURST, MAX_WAITING, REPEAT_SECONDS, EventRecorder
from autoscaler.live.telemetry.metrics import Metrics

LEASE = ObjectRef("Lease", "green-autoscaler", "kube-system", "", "coordination.k8s.io/v1")
JOB = ObjectRef("Job", "train", "default", "job-uid", "batch/v1")


class Api:
    """Takes Events in as the API server does."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.free = threading.Event()
        self.free.set()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return list(self.events.values())

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.free.wait(5.0)
        assert path == f"/api/v1/namespaces/{body['metadata']['namespace']}/events"
        if f"{path}/{body['metadata']['name']}" in self.events:
            raise ConflictError(409, "AlreadyExists", "409")
        self.events[f"{path}/{body['metadata']['name']}"] = body
        return body

    def get(self, path: str) -> dict[str, Any]:
        if path not in self.events:
            raise NotFoundError(404, "NotFound", "404")
        return self.events[path]

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.events[path] = {**self.events[path], **body}
        return self.events[path]


class Rig:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.api, self.metrics, self.now = Api(), Metrics(), 1000.0
        monkeypatch.setattr(events.time, "monotonic", lambda: self.now)
        self.recorder = self.another()

    def another(self) -> EventRecorder:
        return EventRecorder(self.api, self.metrics, "me", LEASE)  # type: ignore[arg-type]

    def tell(self, message: str, about: ObjectRef = JOB) -> None:
        self.recorder.event(about, "Normal", names.EVENT_NOT_TRIGGER_SCALE_UP, message)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    rig = Rig(monkeypatch)
    yield rig
    rig.recorder.close()


def test_the_same_words_are_one_event_whose_count_grows_after_a_pause(rig: Rig) -> None:
    for _ in range(3):
        rig.tell("pool a is full")
    rig.now += REPEAT_SECONDS
    rig.tell("pool a is full")
    rig.recorder.close()
    (event,) = rig.api.bodies
    assert event["count"] == 4, "three within the pause, of which one was written, and one after it"


def test_another_reason_is_told_at_once(rig: Rig) -> None:
    rig.tell("pool a is full")
    rig.tell("pool a is in backoff")
    rig.recorder.close()
    assert [event["message"] for event in rig.api.bodies] == ["pool a is full", "pool a is in backoff"]


def test_a_restart_counts_on(rig: Rig) -> None:
    rig.tell("pool a is full")
    rig.recorder.close()
    rig.recorder = rig.another()
    rig.tell("pool a is full")
    rig.recorder.close()
    assert [event["count"] for event in rig.api.bodies] == [2]


def test_words_that_change_all_the_time_are_no_storm(rig: Rig) -> None:
    for index in range(200):
        rig.tell(f"wait {index} s")
        rig.now += 1.0
    rig.tell("pool a is full", ObjectRef("Job", "other", "default", "other-uid", "batch/v1"))
    rig.recorder.close()
    assert len(rig.api.bodies) == BURST + 1, "the object that was told too much hears no more, others do"
    assert rig.metrics.value(names.METRIC_ERRORS, "event_dropped") == 200 - BURST


def test_a_node_of_unknown_uid_is_known_by_its_name_as_kubelet_writes_it(rig: Rig) -> None:
    rig.tell("removed", ObjectRef("Node", "n"))
    rig.tell("removed", ObjectRef("Node", "m", "", "m-uid"))
    rig.recorder.close()
    assert [event["involvedObject"]["uid"] for event in rig.api.bodies] == ["n", "m-uid"]


def test_events_are_written_once_with_all_that_the_api_server_asks_for() -> None:
    api, metrics = Api(), Metrics()
    recorder = EventRecorder(api, metrics, "me", LEASE)  # type: ignore[arg-type]
    for _ in range(3):
        recorder.event(ObjectRef("Node", "n", "", "u"), "Normal", names.EVENT_SCALE_DOWN, "removed")
    recorder.lease_event("Warning", names.EVENT_FALLBACK, "x" * 5000)
    recorder.close()
    node, lease = api.bodies
    assert (node["metadata"]["namespace"], node["involvedObject"]["namespace"]) == ("default", "")
    assert lease["metadata"]["namespace"] == "kube-system"
    assert len(lease["message"]) <= 1024
    assert {"reportingComponent", "reportingInstance", "eventTime", "action"} <= node.keys()


def test_a_slow_api_server_never_blocks_the_loop() -> None:
    api, metrics = Api(), Metrics()
    api.free.clear()
    recorder = EventRecorder(api, metrics, "me", LEASE)  # type: ignore[arg-type]
    for index in range(MAX_WAITING + 50):
        recorder.event(ObjectRef("Node", f"n{index}"), "Normal", names.EVENT_SCALE_DOWN, "removed")
    assert metrics.value(names.METRIC_ERRORS, "event_dropped") > 0
    api.free.set()
    recorder.close()
