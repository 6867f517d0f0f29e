"""Which pods that wait are demand: quotas, preemption, gates of others; and which pools can ever run them."""

from typing import Any

import pytest

from autoscaler.live.config import LivePool, NodeTemplate
from autoscaler.live.model import ClusterView
from autoscaler.live.names import GATE_PLACEMENT, LABEL_POOL
from autoscaler.live.view.store import Resource
from autoscaler.live.view.view import ViewBuilder
from tests.live import raw

GPU = raw.GPU


def seen(world: raw.World) -> ClusterView:
    return ViewBuilder(world.config, world.clock).build(world.store.contents())[0]


def quota(name: str = "q", scopes: Any = None, **sizes: tuple[str, str]) -> dict[str, Any]:
    """A quota by what it allows and what is used, of each resource; `__` stands for a dot, `_` for a slash."""
    names = {key.replace("__", ".").replace("_", "/"): value for key, value in sizes.items()}
    hard = {key: value[0] for key, value in names.items()}
    used = {key: value[1] for key, value in names.items()}
    spec = {"hard": hard, **({} if scopes is None else {"scopeSelector": {"matchExpressions": scopes}})}
    return {"metadata": raw.metadata(name, namespace="default"), "spec": spec, "status": {"hard": hard, "used": used}}


def job_of_five(*, gated: bool, exist: int, quotas: list[dict[str, Any]], **template: Any) -> ClusterView:
    pods = [raw.pod(f"j-{at}", 8, job="j", gated=gated, spec=dict(template)) for at in range(exist)]
    if not gated:
        pods = [{**each, "status": {"phase": "Pending", **raw.unschedulable()}} for each in pods]
    world = raw.World().listed(pods=pods, jobs=[raw.job("j", 5)])
    world.store.replace(Resource.QUOTAS, quotas)
    return seen(world)


GPUS_FOR_TWO = {"requests__nvidia__com_gpu": ("16", "16")}


def test_pods_of_a_gang_that_a_quota_forbids_are_no_demand() -> None:
    """Five pods of 8 GPUs, a quota of 16: two exist, three never will. Of a gang at our gate none can ever go."""
    view = job_of_five(gated=True, exist=2, quotas=[quota(**GPUS_FOR_TWO)])
    assert view.queue == ()
    (held,) = view.withheld
    assert held.withheld == ("3 of its pods cannot be created: ResourceQuota q leaves 0 of requests.nvidia.com/gpu")


def test_without_a_gate_those_that_exist_run_and_are_demand() -> None:
    (gang,) = job_of_five(gated=False, exist=2, quotas=[quota(**GPUS_FOR_TWO)]).queue
    assert (gang.pending_gpu_milli, gang.missing_pods) == (16_000, 0)


@pytest.mark.parametrize(
    ("sizes", "scopes", "expected"),
    [
        ({"requests__nvidia__com_gpu": ("40", "16")}, None, True),
        ({"requests__nvidia__com_gpu": ("39", "16")}, None, False),
        ({"pods": ("5", "2")}, None, True),
        ({"count_pods": ("4", "2")}, None, False),
        ({"cpu": ("5", "2")}, None, True),
        ({"requests__cpu": ("4900m", "2")}, None, False),
        ({"requests__memory": ("1", "1")}, None, True),
        ({"pods": ("2", "2")}, [{"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}], False),
        ({"pods": ("2", "2")}, [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}], True),
        ({"pods": ("2", "2")}, [{"scopeName": "PriorityClass", "operator": "NotIn", "values": ["low"]}], True),
        ({"pods": ("2", "2")}, [{"scopeName": "Terminating", "operator": "Exists"}], True),
        ({"pods": ("2", "2")}, [{"scopeName": "NotTerminating", "operator": "Exists"}], False),
    ],
)
def test_what_a_quota_leaves_is_counted_by_resource_and_scope(sizes: Any, scopes: Any, expected: bool) -> None:
    view = job_of_five(gated=True, exist=2, quotas=[quota(scopes=scopes, **sizes)], priorityClassName="low")
    assert (len(view.queue), len(view.withheld)) == ((1, 0) if expected else (0, 1))


def test_a_quota_of_another_namespace_does_not_count() -> None:
    other = quota(**GPUS_FOR_TWO)
    other["metadata"]["namespace"] = "other"
    assert len(job_of_five(gated=True, exist=2, quotas=[other]).queue) == 1


def test_two_jobs_share_what_a_quota_leaves_in_the_order_of_their_submission() -> None:
    jobs = [raw.job(name, 2, created=raw.START + at) for at, name in enumerate(("first", "second"))]
    pods = [raw.pod(f"{name}-0", 8, job=name) for name in ("first", "second")]
    world = raw.World().listed(pods=pods, jobs=jobs)
    world.store.replace(Resource.QUOTAS, [quota(pods=("3", "2"))])
    view = seen(world)
    assert [gang.ref.name for gang in view.queue] == ["first"]
    assert [gang.ref.name for gang in view.withheld] == ["second"]


def waiting(name: str, **status: Any) -> dict[str, Any]:
    return raw.pod(name, gated=False, status={"phase": "Pending", **raw.unschedulable(), **status})


def test_a_pod_that_is_nominated_to_a_node_is_no_demand_while_the_node_is_there() -> None:
    pods = [waiting("p", nominatedNodeName="n")]
    assert seen(raw.World().listed([raw.node("n")], pods)).queue == ()
    assert len(seen(raw.World().listed([], pods)).queue) == 1


def test_a_gang_counts_only_the_pods_that_are_not_nominated() -> None:
    pods = [waiting("j-0", nominatedNodeName="n"), waiting("j-1")]
    for pod in pods:
        pod["metadata"]["ownerReferences"] = raw.pod("x", job="j")["metadata"]["ownerReferences"]
    (gang,) = seen(raw.World().listed([raw.node("n")], pods, [raw.job("j", 2)])).queue
    assert gang.pending_gpu_milli == 8000


def test_a_gang_that_waits_in_part_at_a_gate_of_others_is_no_demand() -> None:
    theirs = raw.pod("j-1", job="j")
    theirs["spec"]["schedulingGates"].append({"name": "kueue.x-k8s.io/admission"})
    view = seen(raw.World().listed(pods=[raw.pod("j-0", job="j"), theirs], jobs=[raw.job("j", 2)]))
    assert view.queue == ()
    assert view.withheld[0].withheld == "its pods wait at the scheduling gate kueue.x-k8s.io/admission of others"


def test_without_our_gate_the_others_of_its_pods_are_demand() -> None:
    theirs = raw.pod("j-1", job="j")
    theirs["spec"]["schedulingGates"] = [{"name": "theirs"}]
    ready = waiting("j-0")
    ready["metadata"]["ownerReferences"] = theirs["metadata"]["ownerReferences"]
    (gang,) = seen(raw.World().listed(pods=[ready, theirs], jobs=[raw.job("j", 2)])).queue
    assert gang.pending_gpu_milli == 8000


def daemon_set(name: str, cpu: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **spec}}
    return {"metadata": raw.metadata(name, namespace="kube-system"), "spec": {"template": template}}


def test_a_pod_that_daemon_sets_leave_no_room_for_is_told_so_and_buys_nothing() -> None:
    pools = (LivePool("gpu", 8, template=NodeTemplate(allocatable={"cpu": "8", "memory": "64Gi", "pods": "110"})),)
    world = raw.World(raw.config(*pools)).listed(pods=[raw.pod("p", spec={"overhead": {"cpu": "6"}})])
    assert len(seen(world).queue) == 1
    world.store.replace(Resource.DAEMON_SETS, [daemon_set("agent", "2")])
    view = seen(world)
    assert view.queue == ()
    assert view.unplaceable[0].refusals == (
        ("gpu", "a pod requests 7 of cpu, a node has 8, of which DaemonSets take 2"),
    )


def test_a_daemon_set_that_does_not_run_on_the_pool_takes_nothing_of_it() -> None:
    world = raw.World().listed(pods=[raw.pod("p")])
    world.store.replace(Resource.DAEMON_SETS, [daemon_set("agent", "96", nodeSelector={"disk": "ssd"})])
    assert len(seen(world).queue) == 1


def apart(key: str = "kubernetes.io/hostname") -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": key}
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def gang_of_three(pool: LivePool, spec: dict[str, Any]) -> ClusterView:
    pods = [raw.pod(f"j-{at}", 1, job="j", spec=spec, metadata={"labels": {"app": "x"}}) for at in range(3)]
    for pod in pods:
        pod["spec"]["schedulingGates"] = [{"name": GATE_PLACEMENT}]
    return seen(raw.World(raw.config(pool)).listed(pods=pods, jobs=[raw.job("j", 3, 1)]))


def test_a_gang_that_wants_to_be_apart_needs_a_pool_with_as_many_nodes() -> None:
    assert len(gang_of_three(LivePool("gpu", 3), apart()).queue) == 1
    (told,) = gang_of_three(LivePool("gpu", 2), apart()).unplaceable
    assert dict(told.refusals)["gpu"] == "its pods need more than the 2 nodes that the pool may have"


def test_a_gang_that_wants_to_be_in_three_zones_cannot_run_in_a_pool_of_one() -> None:
    pool = LivePool("gpu", 8, template=NodeTemplate({"zone": "z1"}))
    (told,) = gang_of_three(pool, apart("zone")).unplaceable
    assert dict(told.refusals)["gpu"] == "anti-affinity to a pod there or near it (by zone)"


def test_a_spread_over_zones_sends_a_pod_to_the_pool_whose_zone_is_short_of_them() -> None:
    """One such pod runs in z1. The next one, with a skew of one, may go to z2 only."""
    pools = [LivePool(name, 4, template=NodeTemplate({"zone": zone})) for name, zone in (("a", "z1"), ("b", "z2"))]
    nodes = [raw.node("n", "a", metadata={}), raw.node("m", "b", metadata={})]
    for node, zone in zip(nodes, ("z1", "z2"), strict=True):
        node["metadata"]["labels"] = {**node["metadata"]["labels"], "zone": zone}
    selector = {"matchLabels": {"app": "x"}}
    constraint = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}
    spec = {"topologySpreadConstraints": [constraint]}
    labels = {"labels": {"app": "x"}}
    there = raw.pod("there", 1, "n", spec=dict(spec), metadata=labels)
    next_one = raw.pod("next", 1, gated=False, spec=dict(spec), metadata=labels, status=raw.unschedulable())
    (gang,) = seen(raw.World(raw.config(*pools)).listed(nodes, [there, next_one])).queue
    assert gang.allowed_pools == ("b",)
    assert "topology spread over zone" in dict(gang.refusals)["a"]


def test_a_template_has_what_its_existing_nodes_offer() -> None:
    pod = raw.pod("p")
    pod["spec"]["containers"][0]["resources"]["limits"]["rdma/hca"] = "1"
    assert seen(raw.World().listed(pods=[pod])).queue == ()
    node = raw.node("n")
    node["status"]["allocatable"]["rdma/hca"] = "8"
    assert len(seen(raw.World().listed([node], [pod])).queue) == 1
    assert node["metadata"]["labels"] == {LABEL_POOL: "gpu"}
