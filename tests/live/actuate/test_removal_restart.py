"""A restart in the middle of a removal: whatever the dead process left is finished or undone."""

import pytest

from autoscaler.live.actuate.progress import Mode, Progress, Step, read_progress
from autoscaler.live.actuate.removal import Outcome
from autoscaler.live.constraints import Taint
from autoscaler.live.objects import NodeState
from autoscaler.live.providers import InvalidPoolError
from tests.live.fake_api import NODE, POD, STEP, TAINT, KilledError, killed
from tests.live.removal_world import NOW, World
from tests.live.views import node, view


@pytest.fixture
def world():
    made = World()
    made.add_node("n")
    return made


def test_a_restart_goes_on(world):
    world.start("n")
    world.restart()
    world.machine.recover()
    assert world.machine.under_way == ("n",)
    world.later()
    assert not world.has(NODE("n"))


def test_a_restart_after_a_long_time_gives_the_node_back(world):
    world.start("n")
    world.restart()
    world.clock.seconds += 3600.0
    world.machine.recover()
    world.machine.advance()
    assert world.is_untouched("n")


def foreign_taint(world, value):
    world.api.objects[NODE("n")]["spec"]["taints"] = [
        {"key": "team", "value": "x", "effect": "NoSchedule"},
        {"key": TAINT, "value": value, "effect": "NoSchedule"},
    ]


@pytest.mark.parametrize("value", ["1", str(int(NOW) - 1100), "", "now"])
def test_a_deletion_taint_that_cluster_autoscaler_left_is_taken_back(world, value):
    foreign_taint(world, value)
    world.machine.recover()
    assert world.api.objects[NODE("n")]["spec"]["taints"] == [{"key": "team", "value": "x", "effect": "NoSchedule"}]
    assert world.outcomes() == [(Outcome.RECOVERED, "n")]
    assert world.machine.under_way == ()


def test_one_that_may_still_be_at_work_is_left_alone_until_it_is_old(world):
    foreign_taint(world, str(int(NOW) - 900))
    world.machine.recover()
    seen = view([node("n", state=NodeState.DRAINING, taints=(Taint(TAINT, str(int(NOW) - 900)),))])
    world.machine.adopt(seen)
    assert world.taint("n") is not None
    world.clock.seconds += 200.0
    world.machine.adopt(seen)
    assert world.taint("n") is None
    assert world.machine.under_way == ()


def test_of_another_pool_it_is_left_alone(world):
    foreign_taint(world, "1")
    world.api.objects[NODE("n")]["metadata"]["labels"]["autoscaler.green/pool"] = "other"
    world.machine.recover()
    assert world.taint("n") is not None


def test_a_taint_that_arrives_after_the_restart_is_taken_over_too(world):
    """It sat in the queue of a frozen API server while the new process looked for what was left."""
    dead = world.machine
    world.restart()
    world.machine.recover()
    dead.start([world.removal("n")])
    shown = node("n", state=NodeState.DRAINING, annotations={STEP: "tainted empty 1000000.000"})
    world.machine.adopt(view([shown, node("other", state=NodeState.DRAINING)]))
    assert world.machine.under_way == ("n",)
    world.later()
    assert not world.has(NODE("n"))


def test_a_damaged_annotation_gives_the_node_back(world):
    world.start("n")
    world.api.objects[NODE("n")]["metadata"]["annotations"][STEP] = "nonsense"
    world.restart()
    world.machine.recover()
    world.machine.advance()
    assert world.is_untouched("n")


def test_an_unreadable_node_is_given_back(world):
    world.start("n")
    world.api.objects[NODE("n")]["status"]["allocatable"] = "nonsense"
    world.later()
    assert world.is_untouched("n")


def test_progress_reads_what_it_writes():
    for step in Step:
        for mode in Mode:
            for jobs in ({}, {"a-b": 1}, {"a-b": 1, "c": 2}):
                progress = Progress(step, mode, 1764000000.125, jobs)
                assert read_progress({STEP: str(progress)}) == progress
    assert read_progress({}) is None
    assert read_progress({STEP: "tainted"}) is None
    assert read_progress({STEP: "what empty 1"}) is None
    assert read_progress({STEP: "tainted what 1"}) is None
    assert read_progress({STEP: "settling move 1 a=b"}) is None
    assert read_progress({STEP: "settling move 1 a=1 c=2"}) is None


@pytest.mark.parametrize("kind", ["empty", "drain", "late pod", "guarded pod", "refused"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", range(6))
def test_a_process_that_dies_around_any_write_loses_nothing(kind, when, write):
    """A new process finds what the dead one left: no node stays tainted, no protected pod is evicted."""
    world = World()
    for name in ("n", "m"):
        world.add_node(name)
    world.add_pod("guard", "other", owner=None)
    if kind != "empty":
        world.add_pod("web", "n")
    if kind == "refused":
        world.provider.fail("delete", InvalidPoolError("no", "a"))
    count = iter(range(1000))

    def die(method, path):
        if next(count) == write:
            world.api.before = world.api.after = lambda *_: None
            killed()

    setattr(world.api, when, die)
    died = False
    for step in range(12):
        try:
            if step == 0:
                world.start("n", drain=kind != "empty")
                world.start("m")
            if step == 1 and kind == "late pod":
                world.add_pod("late", "m")
            if step == 1 and kind == "guarded pod":
                world.add_pod("guarded", "n", owner=None)
            world.later(3.0)
        except KilledError:
            died = True
            world.restart()
            world.machine.recover()
    assert died or write >= 3
    for name in ("n", "m"):
        assert not world.has(NODE(name)) or world.is_untouched(name)
    assert world.has(POD("guard"))
    if kind == "late pod":
        assert not died or world.has(POD("late"))
        assert world.has(NODE("m")) == world.has(POD("late"))
    if kind == "guarded pod":
        assert world.has(POD("guarded"))
        assert world.has(NODE("n"))
    deleted = [call.name for call in world.provider.calls if call.method == "delete"]
    assert len([name for name in deleted if name not in world.provider.existing]) <= 4


@pytest.mark.parametrize("takes_effect", [True, False])
def test_a_process_that_dies_in_the_providers_call_loses_nothing(world, takes_effect):
    delete = world.provider.delete

    def die(instance):
        world.provider.delete = delete
        if takes_effect:
            delete(instance)
        killed()

    world.provider.delete = die
    world.start("n")
    with pytest.raises(KilledError):
        world.later()
    world.restart()
    world.machine.recover()
    world.later(1.0)
    world.later(1.0)
    assert not world.has(NODE("n"))
    assert world.provider.existing == {}
