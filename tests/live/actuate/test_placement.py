"""Releases: one atomic patch per pod, safe to repeat and to race, reported when only a part succeeds."""

from autoscaler.live.actuate.placement import patch_of, place
from autoscaler.live.guardrails import Release
from autoscaler.live.kube.client import UnreachableError
from autoscaler.live.names import GATE_PLACEMENT
from tests.live.fake_api import POD, FakeApi, raw_pod
from tests.live.views import JOB, gang, pod

POOL = "autoscaler.green/pool"


def world(count=2, **fields):
    api = FakeApi()
    members = []
    for index in range(count):
        raw = api.put(POD(f"g-{index}"), raw_pod(f"g-{index}", gates=(GATE_PLACEMENT,), gpus=8, **fields))
        view = pod(f"g-{index}", gpus=8, owner=JOB, gates=(GATE_PLACEMENT,))
        members.append(
            type(view)(
                **{name: getattr(view, name) for name in view.__dataclass_fields__} | {"uid": raw["metadata"]["uid"]}
            )
        )
    return api, Release(gang("g", pods=count, members=tuple(members)), "a", tuple(members))


def test_one_patch_per_pod_selects_the_pool_and_removes_the_gate():
    api, release = world()
    placed = place(api, release, 1_000_000.0)
    assert placed.pods == release.pods
    assert placed.refused == ()
    assert api.writes == [("PATCH", POD("g-0")), ("PATCH", POD("g-1"))]
    spec = api.objects[POD("g-0")]["spec"]
    assert spec["nodeSelector"] == {POOL: "a"}
    assert spec["schedulingGates"] == []
    assert api.objects[POD("g-0")]["metadata"]["annotations"] == {"autoscaler.green/placed-at": "1000000.000"}


def test_gates_and_selectors_of_others_stay():
    api, release = world(1)
    api.objects[POD("g-0")]["spec"]["schedulingGates"].append({"name": "other.example/gate"})
    api.objects[POD("g-0")]["spec"]["nodeSelector"] = {"disk": "nvme"}
    place(api, release, 0.0)
    spec = api.objects[POD("g-0")]["spec"]
    assert spec["nodeSelector"] == {"disk": "nvme", POOL: "a"}
    assert spec["schedulingGates"] == [{"name": "other.example/gate"}]


def test_a_gang_that_gets_only_half_way_is_reported():
    api, release = world(3)

    def fail(method, path):
        if path == POD("g-1"):
            raise UnreachableError(0, "", "timed out")

    api.before = fail
    placed = place(api, release, 0.0)
    assert [each.name for each in placed.pods] == ["g-0", "g-2"]
    assert [(each.about.name, each.reason) for each in placed.refused] == [("g-1", "timed out")]


def test_repeating_a_release_changes_nothing():
    api, release = world(1)
    place(api, release, 0.0)
    assert place(api, release, 0.0).refused == ()


def test_a_pod_that_another_leader_sent_elsewhere_is_not_moved():
    api, release = world(1)
    place(api, Release(release.gang, "b", release.pods), 0.0)
    (refused,) = place(api, release, 0.0).refused
    assert "somebody else" in refused.reason
    assert api.objects[POD("g-0")]["spec"]["nodeSelector"] == {POOL: "b"}


def test_another_pod_of_the_same_name_is_not_released():
    api, release = world(1)
    api.put(POD("g-0"), raw_pod("g-0", gates=(GATE_PLACEMENT,)))
    assert len(place(api, release, 0.0).refused) == 1
    assert api.objects[POD("g-0")]["spec"]["schedulingGates"] == [{"name": GATE_PLACEMENT}]


def test_a_pod_that_is_gone_is_reported():
    api, release = world(1)
    api.objects.clear()
    assert len(place(api, release, 0.0).refused) == 1


def test_the_patch_holds_nothing_but_what_changes():
    body = patch_of(pod("p", gpus=1), "a", 0.0)
    assert set(body) == {"metadata", "spec"}
    assert set(body["metadata"]) == {"uid", "annotations"}
    assert set(body["spec"]) == {"nodeSelector", "schedulingGates"}
    # A pod without GPUs may run anywhere.
    assert set(patch_of(pod("p"), "a", 0.0)["spec"]) == {"schedulingGates"}
