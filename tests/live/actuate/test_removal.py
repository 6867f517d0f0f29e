"""The order of a removal, what undoes it."""

import pytest

from autoscaler.live.actuate.removal import Outcome
from autoscaler.live.clock import ManualClock
from autoscaler.live.guardrails import Removal
from autoscaler.live.kube.client import ConflictError
from autoscaler.live.kube.lease import LeaseLostError
from autoscaler.live.providers import InvalidPoolError, TransientError
from autoscaler.live.providers.kwok.provider import KwokProvider
from autoscaler.live.providers.recording import RecordingProvider
from tests.live.fake_api import NODE, PDB, POD, STEP, TAINT, FakeApi, raw_node, raw_pdb, raw_pod
from tests.live.removal_world import NOW, SAFE, World
from tests.live.views import config


@pytest.fixture
def world():
    made = World()
    made.add_node("n")
    return made


def test_all_chosen_nodes_are_tainted_before_anything_else(world):
    world.add_node("m")
    world.start("m", "n")
    assert world.api.writes == [("PATCH", NODE("m")), ("PATCH", NODE("n"))]
    assert world.taint("n") == {"key": TAINT, "value": "1000000", "effect": "NoSchedule"}
    assert world.step("n") == "tainted empty 1000000.000"
    assert world.outcomes() == [(Outcome.STARTED, "m"), (Outcome.STARTED, "n")]


def test_nothing_happens_for_5_seconds(world):
    world.start("n")
    world.later(4.9)
    assert world.provider.calls == []
    world.later(0.1)
    assert [call.method for call in world.provider.calls] == ["delete"]
    world.later()
    assert not world.has(NODE("n"))
    assert world.outcomes()[-1] == (Outcome.REMOVED, "n")
    assert world.machine.under_way == ()


def test_taints_of_others_stay(world):
    world.api.objects[NODE("n")]["spec"]["taints"] = [{"key": "team", "value": "x", "effect": "NoSchedule"}]
    world.start("n")
    assert [taint["key"] for taint in world.api.objects[NODE("n")]["spec"]["taints"]] == ["team", TAINT]
    world.add_pod("late", "n")
    world.later()
    assert world.api.objects[NODE("n")]["spec"]["taints"] == [{"key": "team", "value": "x", "effect": "NoSchedule"}]


def test_a_node_that_somebody_changes_meanwhile_is_read_again(world):
    changes = iter([True, True, False])

    def change(method, path):
        if path == NODE("n") and next(changes, False):
            world.api.put(NODE("n"), world.api.objects[NODE("n")])

    world.api.before = change
    world.start("n")
    assert world.taint("n") is not None


def test_a_taint_that_somebody_adds_at_the_same_moment_is_not_lost(world):
    theirs = {"key": "theirs", "effect": "NoSchedule"}

    def add(method, path):
        world.api.before = lambda *_: None
        item = world.api.objects[NODE("n")]
        item["spec"]["taints"] = [theirs]
        world.api.put(NODE("n"), item)

    world.api.before = add
    world.start("n")
    assert [taint["key"] for taint in world.api.objects[NODE("n")]["spec"]["taints"]] == ["theirs", TAINT]


def test_a_node_that_just_received_a_pod_is_given_back(world):
    world.start("n")
    world.add_pod("late", "n")
    world.later()
    assert world.is_untouched("n")
    assert world.has(POD("late"))
    assert world.provider.calls == []
    assert world.outcomes()[-1] == (Outcome.UNDONE, "n")
    assert "late" in world.reports[-1].reason


@pytest.mark.parametrize("fields", [{"owner": "DaemonSet"}, {"annotations": {"kubernetes.io/config.mirror": "x"}}])
def test_pods_that_hold_no_node_do_not_stop_it(world, fields):
    world.add_pod("agent", "n", **fields)
    world.start("n")
    world.later()
    assert not world.has(NODE("n"))
    assert world.has(POD("agent")), "it was not evicted"


def test_pods_are_evicted_then_the_node_goes(world):
    world.add_pod("web", "n")
    world.start("n", drain=True)
    world.later(4.0)
    assert world.has(POD("web"))
    world.later(1.0)
    assert not world.has(POD("web"))
    assert world.has(NODE("n")), "it waits until the pod is gone"
    world.later(0.0)
    assert not world.has(NODE("n"))
    paths = [path for _, path in world.api.writes]
    assert paths.index(f"{POD('web')}/eviction") > paths.index(NODE("n"))


def fill(world, node):
    """A pod takes nearly all that a node has."""
    body = raw_pod("big", node)
    body["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "95.5"
    world.api.put(POD("big"), body)


def test_pods_whose_place_was_taken_during_the_wait_are_not_evicted(world):
    world.add_pod("web", "n")
    world.start("n", drain=True)
    fill(world, "spare")
    world.later()
    assert world.is_untouched("n")
    assert world.has(POD("web"))
    assert world.reports[-1].reason == "pod default/web fits on no other ready node"


def test_a_node_that_is_cordoned_during_the_wait_is_no_place(world):
    world.add_pod("web", "n")
    world.start("n", drain=True)
    world.api.put(NODE("spare"), raw_node("spare", unschedulable=True))
    world.later()
    assert world.is_untouched("n")
    assert world.has(POD("web"))


def refusing(world):
    """A pod whose budget allows its eviction until it is tried."""
    world.add_pod("web", "n", labels={"app": "w"})
    world.api.put(PDB("b"), raw_pdb("b", 1, app="w"))
    world.start("n", drain=True)
    world.api.before = lambda method, path: (
        world.api.objects[PDB("b")]["status"].update(disruptionsAllowed=0) if path.endswith("/eviction") else None
    )
    world.later()
    assert world.step("n").startswith("evicting")


@pytest.mark.parametrize("restarts", [True, False])
def test_evictions_that_are_tried_again_look_for_places_again(world, restarts):
    refusing(world)
    fill(world, "spare")
    if restarts:
        world.restart()
        world.machine.recover()
    world.later(0.5 if restarts else 6.0)
    assert world.is_untouched("n")
    assert world.has(POD("web"))


def test_it_waits_until_pods_have_ended(world):
    world.api.terminates = False
    world.add_pod("web", "n")
    world.start("n", drain=True)
    world.later()
    world.later(60.0)
    assert world.has(NODE("n"))
    assert sum(path.endswith("/eviction") for _, path in world.api.writes) == 1, "evicted once"
    del world.api.objects[POD("web")]
    world.later(1.0)
    assert not world.has(NODE("n"))


def test_a_pod_that_never_ends_undoes_it(world):
    world.api.terminates = False
    world.add_pod("web", "n")
    world.start("n", drain=True)
    world.later()
    world.later(719.0)
    assert not world.is_untouched("n")
    world.later(2.0)
    assert world.is_untouched("n")


def test_a_budget_that_refuses_is_tried_for_2_minutes_and_undoes_it(world):
    world.add_pod("web", "n", labels={"app": "w"})
    world.api.put(PDB("b"), raw_pdb("b", 1, app="w"))
    world.start("n", drain=True)
    world.api.before = lambda method, path: (
        world.api.objects[PDB("b")]["status"].update(disruptionsAllowed=0) if path.endswith("/eviction") else None
    )
    world.later()
    world.later(119.0)
    assert world.taint("n") is not None
    world.later(2.0)
    assert world.is_untouched("n")
    assert world.has(POD("web"))


def test_a_budget_that_lets_go_in_time_lets_it_finish(world):
    world.add_pod("web", "n", labels={"app": "w"})
    world.api.put(PDB("b"), raw_pdb("b", 1, app="w"))
    world.start("n", drain=True)
    world.later()
    world.later(1.0)
    assert not world.has(NODE("n"))


@pytest.mark.parametrize(
    ("fields", "budgets"),
    [
        ({"annotations": {SAFE: "false"}}, []),
        ({"annotations": {"karpenter.sh/do-not-disrupt": "true"}}, []),
        ({"owner": None}, []),
        ({"gpus": 1}, []),
        ({"labels": {"app": "w"}}, [raw_pdb("b", 0, app="w")]),
        ({"labels": {"app": "w"}}, [raw_pdb("b", 1, app="w"), raw_pdb("c", 1, app="w")]),
    ],
    ids=["safe-to-evict", "do-not-disrupt", "bare", "GPU", "budget", "two budgets"],
)
def test_a_pod_that_became_protected_during_the_wait_undoes_it(world, fields, budgets):
    world.add_pod("web", "n")
    world.start("n", drain=True)
    world.add_pod("guarded", "n", **fields)
    for budget in budgets:
        world.api.put(PDB(budget["metadata"]["name"]), budget)
    world.later()
    assert world.is_untouched("n")
    assert world.has(POD("guarded"))
    assert world.has(POD("web"))


def test_a_protected_pod_that_comes_while_others_are_evicted_undoes_it(world):
    world.api.terminates = False
    world.add_pod("web", "n")
    world.start("n", drain=True)
    world.later()
    world.add_pod("guarded", "n", owner=None)
    world.later(1.0)
    assert world.is_untouched("n")
    assert world.has(POD("guarded"))


def test_a_pod_that_is_put_there_in_spite_of_the_taint_undoes_it(world):
    world.add_pod("web", "n")
    world.start("n", drain=True)
    world.api.terminates = False
    world.later()
    del world.api.objects[POD("web")]
    world.add_pod("again", "n", creationTimestamp="1970-01-12T13:46:47Z")  # 2 seconds after the evictions began
    world.later(2.0)
    assert world.is_untouched("n")
    assert "in spite of the taint" in world.reports[-1].reason


def test_another_pod_of_the_same_name_is_not_evicted(world):
    world.add_pod("web", "n")
    world.start("n", drain=True)

    def replace(method, path):
        if path.endswith("/eviction"):
            world.api.before = lambda *_: None
            world.add_pod("web", "other")

    world.api.before = replace
    world.later()
    assert world.has(POD("web"))
    world.later(1.0)
    assert not world.has(NODE("n")), "the old pod is gone, so the node goes"


def test_two_budgets_that_come_during_the_eviction_undo_it_at_once(world):
    world.add_pod("web", "n", labels={"app": "w"})
    world.start("n", drain=True)

    def two(method, path):
        if path.endswith("/eviction"):
            world.api.put(PDB("b"), raw_pdb("b", 1, app="w"))
            world.api.put(PDB("c"), raw_pdb("c", 1, app="w"))

    world.api.before = two
    world.later()
    assert world.is_untouched("n")


def test_a_person_who_takes_the_taint_away_stops_it(world):
    world.start("n")
    world.api.objects[NODE("n")]["spec"]["taints"] = []
    world.later()
    assert world.is_untouched("n")


def test_a_person_who_opts_the_node_out_stops_it(world):
    world.start("n")
    annotations = world.api.objects[NODE("n")]["metadata"]["annotations"]
    annotations["cluster-autoscaler.kubernetes.io/scale-down-disabled"] = "true"
    world.later()
    assert world.is_untouched("n")


def test_a_person_who_takes_the_annotation_away_takes_the_node_out_of_our_hands(world):
    world.start("n")
    del world.api.objects[NODE("n")]["metadata"]["annotations"][STEP]
    world.later()
    assert world.machine.under_way == ()
    assert world.has(NODE("n"))


def test_a_provider_that_refuses_undoes_it(world):
    world.provider.fail("delete", InvalidPoolError("no", "a"))
    world.start("n")
    world.later()
    assert world.is_untouched("n")
    assert world.outcomes()[-1] == (Outcome.UNDONE, "n")


@pytest.mark.parametrize("takes_effect", [True, False])
def test_a_lost_answer_of_the_provider_is_asked_again(world, takes_effect):
    world.provider.fail("delete", TransientError("timed out", "a"), takes_effect=takes_effect)
    world.start("n")
    world.later()
    world.later(1.0)
    world.later(1.0)
    assert not world.has(NODE("n"))
    assert world.outcomes()[-1] == (Outcome.REMOVED, "n")


def test_a_machine_that_the_provider_does_not_know_is_given_back(world):
    world.provider.existing.clear()
    world.start("n")
    world.later()
    assert world.is_untouched("n")


def test_an_order_that_never_became_a_node_is_given_back(world):
    world.provider.create(config().pool("a"), "claim")
    world.machine.start([Removal("a", "claim", None, (), "too late")])
    assert "claim" not in world.provider.existing
    assert world.outcomes()[-1] == (Outcome.REMOVED, "claim")


def test_a_node_that_another_took_the_name_of_is_left_alone(world):
    removal = world.removal("n")
    world.api.put(NODE("n"), raw_node("n"))
    world.machine.start([removal])
    assert world.is_untouched("n")


def test_a_node_that_never_goes_is_reported_once(world):
    world.provider = RecordingProvider(world.clock.now)
    world.provider.create(config().pool("a"), "n")
    world.restart()
    world.api.objects[NODE("n")]["metadata"]["deletionTimestamp"] = "1970-01-02T00:00:00Z"
    world.start("n")
    for _ in range(5):
        world.later(400.0 if world.step("n").startswith("deleting") else 5.0)
    assert [outcome for outcome, _ in world.outcomes()].count(Outcome.FAILED) == 1


def test_a_lost_lease_stops_at_once(world):
    world.start("n")

    def lost(method, path):
        raise LeaseLostError

    world.api.before = lost
    with pytest.raises(LeaseLostError):
        world.later()
    assert world.provider.calls == []


# What a restart finds.


def test_kwok_deletes_only_the_node_it_means():
    api, clock = FakeApi(), ManualClock(NOW)
    provider = KwokProvider(api, config(), clock)
    made = provider.create(config().pool("a"), "n")
    api.put(NODE("n"), raw_node("n"))
    with pytest.raises(LookupError):
        provider.delete(made)
    assert NODE("n") in api.objects
    with pytest.raises(ConflictError):
        api.create("/api/v1/nodes", raw_node("n"))
