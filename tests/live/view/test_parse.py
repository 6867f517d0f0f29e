"""Raw objects to views, the odd ones too."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.live.clock import ManualClock
from autoscaler.live.config import LivePool
from autoscaler.live.guardrails.movable import is_checkpointable
from autoscaler.live.kube.fields import ParseError
from autoscaler.live.names import ANNOTATION_CHECKPOINTABLE
from autoscaler.live.view.parse import Parser
from autoscaler.live.view.store import Resource
from autoscaler.live.view.view import ViewBuilder
from tests.live import raw
from tests.live.gangs import objects
from tests.live.raw import GPU, World

PARSER = Parser(raw.config(), ManualClock())


def test_a_pod_asks_for_the_larger_of_init_containers_and_containers_beside_sidecars() -> None:
    one = {"name": "a", "resources": {"limits": {GPU: "2"}}}
    four = {"name": "b", "resources": {"limits": {GPU: "4"}}}
    sidecar = {"name": "s", "restartPolicy": "Always", "resources": {"limits": {GPU: "1"}}}
    spec = {"containers": [one], "initContainers": [sidecar, four]}
    assert PARSER.pod(raw.pod("p", spec=spec)).gpu_milli == 5000
    assert PARSER.pod(raw.pod("p", spec={"containers": [one, four], "initContainers": [four]})).gpu_milli == 6000


def test_a_pod_of_a_job_belongs_to_its_gang_and_a_bare_pod_to_its_own() -> None:
    assert PARSER.pod(raw.pod("p", job="j")).gang == "uid-j"
    assert PARSER.pod(raw.pod("p")).gang == "uid-p"


def test_local_volumes_are_those_that_die_with_the_node() -> None:
    volumes = [
        {"name": "disk", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "host", "hostPath": {"path": "/x"}},
        {"name": "config", "configMap": {}},
    ]
    assert PARSER.pod(raw.pod("p", spec={"volumes": volumes})).local_volumes == ("disk", "host")


def test_a_huge_annotation_is_left_out_and_the_rest_is_read() -> None:
    view = PARSER.node(raw.node("n", metadata={"annotations": {"huge": "x" * 1_000_000, "small": "y"}}))
    assert view.annotations == {"small": "y"}
    assert view.allocatable_gpu_milli == 8000


ODD: list[Any] = [
    None,
    [],
    "pod",
    {},
    {"metadata": None},
    {"metadata": {"name": "x"}},
    {"metadata": {"name": 3, "uid": "u"}},
    {"metadata": {"name": "x", "uid": "u"}, "spec": []},
    {"metadata": {"name": "x", "uid": "u", "creationTimestamp": "yesterday"}},
    {"metadata": {"name": "x", "uid": "u"}, "spec": {"containers": [{"resources": {"limits": {GPU: "many"}}}]}},
    {"metadata": {"name": "x", "uid": "u"}, "spec": {"containers": [{"resources": {"limits": {GPU: "500m"}}}]}},
    {"metadata": {"name": "x", "uid": "u"}, "spec": {"priority": "high"}},
    {"metadata": {"name": "x", "uid": "u"}, "status": {"conditions": "none"}},
]


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_object_is_one_typed_error(odd: Any) -> None:
    with pytest.raises(ParseError):
        PARSER.pod(odd)


def test_odd_objects_are_reported_once_and_skipped_and_good_ones_kept() -> None:
    world = World()
    for _ in range(3):
        world.store.replace(Resource.PODS, [*copy.deepcopy(ODD), raw.pod("good")])
    assert any(pod.name == "good" for pod in world.store.contents().pods.values())
    assert len(world.skipped) == len({(name, problem) for _, name, problem in world.skipped})
    assert any("many" in problem for _, _, problem in world.skipped)


@pytest.mark.parametrize("value", ["", "True", "yes", "x" * 1000])
def test_an_odd_checkpointable_annotation_is_told_once_and_counts_as_none(value: str) -> None:
    world = World()
    odd = raw.pod("odd", node_name="n", metadata={"annotations": {ANNOTATION_CHECKPOINTABLE: value}})
    good = raw.pod("good", node_name="n", metadata={"annotations": {ANNOTATION_CHECKPOINTABLE: "true"}})
    for _ in range(3):
        world.store.replace(Resource.PODS, [odd, good])
        world.store.apply(Resource.PODS, "MODIFIED", odd)
    ((resource, name, problem),) = world.skipped
    assert (resource, name) == ("pods", "default/odd")
    assert ANNOTATION_CHECKPOINTABLE in problem
    assert len(problem) < 300
    pods = {pod.name: pod for pod in world.store.contents().pods.values()}
    assert pods["odd"].readable
    assert {pod.name for pod in pods.values() if is_checkpointable(pod)} == {"good"}


def test_a_pod_that_cannot_be_read_still_protects_its_node() -> None:
    odd = raw.pod("odd", node_name="n")
    odd["spec"]["containers"][0]["resources"]["limits"][GPU] = "lots"
    world = World().listed([raw.node("n")], [odd])
    (view,) = world.store.contents().pods.values()
    assert (view.node_name, view.readable) == ("n", False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(data=st.data(), value=JSON)
def test_any_value_in_any_field_never_ends_the_watch(data: st.DataObject, value: Any) -> None:
    """A field somewhere in a good object is replaced with anything: the store takes it or skips it."""
    resource, thing = data.draw(
        st.sampled_from(
            [
                (Resource.PODS, raw.pod("p", job="j", spec={"volumes": [{"name": "v", "emptyDir": {}}]})),
                (Resource.NODES, raw.node("n", spec={"taints": [{"key": "a", "effect": "NoSchedule"}]})),
                (Resource.JOBS, raw.job("j")),
                (Resource.PDBS, {"metadata": raw.metadata("b"), "spec": {"selector": {"matchLabels": {"a": "b"}}}}),
                ("jobsets.jobset.x-k8s.io", objects.job_set("s")),
                ("pytorchjobs.kubeflow.org", objects.pytorch_job("t")),
                ("rayclusters.ray.io", objects.ray_cluster("r")),
                ("leaderworkersets.leaderworkerset.x-k8s.io", objects.leader_worker_set("l")),
                ("podgroups.scheduling.k8s.io", objects.native("g", 2)),
                ("workloads.kueue.x-k8s.io", objects.workload("w")),
                ("admissionchecks.kueue.x-k8s.io", objects.admission_check()),
                ("nodeclaims", {"metadata": raw.metadata("c"), "status": {"conditions": [{"type": "Ready"}]}}),
            ]
        )
    )
    thing = copy.deepcopy(thing)
    place: Any = thing
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not place[key] or not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            place[key] = value
            break
        place = place[key]
    world = World(raw.config(LivePool("gpu", 8), LivePool("c", 8, provider="karpenter")))
    world.store.apply(resource, "ADDED", thing)
    world.store.replace(resource, [thing])
    if not resource.startswith("admissionchecks"):
        world.store.apply("admissionchecks.kueue.x-k8s.io", "ADDED", objects.admission_check())
    ViewBuilder(world.config, world.clock).build(world.store.contents())


TERM = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}


@pytest.mark.parametrize(
    ("spec", "depends"),
    [
        ({}, False),
        ({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]}}}, True),
        ({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]}}}, True),
        ({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{}]}}}, False),
        ({"topologySpreadConstraints": [{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]}, True),
        ({"topologySpreadConstraints": [{"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}]}, False),
    ],
)
def test_whether_a_pod_depends_on_where_others_are(spec: dict[str, Any], depends: bool) -> None:
    assert PARSER.pod(raw.pod("p", spec=spec)).depends_on_pods is depends
