"""Reboots of broken nodes: the node is marked first, then its provider or another controller is asked."""

import pytest

from autoscaler.live.actuate.repair import carry_out
from autoscaler.live.clock import ManualClock
from autoscaler.live.guardrails import RepairAction, RepairKind
from autoscaler.live.names import ANNOTATION_REBOOTED_AT, TAINT_REPAIR
from autoscaler.live.objects import NodeView
from autoscaler.live.repair_config import RebootRequest, RepairConfigError
from tests.live.fake_api import FakeApi, raw_node

REBOOTS = "/apis/janitor.dgxc.nvidia.com/v1alpha1/rebootnodes"


def broken(api, uid=None):
    """A node of the cluster, as it was seen when its reboot was decided."""
    raw = raw_node("n")
    api.put("/api/v1/nodes/n", raw)
    seen = uid or api.get("/api/v1/nodes/n")["metadata"]["uid"]
    return RepairAction(RepairKind.REBOOT, "a", NodeView(name="n", uid=seen, pool="a"), "it is broken", 10.0)


def requests(api, path=REBOOTS):
    return [body for at, body in api.objects.items() if at.startswith(f"{path}/")]


def test_the_object_names_the_node_once_it_is_marked():
    api = FakeApi()
    action = broken(api)
    assert carry_out(api, ManualClock(), {}, RebootRequest(), action)
    (made,) = requests(api)
    assert (made["kind"], made["spec"]) == ("RebootNode", {"nodeName": "n"})
    node = api.get("/api/v1/nodes/n")
    assert [taint["key"] for taint in node["spec"]["taints"]] == [TAINT_REPAIR]
    assert ANNOTATION_REBOOTED_AT in node["metadata"]["annotations"]


def test_asking_again_makes_no_second_object():
    api = FakeApi()
    action = broken(api)
    assert [carry_out(api, ManualClock(), {}, RebootRequest(), action) for _ in range(2)] == [True, True]
    assert len(requests(api)) == 1


def test_another_node_of_the_same_name_is_left_alone():
    api = FakeApi()
    action = broken(api, uid="older")
    assert not carry_out(api, ManualClock(), {}, RebootRequest(), action)
    assert requests(api) == []


def test_the_object_of_another_controller_has_its_own_fields():
    api = FakeApi()
    request = RebootRequest("repair.example.com/v1", "Repair", "repairs", "ops", "node", {"action": "reboot"})
    assert carry_out(api, ManualClock(), {}, request, broken(api))
    (made,) = requests(api, "/apis/repair.example.com/v1/namespaces/ops/repairs")
    assert (made["metadata"]["namespace"], made["spec"]) == ("ops", {"node": "n", "action": "reboot"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"api_version": "v1"}, "write GROUP/VERSION"),
        ({"api_version": "a/b/c"}, "write GROUP/VERSION"),
        ({"plural": ""}, "plural is empty"),
        ({"spec": {"nodeName": "x"}}, "take it out of spec"),
    ],
)
def test_a_request_without_meaning_is_one_line(change, words):
    with pytest.raises(RepairConfigError, match=words) as caught:
        RebootRequest(**change)
    assert "\n" not in str(caught.value)
