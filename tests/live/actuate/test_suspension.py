"""One patch suspends a job with our mark, another lets it go on without; a kill leaves nothing stuck."""

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.live.actuate.suspension import resume, suspend
from autoscaler.live.clock import ManualClock
from autoscaler.live.guardrails import Suspension
from autoscaler.live.kube.client import ConflictError
from autoscaler.live.names import (
    ANNOTATION_RAN_SECONDS,
    ANNOTATION_RESUME_BY,
    ANNOTATION_SUSPENDED_AT,
    ANNOTATION_SUSPENDED_BY,
    ANNOTATION_SUSPENDED_IN,
    ANNOTATION_SUSPENDED_SECONDS,
)
from autoscaler.live.objects import ObjectRef, SuspendedBy, SuspendedJob
from tests.live.fake_api import FakeApi, KilledError, killed
from tests.live.views import gang

JOB = "/apis/batch/v1/namespaces/default/jobs/j"
PYTORCH = "/apis/kubeflow.org/v1/namespaces/default/pytorchjobs/j"


CLOCK = ManualClock(1.0)


def of(ref: ObjectRef, by: SuspendedBy = SuspendedBy.GRID_EVENT, until: float = 0.0) -> Suspension:
    return Suspension(replace(gang("j"), ref=ref), "why", by, "a", 700.0, until)


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


def put(api: FakeApi, path: str = JOB, **spec: Any) -> ObjectRef:
    kind, version = ("Job", "batch/v1") if path == JOB else ("PyTorchJob", "kubeflow.org/v1")
    made = api.put(path, {"metadata": {"namespace": "default"}, "spec": {"suspend": False, **spec}})
    return ObjectRef(kind, "j", "default", made["metadata"]["uid"], version)


def state(api: FakeApi, path: str = JOB) -> tuple[bool, str | None]:
    raw = api.objects[path]
    return raw["spec"]["suspend"], raw["metadata"].get("annotations", {}).get(ANNOTATION_SUSPENDED_AT)


def job(ref: ObjectRef) -> SuspendedJob:
    return SuspendedJob(ref, 0.0, 1000)


def test_a_job_is_suspended_and_goes_on(api: FakeApi) -> None:
    ref = put(api)
    assert suspend(api, of(ref), ManualClock(12.5))
    assert state(api) == (True, "12.500")
    assert resume(api, job(ref), CLOCK)
    assert state(api) == (False, None)


def test_the_mark_says_who_suspended_it_where_and_until_when_and_what_stays_is_how_long(api: FakeApi) -> None:
    ref = put(api)
    assert suspend(api, of(ref, SuspendedBy.POLICY, until=90.0), ManualClock(12.5))
    assert api.objects[JOB]["metadata"]["annotations"] == {
        ANNOTATION_SUSPENDED_AT: "12.500",
        ANNOTATION_SUSPENDED_BY: "policy",
        ANNOTATION_SUSPENDED_IN: "a",
        ANNOTATION_RESUME_BY: "90.000",
        ANNOTATION_RAN_SECONDS: "700.000",
    }
    again = SuspendedJob(ref, 12.5, 1000, by=SuspendedBy.POLICY)
    assert resume(api, again, ManualClock(20.0))
    left = {ANNOTATION_RAN_SECONDS: "700.000", ANNOTATION_SUSPENDED_SECONDS: "7.500"}
    assert api.objects[JOB]["metadata"]["annotations"] == left
    suspend(api, of(ref), ManualClock(30.0))
    assert resume(api, replace(again, since_seconds=30.0), ManualClock(31.0))
    assert api.objects[JOB]["metadata"]["annotations"][ANNOTATION_SUSPENDED_SECONDS] == "8.500", "they add up"


def test_the_field_of_kubeflow_lies_deeper(api: FakeApi) -> None:
    ref = put(api, PYTORCH, runPolicy={"cleanPodPolicy": "None"})
    assert suspend(api, of(ref), CLOCK)
    assert api.objects[PYTORCH]["spec"]["runPolicy"] == {"cleanPodPolicy": "None", "suspend": True}
    assert resume(api, job(ref), CLOCK)
    assert api.objects[PYTORCH]["spec"]["runPolicy"]["suspend"] is False


def test_a_job_that_its_owner_suspended_is_neither_marked_nor_resumed(api: FakeApi) -> None:
    ref = put(api, suspend=True)
    assert not suspend(api, of(ref), CLOCK)
    assert not resume(api, job(ref), CLOCK)
    assert state(api) == (True, None)
    assert api.writes == []


def test_a_job_that_its_owner_let_go_on_only_loses_the_mark(api: FakeApi) -> None:
    ref = put(api)
    suspend(api, of(ref), CLOCK)
    api.objects[JOB]["spec"]["suspend"] = False
    assert not resume(api, job(ref), CLOCK)
    assert state(api) == (False, None)


def test_another_job_of_the_same_name_is_left_alone(api: FakeApi) -> None:
    old = put(api)
    put(api)
    assert not suspend(api, of(old), CLOCK)
    assert state(api) == (False, None)
    del api.objects[JOB]
    assert not suspend(api, of(old), CLOCK)
    assert not resume(api, job(old), CLOCK)


def test_who_changes_a_job_between_the_look_and_the_write_is_not_overwritten(api: FakeApi) -> None:
    ref = put(api)
    look = api._get

    def changed(path: str, params: Any) -> Any:
        found = look(path, params)
        api.objects[JOB]["spec"]["suspend"] = True
        api.objects[JOB]["metadata"]["resourceVersion"] = "later"
        return found

    api._get = changed  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        suspend(api, of(ref), CLOCK)
    assert state(api) == (True, None)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_leaves_the_mark_with_the_field_or_none_of_both(api: FakeApi, moment: str) -> None:
    ref = put(api)
    setattr(api, moment, lambda method, path: killed())
    with pytest.raises(KilledError):
        suspend(api, of(ref), CLOCK)
    assert state(api) in ((False, None), (True, "1.000"))
    setattr(api, moment, lambda method, path: None)
    suspend(api, of(ref), CLOCK)
    setattr(api, moment, lambda method, path: killed())
    with pytest.raises(KilledError):
        resume(api, job(ref), CLOCK)
    assert state(api) in ((True, "1.000"), (False, None))
