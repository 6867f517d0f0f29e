"""Each kind of group: which pods are of it, how many they are, and that it runs whole or not at all."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autoscaler.live.gangs.registry import KINDS, collections
from autoscaler.live.guardrails import GuardrailState, Rule, evaluate
from autoscaler.live.model import ClusterView, GangState
from autoscaler.live.names import GATE_PLACEMENT, LABEL_POOL
from autoscaler.live.view.gangs import unserved_reason
from autoscaler.live.view.store import Resource
from autoscaler.live.view.view import ViewBuilder
from envs.gpu_cluster.codec import Decision
from tests.live import raw
from tests.live.gangs import objects
from tests.live.raw import World
from tests.live.views import decision_of

Json = dict[str, Any]


def member(name: str, gpus: int = 8, spec: Json | None = None, **metadata: Any) -> Json:
    return raw.pod(name, gpus, spec=spec or {}, metadata=metadata)


def owned(kind: str, name: str, api_version: str) -> list[Json]:
    return [{"apiVersion": api_version, "kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}]


def native(index: int) -> Json:
    return member(f"p{index}", spec={"schedulingGroup": {"podGroupName": "g"}})


def volcano(index: int) -> Json:
    return member(f"p{index}", annotations={"scheduling.k8s.io/group-name": "g", "volcano.sh/task-spec": "worker"})


def kai(index: int) -> Json:
    labels = {"kai.scheduler/queue": "team-a"}
    return member(
        f"p{index}", spec={"schedulerName": "kai-scheduler"}, labels=labels, annotations={"pod-group-name": "g"}
    )


def plugins(index: int) -> Json:
    return member(f"p{index}", labels={"scheduling.x-k8s.io/pod-group": "g"})


def plugins_old(index: int) -> Json:
    old = "pod-group.scheduling.sigs.k8s.io"
    return member(f"p{index}", labels={f"{old}/name": "g", f"{old}/min-available": "4"})


def kueue_pods(index: int) -> Json:
    counted = {"kueue.x-k8s.io/pod-group-total-count": "4"}
    return member(f"p{index}", labels={"kueue.x-k8s.io/pod-group-name": "g"}, annotations=counted)


def job_set(index: int) -> Json:
    role = "leader" if index == 0 else "workers"
    labels = {"jobset.sigs.k8s.io/jobset-name": "g", "jobset.sigs.k8s.io/replicatedjob-name": role}
    return member(f"p{index}", labels=labels, ownerReferences=owned("Job", f"g-{role}-0", "batch/v1"))


def lws(index: int) -> Json:
    domain = "leaderworkerset.sigs.k8s.io"
    labels = {f"{domain}/name": "g", f"{domain}/group-index": "1", f"{domain}/worker-index": str(index)}
    return member(f"p{index}", 4 if index == 0 else 8, labels=labels, annotations={f"{domain}/size": "4"})


def pytorch(index: int) -> Json:
    role = "master" if index == 0 else "worker"
    labels = {
        "training.kubeflow.org/job-name": "g",
        "training.kubeflow.org/operator-name": "pytorchjob-controller",
        "training.kubeflow.org/replica-type": role,
    }
    return member(f"p{index}", labels=labels, ownerReferences=owned("PyTorchJob", "g", "kubeflow.org/v1"))


def mpi(index: int) -> Json:
    """The launcher is of a Job of the MPIJob, and uses no GPUs."""
    role = "launcher" if index == 0 else "worker"
    labels = {
        "training.kubeflow.org/job-name": "g",
        "training.kubeflow.org/operator-name": "mpi-operator",
        "training.kubeflow.org/job-role": role,
    }
    owner = owned("Job", "g-launcher", "batch/v1") if index == 0 else owned("MPIJob", "g", "kubeflow.org/v2beta1")
    return member(f"p{index}", 0 if index == 0 else 8, labels=labels, ownerReferences=owner)


def ray(index: int) -> Json:
    labels = {"ray.io/cluster": "g", "ray.io/node-type": "head" if index == 0 else "worker"}
    labels |= {"ray.io/group": "headgroup" if index == 0 else "gpu", "ray.io/is-ray-node": "yes"}
    owner = owned("RayCluster", "g", "ray.io/v1")
    return member(f"p{index}", 0 if index == 0 else 8, labels=labels, ownerReferences=owner)


CASES: dict[str, tuple[Callable[[int], Json], Json | None, int]] = {
    "native": (native, objects.native("g", 4), 32),
    "volcano": (volcano, objects.volcano("g", 4), 32),
    "kai": (kai, objects.kai("g", 4), 32),
    "scheduler-plugins": (plugins, objects.scheduler_plugins("g", 4), 32),
    "scheduler-plugins-old": (plugins_old, None, 32),
    "kueue-pods": (kueue_pods, None, 32),
    "jobset": (job_set, objects.job_set("g", workers=1, pods=3), 32),
    "lws": (lws, objects.leader_worker_set("g", size=4), 28),
    "pytorchjob": (pytorch, objects.pytorch_job("g", 3), 32),
    "mpijob": (mpi, objects.mpi_job("g", 3), 24),
    "ray": (ray, objects.ray_cluster("g", 3), 24),
}
"""A pod by its number, the object that describes the group, and GPUs of the whole group of four pods."""

KINDS_OF_CASES = pytest.mark.parametrize("kind", CASES)


def world(kind: str, pods: int, *, nodes: int = 4, describe: bool = True) -> World:
    make, description, _ = CASES[kind]
    found = World(raw.config(*(raw.LivePool(name, 8) for name in ("gpu", "other"))))
    found.listed([raw.node(f"n{index}") for index in range(nodes)], [make(index) for index in range(pods)])
    if description is not None and describe:
        found.store.apply(resource(kind), "ADDED", description)
    return found


def resource(kind: str) -> str:
    collection = KINDS[kind].collection
    assert collection is not None
    return collection.resource


def look(found: World) -> ClusterView:
    return ViewBuilder(found.config, found.clock).build(found.store.contents())[0]


@pytest.mark.parametrize(("owner", "manager"), [("TrainJob", "TrainJob t"), (None, "")])
def test_a_job_set_of_a_train_job_is_started_and_stopped_by_that(owner: str | None, manager: str) -> None:
    """So it is never suspended by us: its TrainJob would undo it."""
    found = world("jobset", 4, describe=False)
    described = objects.job_set("g", workers=1, pods=3)
    if owner is not None:
        described["metadata"]["ownerReferences"] = owned(owner, "t", "trainer.kubeflow.org/v1alpha1")
    found.store.apply(resource("jobset"), "ADDED", described)
    (gang,) = look(found).queue
    assert gang.managed_by == manager


def to_first_pool(view: ClusterView) -> Decision:
    return decision_of(np.zeros(4, np.int64), np.zeros(max(8, len(view.queue)), np.int64))


def released(found: World, state: GuardrailState | None = None) -> tuple[list[list[str]], set[Rule]]:
    """Names of the pods that go, gang by gang, and the rules that say no to gangs."""
    view = look(found)
    allowed = evaluate(view, to_first_pool(view), state or GuardrailState(), found.config)
    rules = {verdict.rule for verdict in allowed.verdicts if verdict.kind == "gang"}
    return [sorted(pod.name for pod in release.pods) for release in allowed.releases], rules


@KINDS_OF_CASES
def test_its_pods_are_one_job_and_go_together(kind: str) -> None:
    found = world(kind, 4)
    (gang,) = look(found).queue
    assert (gang.pending_gpu_milli, gang.missing_pods) == (CASES[kind][2] * 1000, 0)
    assert released(found) == ([["p0", "p1", "p2", "p3"]], set())


@KINDS_OF_CASES
def test_half_of_it_goes_nowhere_and_nodes_for_all_of_it_are_wanted(kind: str) -> None:
    found = world(kind, 2)
    (gang,) = look(found).queue
    assert gang.pending_gpu_milli == CASES[kind][2] * 1000
    assert gang.missing_pods == 2
    assert released(found) == ([], {Rule.GANG_INCOMPLETE})


@KINDS_OF_CASES
def test_it_waits_until_there_is_room_for_all_of_it(kind: str) -> None:
    assert released(world(kind, 4, nodes=2)) == ([], {Rule.DOES_NOT_FIT})


@pytest.mark.parametrize("kind", [kind for kind, case in CASES.items() if case[1] is not None])
def test_without_its_object_it_is_not_served_and_that_is_said(kind: str) -> None:
    found = world(kind, 4, describe=False)
    view = look(found)
    assert (view.queue, view.unplaceable) == ((), ())
    with_gpus = [pod for pod in view.unserved if pod.gpu_milli]
    assert len(with_gpus) >= 3
    assert all(unserved_reason(pod, found.config) == "group" for pod in with_gpus)
    assert f"{KINDS[kind].collection.kind}" in with_gpus[0].group.problem
    # It is served as soon as the object is there, and that wakes the loop.
    found.triggers.clear()
    found.store.apply(resource(kind), "ADDED", CASES[kind][1])
    assert found.triggers == ["job-submitted"]
    assert len(look(found).queue) == 1


@pytest.mark.parametrize(
    ("labels", "spec"),
    [({"pod-group.scheduling.sigs.k8s.io": "g"}, {}), ({}, {"workloadRef": {"name": "w", "podGroup": "workers"}})],
    ids=["old label without a size", "Kubernetes 1.35"],
)
def test_what_nobody_describes_is_not_served_and_that_is_said(labels: dict[str, str], spec: Json) -> None:
    found = World().listed([raw.node("n")], [member("p", labels=labels, spec=spec)])
    assert [unserved_reason(pod, found.config) for pod in look(found).unserved] == ["group"]


def test_pods_of_one_name_in_two_namespaces_are_two_groups() -> None:
    found = world("scheduler-plugins", 4)
    stranger = plugins(9)
    stranger["metadata"] |= {"namespace": "elsewhere"}
    found.store.apply(Resource.PODS, "ADDED", stranger)
    view = look(found)
    assert [len(gang.pods) for gang in view.queue] == [4]
    assert [pod.namespace for pod in view.unserved] == ["elsewhere"]


def test_a_basic_pod_group_is_no_gang() -> None:
    found = world("native", 2, describe=False)
    loose = objects.native("g", 4)
    loose["spec"]["schedulingPolicy"] = {"basic": {}}
    found.store.apply(resource("native"), "ADDED", loose)
    assert [gang.missing_pods for gang in look(found).queue] == [0, 0]


def test_each_group_of_a_leader_worker_set_is_a_gang() -> None:
    found = world("lws", 4)
    for index in range(2):
        pod = lws(index)
        pod["metadata"] |= {"name": f"q{index}", "uid": f"uid-q{index}"}
        pod["metadata"]["labels"]["leaderworkerset.sigs.k8s.io/group-index"] = "0"
        found.store.apply(Resource.PODS, "ADDED", pod)
    assert sorted((len(gang.pods), gang.missing_pods) for gang in look(found).queue) == [(2, 2), (4, 0)]


@pytest.mark.parametrize(
    ("kind", "description", "pods", "missing"),
    [
        ("jobset", objects.job_set("g", workers=2, pods=3), 4, 3),
        ("jobset", objects.job_set("g", workers=1, pods=3, suspend=True), 2, 0),
        ("lws", objects.leader_worker_set("g", size=6), 4, 2),
        ("pytorchjob", objects.pytorch_job("g", 9, elasticPolicy={"minReplicas": 4, "maxReplicas": 9}), 4, 1),
        ("pytorchjob", objects.pytorch_job("g", 9, runPolicy={"schedulingPolicy": {"minAvailable": 6}}), 4, 2),
        ("ray", objects.ray_cluster("g", 2, hosts=2), 4, 1),
        ("ray", objects.ray_cluster("g", 7, enableInTreeAutoscaling=True), 2, 0),
    ],
)
def test_how_large_it_is_is_what_its_object_says(kind: str, description: Json, pods: int, missing: int) -> None:
    found = world(kind, pods, describe=False)
    found.store.apply(resource(kind), "ADDED", description)
    (gang,) = look(found).queue
    assert gang.missing_pods == missing


@pytest.mark.parametrize(
    ("kind", "description"),
    [
        ("jobset", objects.job_set("g", workers=1, pods=3, startupPolicy={"startupPolicyOrder": "InOrder"})),
        ("lws", objects.leader_worker_set("g", size=4, startup="LeaderReady")),
    ],
)
def test_what_is_created_in_order_begins_once_all_of_it_fits_and_keeps_its_place(kind: str, description: Json) -> None:
    """Its leader runs before its workers exist: waiting for them would be for ever, and their nodes stay theirs."""
    found = world(kind, 1, nodes=3, describe=False)
    found.store.apply(resource(kind), "ADDED", description)
    assert released(found) == ([], {Rule.DOES_NOT_FIT})
    found.store.apply(Resource.NODES, "ADDED", raw.node("n9"))
    assert released(found) == ([["p0"]], set())
    running = CASES[kind][0](0)
    running["spec"] |= {"schedulingGates": [], "nodeName": "n0", "nodeSelector": {LABEL_POOL: "gpu"}}
    found.store.apply(Resource.PODS, "MODIFIED", running)
    found.store.apply(Resource.PODS, "ADDED", raw.pod("other", 8))
    assert [gang.state for gang in look(found).running] == [GangState.RUNNING]
    assert released(found) == ([], {Rule.DOES_NOT_FIT}), "another job must not take what the workers need"
    found.store.apply(Resource.PODS, "DELETED", raw.pod("other", 8))
    found.store.apply(Resource.PODS, "ADDED", CASES[kind][0](1))
    assert released(found) == ([["p1"]], set())


def test_a_pod_without_gpus_that_comes_later_follows() -> None:
    found = world("mpijob", 0)
    for index in range(1, 4):
        worker = mpi(index)
        worker["spec"] |= {"schedulingGates": [], "nodeName": f"n{index}", "nodeSelector": {LABEL_POOL: "gpu"}}
        found.store.apply(Resource.PODS, "ADDED", worker)
    assert released(found) == ([], set())
    found.store.apply(Resource.PODS, "ADDED", mpi(0))
    assert released(found) == ([["p0"]], set())


def test_an_object_that_cannot_be_read_leaves_its_pods_alone() -> None:
    found = world("jobset", 4, describe=False)
    odd = objects.job_set("g")
    odd["spec"]["replicatedJobs"] = "all"
    found.store.apply(resource("jobset"), "ADDED", odd)
    assert {unserved_reason(pod, found.config) for pod in look(found).unserved} == {"group"}
    assert [name for _, name, _ in found.skipped] == ["default/g"]


def test_a_group_whose_pods_fit_no_pool_is_told_as_any_job() -> None:
    found = world("native", 0)
    for index in range(4):
        pod = native(index)
        pod["spec"]["nodeSelector"] = {"zone": "mars"}
        found.store.apply(Resource.PODS, "ADDED", pod)
    assert [gang.ref.kind for gang in look(found).unplaceable] == ["PodGroup"]


def test_every_kind_says_what_it_reads_and_needs_no_more_than_to_look() -> None:
    for kind in KINDS.values():
        assert kind.title
        assert kind.reads
        assert {right.verb for right in kind.rights} <= {"list", "watch"}
    resources = [collection.resource for collection in collections()]
    assert len(resources) == len(set(resources))


def test_a_group_of_which_somebody_else_holds_a_pod_back_waits_for_them() -> None:
    found = world("kueue-pods", 4)
    held = kueue_pods(0)
    held["spec"]["schedulingGates"] = [{"name": GATE_PLACEMENT}, {"name": "kueue.x-k8s.io/admission"}]
    found.store.apply(Resource.PODS, "MODIFIED", held)
    assert look(found).queue == ()
    found.store.apply(Resource.PODS, "MODIFIED", kueue_pods(0))
    assert released(found) == ([["p0", "p1", "p2", "p3"]], set())
