"""Workloads of Kueue that wait for their nodes."""

from typing import Any

import pytest

from autoscaler.live.actuate.admission import serve_checks
from autoscaler.live.actuate.placement import place
from autoscaler.live.gangs import kueue
from autoscaler.live.guardrails import Allowed, GuardrailState, Rule, after_release, evaluate
from autoscaler.live.kube.client import ConflictError
from autoscaler.live.model import GangState
from autoscaler.live.names import LABEL_POOL
from autoscaler.live.policy.decide import make_decider
from autoscaler.live.policy.snapshot import fill_snapshot, plan_backlog
from autoscaler.live.view.store import Resource
from autoscaler.live.view.submissions import Submissions
from envs.gpu_cluster.codec import Pool, Signal
from tests.live import raw
from tests.live.gangs import objects
from tests.live.gangs.test_kinds import look, to_first_pool
from tests.live.raw import World

OWNER = [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "uid-j", "controller": True}]


def world(nodes: int = 2, controller: str = "autoscaler.green/nodes", **workload: Any) -> World:
    found = World().listed([raw.node(f"n{index}") for index in range(nodes)])
    found.store.apply(kueue.CHECKS.resource, "ADDED", objects.admission_check(controller=controller))
    put(found, **workload)
    return found


def put(found: World, **workload: Any) -> None:
    item = objects.workload("w", **workload)
    item["metadata"]["ownerReferences"] = OWNER
    found.store.apply(kueue.WORKLOADS.resource, "MODIFIED", item)


def judged(found: World, state: GuardrailState | None = None) -> Allowed:
    view = look(found)
    return evaluate(view, to_first_pool(view), state or GuardrailState(), found.config)


def test_it_is_a_job_whose_pods_are_all_to_come() -> None:
    (gang,) = look(world()).queue
    assert (gang.pending_gpu_milli, gang.missing_pods, gang.priority) == (16_000, 2, 5)
    assert (gang.ref.kind, gang.ref.name) == ("Job", "j")


@pytest.mark.parametrize(
    "change",
    [
        {"controller": "example.com/another"},
        {"conditions": []},
        {"conditions": [{"type": "QuotaReserved", "status": "True"}, {"type": "Finished", "status": "True"}]},
        {"conditions": [{"type": "QuotaReserved", "status": "True"}, {"type": "Evicted", "status": "True"}]},
        {"state": "Rejected"},
        {"gpus": 0},
    ],
    ids=["check of others", "no quota", "finished", "evicted", "rejected", "no GPUs"],
)
def test_it_concerns_us_only_while_it_waits_for_our_check(change: dict[str, Any]) -> None:
    view = look(world(**change))
    assert (view.queue, view.running, view.unplaceable) == ((), (), ())


def test_it_is_admitted_once_there_is_room_for_all_of_it() -> None:
    few = judged(world(nodes=1))
    assert few.releases == ()
    assert [verdict.rule for verdict in few.verdicts if verdict.kind == "gang"] == [Rule.DOES_NOT_FIT]
    (release,) = judged(world(nodes=2)).releases
    assert (release.pool, release.pods) == ("gpu", ())


class Api:
    """Notes what is patched."""

    def __init__(self, fails: bool = False) -> None:
        self.patches: list[tuple[str, dict[str, Any]]] = []
        self.fails = fails

    def patch(self, path: str, body: dict[str, Any]) -> None:
        if self.fails:
            raise ConflictError(409, "Conflict", "the object has been modified")
        self.patches.append((path, body))


def test_the_check_becomes_ready_and_sends_its_pods_to_the_pool() -> None:
    other = {"name": "another", "state": "Pending", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    found = world()
    item = objects.workload("w")
    item["status"]["admissionChecks"].append(other)
    found.store.apply(kueue.WORKLOADS.resource, "MODIFIED", item)
    api = Api()
    (release,) = judged(found).releases
    placed = place(api, release, 0.0)  # type: ignore[arg-type]
    assert placed.admitted
    ((path, body),) = api.patches
    assert path == "/apis/kueue.x-k8s.io/v1beta2/namespaces/default/workloads/w/status"
    assert body["metadata"] == {"uid": "uid-w", "resourceVersion": "1"}
    ours, theirs = body["status"]["admissionChecks"]
    assert (ours["state"], ours["lastTransitionTime"]) == ("Ready", "1970-01-01T00:00:00Z")
    assert ours["podSetUpdates"] == [{"name": "main", "nodeSelector": {LABEL_POOL: "gpu"}}]
    assert theirs == other


def test_a_workload_that_somebody_changed_is_looked_at_again() -> None:
    (release,) = judged(world()).releases
    placed = place(Api(fails=True), release, 0.0)  # type: ignore[arg-type]
    assert not placed.admitted
    assert [each.about.name for each in placed.refused] == ["j"]


def test_it_is_admitted_once_and_keeps_its_room_until_its_pods_are_there() -> None:
    found = world()
    now = found.clock.now()
    state = after_release(judged(found).state, ["uid-w"], "gpu", now)
    found.store.apply(Resource.PODS, "ADDED", raw.pod("other", 8))
    hidden = judged(found, state)
    assert hidden.releases == ()
    put(found, state="Ready", admissionChecks=[ready()])
    (promise,) = look(found).running
    assert (promise.state, promise.sent_to, promise.missing_pods) == (GangState.RUNNING, "gpu", 2)
    assert judged(found, hidden.state).releases == ()
    for index in range(2):
        pod = raw.pod(f"j{index}", 8, f"n{index}", job="j")
        found.store.apply(Resource.PODS, "ADDED", pod)
    assert [gang.key for gang in look(found).running] == ["uid-j0", "uid-j1"]
    assert judged(found).state.released == {}


def test_the_policy_does_not_take_the_room_of_pods_to_come_for_free() -> None:
    found = world(nodes=3)
    put(found, state="Ready", admissionChecks=[ready()])
    found.store.apply(Resource.PODS, "ADDED", raw.pod("other", 8))
    view = look(found)
    snapshot = fill_snapshot(view, Submissions(raw.START), found.config)
    view = plan_backlog(view, found.config, snapshot)
    assert snapshot.pools[0, Pool.BACKLOG_GPUS] == 16.0
    assert snapshot.signals[Signal.QUEUE_GPUS] == 24.0
    decided = make_decider("reactive", found.config.codec).decide(snapshot)
    assert decided.decision.target_nodes[0] == 3


def ready() -> dict[str, Any]:
    updates = [{"name": "main", "nodeSelector": {LABEL_POOL: "gpu"}}]
    return {"name": "nodes", "state": "Ready", "message": "", "podSetUpdates": updates}


def test_a_check_of_ours_is_said_to_be_served_and_only_once() -> None:
    found, api = world(), Api()
    serve_checks(api, look(found), 0.0)  # type: ignore[arg-type]
    ((path, body),) = api.patches
    assert path == "/apis/kueue.x-k8s.io/v1beta2/admissionchecks/nodes/status"
    (condition,) = body["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("Active", "True")
    served = objects.admission_check()
    served["status"] = {"conditions": [condition]}
    found.store.apply(kueue.CHECKS.resource, "MODIFIED", served)
    serve_checks(api, look(found), 0.0)  # type: ignore[arg-type]
    assert len(api.patches) == 1
