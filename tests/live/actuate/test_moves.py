"""Jobs are moved off a node: taint, wait, look again, evict, wait until they run elsewhere, give the node back."""

import pytest

from autoscaler.live.actuate.progress import Mode, Step, read_progress
from autoscaler.live.actuate.removal import Outcome
from autoscaler.live.guardrails import Consolidation
from autoscaler.live.names import ANNOTATION_CHECKPOINTABLE
from autoscaler.live.objects import NodeState
from tests.live.fake_api import NODE, PDB, POD, STEP, KilledError, killed, raw_pdb, raw_pod
from tests.live.removal_world import World
from tests.live.views import node, view

JOB = "/apis/batch/v1/namespaces/default/jobs/{}".format
PROTECTED = {"karpenter.sh/do-not-disrupt": "true"}


class Moving(World):
    """The nodes n and m with 4 GPUs in use each, and a Job controller whose pods the scheduler puts on m."""

    def __init__(self, target="m"):
        super().__init__()
        self.target, self.made, self.evicted = target, 0, []
        for name in ("n", "m"):
            self.add_node(name)
        self.add_job("x", "n")
        self.add_job("y", "m")

    def add_job(self, name, on, pods=1, gpus=4, **spec):
        body = {
            "spec": {"parallelism": pods, "completions": pods, "completionMode": "Indexed", "backoffLimit": 6, **spec}
        }
        uid = self.api.put(JOB(name), {"metadata": {"namespace": "default"}, **body})["metadata"]["uid"]
        for index in range(pods):
            self.add_worker(f"{name}-{index}", name, uid, on, gpus)

    def add_worker(self, name, job, uid, on, gpus=4):
        pod = raw_pod(name, on, gpus=gpus, labels={"batch.kubernetes.io/controller-uid": uid, "job": job})
        owner = {"kind": "Job", "name": job, "uid": uid, "apiVersion": "batch/v1", "controller": True}
        pod["metadata"] |= {"ownerReferences": [owner], "annotations": {ANNOTATION_CHECKPOINTABLE: "true"}}
        self.api.put(POD(name), pod)

    def controller(self):
        """Every Job makes pods again that are gone, on the target; None: they wait at our gate."""
        for path, job in list(self.api.objects.items()):
            if "/jobs/" in path:
                uid, name = job["metadata"]["uid"], job["metadata"]["name"]
                pods = [each for each in self.pods() if each["metadata"]["ownerReferences"][0]["uid"] == uid]
                for _ in range(job["spec"]["parallelism"] - len(pods)):
                    self.made += 1
                    self.add_worker(f"{name}-again-{self.made}", name, uid, self.target)

    def pods(self):
        return [item for path, item in self.api.objects.items() if "/pods/" in path]

    def on(self, name):
        return sorted(pod["metadata"]["name"] for pod in self.pods() if pod["spec"].get("nodeName") == name)

    def empty(self, name="n"):
        uid = self.api.objects[NODE(name)]["metadata"]["uid"]
        seen = node(name, pods=())
        seen = type(seen)(**{field: getattr(seen, field) for field in seen.__dataclass_fields__} | {"uid": uid})
        return self.machine.empty([Consolidation("a", seen, ("uid",), "it fits on m")])

    def progress(self, name="n"):
        return read_progress(self.api.objects[NODE(name)]["metadata"]["annotations"])


@pytest.fixture
def world():
    return Moving()


def test_its_pods_go_and_the_node_stays_idle(world):
    assert world.empty() == ["a"]
    assert world.taint("n") is not None
    assert world.progress().mode is Mode.MOVE
    world.later(4.9)
    assert world.on("n") == ["x-0"]
    world.later(0.2)
    assert world.on("n") == []
    assert world.progress().step is Step.EVICTING
    world.later(0.5)
    assert world.progress().step is Step.SETTLING
    world.later(0.5)
    assert world.taint("n") is not None, "its job does not run again yet"
    world.controller()
    world.later(0.5)
    assert world.is_untouched("n")
    assert world.on("m") == ["x-again-1", "y-0"]
    assert world.outcomes() == [(Outcome.STARTED, "n"), (Outcome.EVICTED, "x"), (Outcome.EMPTIED, "n")]
    assert all(report.moves for report in world.reports)
    assert world.machine.under_way == ()


def test_a_node_that_is_another_one_by_now_is_left_alone(world):
    world.api.objects[NODE("n")]["metadata"]["uid"] = "other"
    seen = node("n")
    assert world.machine.empty([Consolidation("a", seen, ("uid",), "why")]) == []
    assert world.is_untouched("n")
    assert world.machine.under_way == ()


def test_a_node_whose_removal_is_under_way_is_left_to_it(world):
    world.start("n", drain=True)
    assert world.empty() == []
    assert world.progress().mode is Mode.DRAIN


def test_pods_that_wait_at_the_gate_keep_the_node_closed_for_so_long(world):
    world.target = None
    world.empty()
    world.later()
    world.controller()
    world.later(0.5)
    for _ in range(3):
        world.later(90.0)
    assert world.taint("n") is not None
    world.later(40.0)
    assert world.is_untouched("n")
    assert world.reports[-1].outcome is Outcome.EMPTIED
    assert "still wait" in world.reports[-1].reason


def test_a_job_that_ended_well_is_waited_for_no_longer(world):
    world.empty()
    world.later()
    world.controller()
    for pod in world.pods():
        pod["status"]["phase"] = "Succeeded"
    world.later(0.5)
    world.later(0.5)
    assert world.is_untouched("n")


def protect(world):
    world.api.objects[POD("x-0")]["metadata"]["annotations"] |= PROTECTED


def not_checkpointable(world):
    del world.api.objects[POD("x-0")]["metadata"]["annotations"][ANNOTATION_CHECKPOINTABLE]


def budget(world):
    world.api.put(PDB("b"), raw_pdb("b", 0, job="x"))


def take_the_free_gpus(world):
    world.add_job("z", "m", gpus=2)


def job_would_fail(world):
    world.api.objects[JOB("x")]["spec"]["backoffLimit"] = 0


def another_comes(world):
    world.add_job("z", "n", gpus=1)
    world.api.objects[POD("z-0")]["metadata"]["annotations"] = {}


def opt_out(world):
    world.api.objects[NODE("n")]["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] = "true"


def other_node_breaks(world):
    world.api.objects[NODE("m")]["status"]["conditions"][0]["status"] = "False"


def other_node_is_cordoned(world):
    world.api.objects[NODE("m")]["spec"]["unschedulable"] = True


CHANGES = [
    protect,
    not_checkpointable,
    budget,
    take_the_free_gpus,
    job_would_fail,
    another_comes,
    opt_out,
    other_node_breaks,
    other_node_is_cordoned,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changes_before_the_fresh_look_undoes_it(world, change):
    world.empty()
    change(world)
    world.later()
    assert world.has(POD("x-0"))
    assert world.on("n")[0] == "x-0"
    assert world.taint("n") is None
    assert world.step("n") is None
    assert world.outcomes()[-1] == (Outcome.UNDONE, "n")
    assert world.reports[-1].moves


def test_without_a_change_the_same_goes_on(world):
    world.empty()
    world.later()
    assert not world.has(POD("x-0"))


def test_a_budget_that_refuses_is_tried_for_so_long_and_then_undone(world):
    world.api.put(PDB("b"), raw_pdb("b", 1, job="x"))
    world.empty()
    world.clock.seconds += 5.0

    def spend(method, path):
        if path.endswith("/eviction"):
            world.api.objects[PDB("b")]["status"]["disruptionsAllowed"] = 0

    world.api.before = spend
    world.later(0.0)
    assert world.has(POD("x-0"))
    assert world.taint("n") is not None
    world.later(119.0)
    assert world.taint("n") is not None
    world.later(2.0)
    assert world.is_untouched("n")
    assert world.has(POD("x-0"))


def test_a_pod_that_is_put_there_in_spite_of_the_taint_ends_it(world):
    world.empty()
    world.api.terminates = False
    world.later()
    uid = world.api.objects[JOB("x")]["metadata"]["uid"]
    world.add_worker("x-again", "x", uid, "n", 1)
    world.api.objects[POD("x-again")]["metadata"]["creationTimestamp"] = "1970-01-20T00:00:00Z"
    world.later(1.0)
    assert world.is_untouched("n")
    assert "in spite" in world.reports[-1].reason


def test_pods_that_take_their_time_to_end_are_waited_for(world):
    world.api.terminates = False
    world.empty()
    world.later()
    world.later(100.0)
    assert world.progress().step is Step.EVICTING
    assert [outcome for outcome, _ in world.outcomes()].count(Outcome.EVICTED) == 1
    del world.api.objects[POD("x-0")]
    world.later(1.0)
    assert world.progress().step is Step.SETTLING


def test_a_pod_that_does_not_end_is_told_of_and_the_node_given_back(world):
    world.api.terminates = False
    world.empty()
    world.later()
    world.later(721.0)
    assert world.is_untouched("n")
    assert "does not end" in world.reports[-1].reason


def test_a_damaged_annotation_never_deletes_the_node(world):
    for text in ("deleting move 1", "settling drain 1", "settling empty 1", "evicting what 1"):
        world.empty()
        world.api.objects[NODE("n")]["metadata"]["annotations"][STEP] = text
        world.later(1.0)
        assert world.is_untouched("n"), text
        assert world.has(POD("x-0"))
    assert world.provider.calls == []


def test_a_restart_goes_on_and_a_process_that_only_sees_it_later_too(world):
    world.empty()
    world.restart()
    shown = node("n", state=NodeState.DRAINING, annotations={STEP: "tainted move 1000000.000"})
    world.machine.adopt(view([shown]))
    world.later()
    world.controller()
    world.later(1.0)
    world.later(1.0)
    assert world.is_untouched("n")
    assert world.on("n") == []
    assert world.reports[-1].moves


@pytest.mark.parametrize("seconds", [100.0, 3600.0])
def test_a_restart_in_the_middle_of_evictions_looks_again_first(world, seconds):
    """The pod became protected, or the free GPUs were taken, while nobody looked."""
    world.api.before = lambda method, path: killed() if path.endswith("/eviction") else None
    world.empty()
    with pytest.raises(KilledError):
        world.later()
    world.api.before = lambda *_: None
    assert world.progress().step is Step.EVICTING
    take_the_free_gpus(world)
    world.restart()
    world.machine.recover()
    world.later(seconds)
    assert world.has(POD("x-0"))
    assert world.is_untouched("n")


DURING_DEATH = {"nothing": None, "protect": protect, "take the free GPUs": take_the_free_gpus, "budget": budget}


@pytest.mark.parametrize("change", DURING_DEATH.values(), ids=DURING_DEATH)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", range(6))
def test_a_process_that_dies_around_any_write_evicts_no_protected_pod_and_loses_no_node(change, when, write):
    """A new process finds what the dead one left, and what changed in between counts."""
    world = Moving()
    writes = iter(range(1000))

    def before(method, path):
        if path.endswith("/eviction") and world.has(path.removesuffix("/eviction")):
            pod = world.api.objects[path.removesuffix("/eviction")]
            assert not pod["metadata"]["annotations"].keys() & PROTECTED.keys()
            world.evicted.append(pod["metadata"]["name"])
        if when == "before":
            die()

    def die(*_):
        if next(writes) == write:
            if change is not None and world.has(POD("x-0")):
                change(world)
            killed()

    world.api.before = before
    if when == "after":
        world.api.after = die
    died = False
    for step in range(14):
        try:
            if step == 0:
                world.empty()
            world.later(3.0)
        except KilledError:
            died = True
            world.restart()
            world.machine.recover()
        world.controller()
    assert died == (write < 5)
    world.later(400.0)
    assert world.is_untouched("n")
    assert world.provider.calls == []
    assert {pod["metadata"]["labels"]["job"] for pod in world.pods()} >= {"x", "y"}
    if change is not None and (write < 2 or (write == 2 and when == "before")):
        assert world.has(POD("x-0")), "what changed before the eviction keeps it"
    assert set(world.evicted) <= {"x-0"}
