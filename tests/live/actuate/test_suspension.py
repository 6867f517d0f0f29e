"""One patch suspends a job with our mark, another lets it go on without; a kill leaves nothing stuck."""

from typing import Any

import pytest

from autoscaler.live.actuate.suspension import resume, suspend
from autoscaler.live.kube.client import ConflictError
from autoscaler.live.names import ANNOTATION_SUSPENDED_AT
from autoscaler.live.objects import ObjectRef, SuspendedJob
from tests.live.fake_api import FakeApi, KilledError, killed

JOB = "/apis/batch/v1/namespaces/default/jobs/j"
PYTORCH = "/apis/kubeflow.org/v1/namespaces/default/pytorchjobs/j"


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
    assert suspend(api, ref, 12.5)
    assert state(api) == (True, "12.500")
    assert resume(api, job(ref))
    assert state(api) == (False, None)


def test_the_field_of_kubeflow_lies_deeper(api: FakeApi) -> None:
    ref = put(api, PYTORCH, runPolicy={"cleanPodPolicy": "None"})
    assert suspend(api, ref, 1.0)
    assert api.objects[PYTORCH]["spec"]["runPolicy"] == {"cleanPodPolicy": "None", "suspend": True}
    assert resume(api, job(ref))
    assert api.objects[PYTORCH]["spec"]["runPolicy"]["suspend"] is False


def test_a_job_that_its_owner_suspended_is_neither_marked_nor_resumed(api: FakeApi) -> None:
    ref = put(api, suspend=True)
    assert not suspend(api, ref, 1.0)
    assert not resume(api, job(ref))
    assert state(api) == (True, None)
    assert api.writes == []


def test_a_job_that_its_owner_let_go_on_only_loses_the_mark(api: FakeApi) -> None:
    ref = put(api)
    suspend(api, ref, 1.0)
    api.objects[JOB]["spec"]["suspend"] = False
    assert not resume(api, job(ref))
    assert state(api) == (False, None)


def test_another_job_of_the_same_name_is_left_alone(api: FakeApi) -> None:
    old = put(api)
    put(api)
    assert not suspend(api, old, 1.0)
    assert state(api) == (False, None)
    del api.objects[JOB]
    assert not suspend(api, old, 1.0)
    assert not resume(api, job(old))


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
        suspend(api, ref, 1.0)
    assert state(api) == (True, None)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_leaves_the_mark_with_the_field_or_none_of_both(api: FakeApi, moment: str) -> None:
    ref = put(api)
    setattr(api, moment, lambda method, path: killed())
    with pytest.raises(KilledError):
        suspend(api, ref, 1.0)
    assert state(api) in ((False, None), (True, "1.000"))
    setattr(api, moment, lambda method, path: None)
    suspend(api, ref, 1.0)
    setattr(api, moment, lambda method, path: killed())
    with pytest.raises(KilledError):
        resume(api, job(ref))
    assert state(api) in ((True, "1.000"), (False, None))
