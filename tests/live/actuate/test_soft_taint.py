"""The soft taint on idle nodes: which get it, who loses it, and that nobody else's taint is lost."""

import pytest

from autoscaler.live.actuate.taints import soft_taint_changes, write_soft_taints
from autoscaler.live.constraints import Taint
from autoscaler.live.guardrails import GuardrailState, evaluate
from autoscaler.live.names import ANNOTATION_SCALE_DOWN_DISABLED, TAINT_CANDIDATE
from autoscaler.live.objects import NodeState
from tests.live.fake_api import FakeApi
from tests.live.views import JOB, booting, config, decision, gang, node, pod, unready, view

SOFT = Taint(TAINT_CANDIDATE, "1", "PreferNoSchedule")
OTHER = {"key": "other", "value": "x", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"}


def candidates(cluster, want=None, settings=None):
    return evaluate(cluster, want or decision(a=10), GuardrailState(), settings or config()).candidates


def test_idle_nodes_are_candidates_and_busy_booting_and_broken_ones_are_not():
    worker = pod(node="w", gpus=8, owner=JOB)
    cluster = view([node("i"), node("w", pods=[worker]), booting("s"), unready("u")], pods=[worker])
    assert candidates(cluster) == ("i",)


def test_a_node_that_goes_already_has_the_other_taint():
    assert candidates(view([node("i"), node("j")]), decision(a=1)) == ("j",)


def test_a_node_that_a_person_or_a_pod_holds_is_no_candidate():
    held = pod(node="held", owner=None)
    opted = node("opted", annotations={ANNOTATION_SCALE_DOWN_DISABLED: "true"})
    assert candidates(view([node("held", pods=[held]), opted], pods=[held])) == ()


def test_a_node_that_is_promised_to_a_gang_is_no_candidate():
    assert candidates(view([node("i")], queue=[gang("g")]), decision(a=1, placement=[0])) == ()


def test_as_many_as_the_pool_must_keep_are_no_candidates():
    cluster = view([node("young", idle_for=60.0), node("old")])
    assert candidates(cluster, settings=config(a={"min_nodes": 1})) == ("old",)


def test_a_health_stop_leaves_the_taints_as_they_are():
    assert candidates(view([unready(f"u{index}") for index in range(5)])) is None


def test_a_taint_is_set_once_and_taken_back_when_the_node_is_no_candidate():
    cluster = view([node("new"), node("known", taints=(SOFT,)), node("used", taints=(SOFT,))])
    changes = soft_taint_changes(cluster, ["new", "known"], 10)
    assert [(each.name, present) for each, present in changes] == [("used", False), ("new", True)]


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_only_so_many_are_changed_at_once_and_taking_back_comes_first(limit):
    cluster = view([node("a"), node("b"), node("z", taints=(SOFT,))])
    changes = soft_taint_changes(cluster, ["a", "b"], limit)
    assert [each.name for each, _ in changes] == ["z", "a"][:limit]


def test_a_node_on_its_way_out_is_left_alone():
    assert soft_taint_changes(view([node("n", state=NodeState.DRAINING, taints=(SOFT,))]), [], 10) == []


@pytest.fixture
def api():
    made = FakeApi()
    made.put("/api/v1/nodes/n", {"metadata": {"uid": "uid-n"}, "spec": {"taints": [OTHER]}})
    return made


def taints(api):
    return api.objects["/api/v1/nodes/n"]["spec"]["taints"]


def test_taints_of_others_stay(api):
    assert write_soft_taints(api, [(node("n"), True)], 7.9) == []
    assert taints(api) == [OTHER, {"key": TAINT_CANDIDATE, "value": "7", "effect": "PreferNoSchedule"}]
    assert write_soft_taints(api, [(node("n"), False)], 8.0) == []
    assert taints(api) == [OTHER]


def test_a_taint_that_somebody_adds_meanwhile_stays(api):
    def add(method, path):
        api.before = lambda method, path: None
        api.put(path, {**api.objects[path], "spec": {"taints": [OTHER, {"key": "late", "effect": "NoSchedule"}]}})

    api.before = add
    assert write_soft_taints(api, [(node("n"), True)], 7.0) == []
    assert [each["key"] for each in taints(api)] == ["other", "late", TAINT_CANDIDATE]


def test_another_node_of_the_same_name_is_left_alone(api):
    api.objects["/api/v1/nodes/n"]["metadata"]["uid"] = "another"
    assert write_soft_taints(api, [(node("n"), True)], 7.0) == []
    assert taints(api) == [OTHER]


def test_a_node_that_is_gone_is_no_failure(api):
    assert write_soft_taints(api, [(node("gone"), True)], 7.0) == []
