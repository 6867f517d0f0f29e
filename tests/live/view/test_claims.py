"""Device claims of pods and devices of nodes become resources, and GPUs of the policy."""

import json
from typing import Any

import pytest

from autoscaler.live.config import LiveConfig, LiveConfigError, LivePool
from autoscaler.live.device_config import DevicePart, DeviceTemplate
from autoscaler.live.gangs.registry import KINDS
from autoscaler.live.guardrails import GuardrailState
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.record import pack, unpack
from autoscaler.live.model import ClusterView
from autoscaler.live.objects import NodeView
from autoscaler.live.view.gangs import unserved_reason
from autoscaler.live.view.store import Resource
from autoscaler.live.view.view import ViewBuilder
from tests.live import dra, raw
from tests.live.gangs import objects

POOL = LivePool("gpu", max_nodes=4, devices=(DeviceTemplate(dra.DRIVER, attributes={"model": "A100"}),))
MIG = DeviceTemplate(
    dra.DRIVER,
    count=8,
    counters={"memory": "80Gi"},
    parts=(DevicePart(8, {"memory": "10Gi"}, {"profile": "small"}),),
)
SMALL = f'device.attributes["{dra.DRIVER}"].?profile.orValue("") == "small"'


class DeviceWorld(raw.World):
    """A store with a DeviceClass, and what a test adds."""

    def __init__(self, *pools: LivePool, classes: Any = None) -> None:
        super().__init__(raw.config(*(pools or (POOL,))))
        self.store.replace(Resource.DEVICE_CLASSES, [dra.device_class()] if classes is None else classes)
        self.builder = ViewBuilder(self.config, self.clock)

    def has(self, nodes: Any = (), pods: Any = (), slices: Any = (), claims: Any = (), templates: Any = None) -> Any:
        self.store.replace(Resource.SLICES, slices)
        self.store.replace(Resource.CLAIMS, claims)
        self.store.replace(Resource.CLAIM_TEMPLATES, [dra.template()] if templates is None else templates)
        self.listed(nodes, pods)
        return self.look()

    def look(self) -> ClusterView:
        return self.builder.build(self.store.contents())[0]


def bare(name: str = "n", **more: Any) -> Any:
    """A node without a device plugin."""
    return raw.node(name, gpus=None, **more)


def only(view: ClusterView) -> NodeView:
    (node,) = view.pools[0].nodes
    return node


def reasons(view: ClusterView, config: LiveConfig) -> list[tuple[str, tuple[str, ...]]]:
    return [(unserved_reason(pod, config), pod.accelerators) for pod in view.unserved]


def test_a_claim_scales_a_pool_from_zero() -> None:
    view = DeviceWorld().has(pods=[dra.pod("p", dra.of_template())])
    (gang,) = view.queue
    assert (gang.pending_gpu_milli, gang.allowed_pools) == (8000, ("gpu",))
    assert not view.unserved


def test_a_node_is_ready_when_all_slices_of_its_newest_generation_are_there() -> None:
    world = DeviceWorld()
    half = {"generation": 2, "resourceSliceCount": 2}
    first = dra.resource_slice("n", dra.devices(4), pool=half)
    assert only(world.has([bare()], slices=[])).state == "booting"
    node = only(world.has([bare()], slices=[first, dra.resource_slice("n", name="old")]))
    assert (node.state, node.allocatable_gpu_milli) == ("booting", 0)
    rest = [{"name": f"gpu-{index}"} for index in range(4, 8)]
    second = dra.resource_slice("n", rest, pool=half, name="second", created=raw.START + 50.0)
    world.clock.seconds = raw.START + 60.0
    node = only(world.has([bare()], slices=[first, second]))
    assert (node.state, node.allocatable_gpu_milli, node.idle_since_seconds) == ("idle", 8000, raw.START + 50.0)


def test_a_node_that_loses_its_slices_counts_from_the_loss() -> None:
    world = DeviceWorld()
    world.has([bare()], slices=[dra.resource_slice("n")])
    world.clock.seconds = raw.START + 5000.0
    node = only(world.has([bare()]))
    assert node.lost_since_seconds == raw.START + 5000.0
    world.clock.seconds += 10.0
    node = only(world.look())
    assert node.lost_since_seconds == raw.START + 5000.0


def test_a_bound_claim_holds_and_fills_its_node() -> None:
    allocated = dra.claim("c", dra.request(3), node="n", allocated=("gpu-0", "gpu-1", "gpu-2"))
    bound = dra.pod("p", dra.of_claim("c"), node="n")
    view = DeviceWorld().has([bare()], [bound], [dra.resource_slice("n")], [allocated])
    node = only(view)
    assert (node.state, node.used_gpu_milli, node.holds_accelerators) == ("busy", 3000, False)


def test_what_fits_beside_it_is_what_its_devices_leave() -> None:
    world = DeviceWorld()
    allocated = dra.claim("c", dra.request(3), node="n", allocated=("gpu-0", "gpu-1", "gpu-2"))
    templates = [dra.template("five", dra.request(5)), dra.template("six", dra.request(6))]
    pods = [
        dra.pod("bound", dra.of_claim("c"), node="n"),
        dra.pod("five", dra.of_template("five")),
        dra.pod("six", dra.of_template("six")),
    ]
    view = world.has([bare()], pods, [dra.resource_slice("n")], [allocated], templates)
    capacity = Capacity(view, GuardrailState(), world.config.counted_resources)
    waiting = {gang.ref.name: gang.pods[0] for gang in view.queue}
    assert not capacity.place("gpu", [waiting["six"]])
    assert capacity.place("gpu", [waiting["five"]])
    assert not capacity.place("gpu", [waiting["five"]])


def test_claims_of_different_kinds_take_the_same_gpus_only_once() -> None:
    world = DeviceWorld()
    model = f'device.attributes["{dra.DRIVER}"].model == "A100"'
    templates = [dra.template("any", dra.request(5)), dra.template("model", dra.request(5, model))]
    pods = [dra.pod("any", dra.of_template("any")), dra.pod("model", dra.of_template("model"))]
    published = dra.devices(8, attributes={"model": {"string": "A100"}})
    view = world.has([bare()], pods, [dra.resource_slice("n", published)], (), templates)
    capacity = Capacity(view, GuardrailState(), world.config.counted_resources)
    first, second = (gang.pods[0] for gang in view.queue)
    assert capacity.place("gpu", [first])
    assert not capacity.place("gpu", [second])


def test_a_shared_claim_is_counted_once() -> None:
    pods = [dra.pod(f"p{index}", dra.of_claim("shared")) for index in range(4)]
    view = DeviceWorld().has(pods=pods, claims=[dra.claim("shared")])
    assert [gang.pending_gpu_milli for gang in view.queue] == [2000] * 4


def test_a_shared_claim_is_counted_once_while_pods_of_its_job_are_to_come() -> None:
    job = raw.job("j", pods=4)
    job["spec"]["template"]["spec"] = dra.pod("t", dra.of_claim("shared"))["spec"]
    world = DeviceWorld()
    world.store.replace(Resource.CLAIMS, [dra.claim("shared")])
    world.listed([], [dra.pod("j-0", dra.of_claim("shared"), job="j")], [job])
    (gang,) = world.look().queue
    assert (gang.pending_gpu_milli, gang.missing_pods) == (8000, 3)


def test_an_allocated_claim_ties_its_pods_to_the_node_of_its_devices() -> None:
    world = DeviceWorld()
    names = tuple(f"gpu-{index}" for index in range(8))
    shared = dra.claim("shared", node="n", allocated=names)
    pods = [dra.pod("first", dra.of_claim("shared"), node="n"), dra.pod("second", dra.of_claim("shared"))]
    slices = [dra.resource_slice("n"), dra.resource_slice("o")]
    view = world.has([bare("n"), bare("o")], pods, slices, [shared])
    (gang,) = view.queue
    assert (gang.allowed_pools, gang.pending_gpu_milli) == (("gpu",), 4000)
    assert {node.name: node.used_gpu_milli for node in view.pools[0].nodes} == {"n": 4000, "o": 0}
    capacity = Capacity(view, GuardrailState(), world.config.counted_resources)
    assert capacity.place("gpu", gang.pods)
    assert capacity.claimed == {"n"}


def test_a_claim_that_nobody_reserves_any_more_holds_nothing() -> None:
    left = dra.claim("left", node="n", allocated=("gpu-0",), reservedFor=[])
    node = only(DeviceWorld().has([bare()], [], [dra.resource_slice("n")], [left]))
    assert node.state == "idle"


def test_admin_access_holds_no_node_and_requests_nothing() -> None:
    world = DeviceWorld()
    admin = dra.claim("admin", dra.request(8, adminAccess=True), node="n", allocated=())
    watching = dra.pod("watching", dra.of_claim("admin"), node="n")
    waiting = dra.pod("waiting", dra.of_template("admin"), gated=False, status=raw.unschedulable())
    templates = [dra.template("admin", dra.request(1, adminAccess=True))]
    view = world.has([bare()], [watching, waiting], [dra.resource_slice("n")], [admin], templates)
    assert only(view).state == "idle"
    assert not (*view.queue, *view.unplaceable, *view.unserved)


def test_parts_of_a_device_count_as_parts_of_a_gpu() -> None:
    world = DeviceWorld(LivePool("gpu", max_nodes=2, devices=(MIG,)))
    pods = [dra.pod("p", dra.of_template())]
    view = world.has(pods=pods, templates=[dra.template("template", dra.request(3, SMALL))])
    assert [gang.pending_gpu_milli for gang in view.queue] == [3 * 125]


def test_a_node_of_parts_is_full_by_its_counters() -> None:
    world = DeviceWorld(
        LivePool(
            "gpu",
            max_nodes=2,
            gpus_per_node=1,
            devices=(DeviceTemplate(dra.DRIVER, count=1, counters=MIG.counters, parts=MIG.parts),),
        )
    )
    consumes = [{"counterSet": "gpu", "counters": {"memory": {"value": "10Gi"}}}]
    small = [
        {"name": f"small-{index}", "attributes": {"profile": {"string": "small"}}, "consumesCounters": consumes}
        for index in range(8)
    ]
    everything = [{"counterSet": "gpu", "counters": {"memory": {"value": "80Gi"}}}]
    whole = {"name": "whole", "consumesCounters": everything}
    pool = {"resourceSliceCount": 2}
    counters = [{"name": "gpu", "counters": {"memory": {"value": "80Gi"}}}]
    slices = [
        dra.resource_slice("n", [], pool=pool, name="counters", sharedCounters=counters),
        dra.resource_slice("n", [whole, *small], pool=pool),
    ]
    held = dra.claim("held", dra.request(1, SMALL), node="n", allocated=("small-4",))
    templates = [dra.template("small", dra.request(1, SMALL)), dra.template("whole", dra.request(1, f"!({SMALL})"))]
    pods = [
        dra.pod("held", dra.of_claim("held"), node="n"),
        *(dra.pod(f"s{index}", dra.of_template("small")) for index in range(8)),
        dra.pod("whole", dra.of_template("whole")),
    ]
    view = world.has([bare()], pods, slices, [held], templates)
    assert (only(view).allocatable_gpu_milli, only(view).used_gpu_milli) == (1000, 125)
    assert [gang.pending_gpu_milli for gang in view.queue] == [125] * 8 + [1000]
    capacity = Capacity(view, GuardrailState(), world.config.counted_resources)
    *parts, whole_gang = view.queue
    assert not capacity.place("gpu", whole_gang.pods)
    assert [capacity.place("gpu", gang.pods) for gang in parts] == [True] * 7 + [False]


@pytest.mark.parametrize("resource", ["example.com/gpu", "deviceclass.resource.kubernetes.io/gpus", raw.GPU])
def test_an_extended_resource_that_a_class_serves_is_served_by_devices(resource: str) -> None:
    served = raw.GPU if resource == raw.GPU else "example.com/gpu"
    world = DeviceWorld(classes=[dra.device_class(resource=served)])
    container = {"containers": [{"resources": {"limits": {resource: "6"}}}]}
    waiting, bound = raw.pod("w", spec=container), raw.pod("b", node_name="n", spec=container)
    bound["status"]["extendedResourceClaimStatus"] = {"resourceClaimName": "made", "requestMappings": []}
    view = world.has(pods=[waiting])
    (gang,) = view.queue
    assert (gang.pending_gpu_milli, gang.allowed_pools) == (6000, ("gpu",))
    made = dra.claim("made", dra.request(6), node="n", allocated=tuple(f"gpu-{index}" for index in range(6)))
    view = world.has([bare()], [waiting, bound], [dra.resource_slice("n")], [made])
    assert (only(view).state, only(view).used_gpu_milli) == ("busy", 6000)
    capacity = Capacity(view, GuardrailState(), world.config.counted_resources)
    assert not capacity.place("gpu", view.queue[0].pods)


def test_a_pool_whose_gpu_resource_a_class_serves_needs_no_description() -> None:
    pool = LivePool("gpu", max_nodes=2, gpu_resource="example.com/gpu")
    world = DeviceWorld(pool, classes=[dra.device_class(resource="example.com/gpu")])
    waiting = raw.pod("w", spec={"containers": [{"resources": {"limits": {"example.com/gpu": "8"}}}]})
    view = world.has([bare()], [waiting])
    assert only(view).state == "booting"
    view = world.has([bare()], [waiting], [dra.resource_slice("n")])
    assert (only(view).state, only(view).allocatable_gpu_milli) == ("idle", 8000)
    capacity = Capacity(view, GuardrailState(), world.config.counted_resources)
    assert capacity.place("gpu", view.queue[0].pods)


@pytest.mark.parametrize(
    ("requests", "what"),
    [
        ((dra.request(9),), "no pool has such devices, or not so many on a node"),
        ((dra.request(1, deviceClassName="other"),), "there is no DeviceClass other"),
        ((dra.request(1, "magic(device)"),), "its selector cannot be evaluated"),
        ((dra.request(1, f'device.attributes["{dra.DRIVER}"].memory > 3'),), 'Key not found in map : "memory"'),
        ((dra.request(1, capacity={"requests": {"memory": "1Gi"}}),), "a part of a device's capacity"),
    ],
)
def test_a_claim_that_no_pool_can_serve_is_told_and_orders_nothing(requests: Any, what: str) -> None:
    world = DeviceWorld()
    view = world.has(pods=[dra.pod("p", dra.of_template())], templates=[dra.template("template", *requests)])
    assert not (*view.queue, *view.unplaceable)
    ((reason, (told,)),) = reasons(view, world.config)
    assert reason == "accelerator"
    assert told.startswith("resource claim gpus (")
    assert what in told


def test_a_pod_with_gpus_and_a_claim_that_nobody_serves_orders_nothing() -> None:
    world = DeviceWorld(LivePool("gpu", max_nodes=4))
    spec = {"containers": [{"resources": {"limits": {raw.GPU: "8"}}}], "resourceClaims": [dra.of_template("absent")]}
    view = world.has(pods=[raw.pod("p", spec=spec)])
    assert not view.queue
    assert reasons(view, world.config) == [
        ("accelerator", ("resource claim gpus (there is no ResourceClaimTemplate absent)",))
    ]


def test_a_description_that_is_wrong_does_not_order_node_after_node() -> None:
    world = DeviceWorld()
    wanted = [dra.template("template", dra.request(8, f'device.attributes["{dra.DRIVER}"].model == "A100"'))]
    waiting = dra.pod("p", dra.of_template())
    assert world.has(pods=[waiting], templates=wanted).queue
    real = dra.devices(8, attributes={"model": {"string": "H100"}})
    view = world.has([bare()], [waiting], [dra.resource_slice("n", real)], templates=wanted)
    assert not view.queue
    assert [pod.name for pod in view.unserved] == ["p"]
    world.clock.seconds += 3500.0
    assert not world.has([], [waiting], templates=wanted).queue, "the node is gone, and not forgotten"
    world.clock.seconds += 200.0
    assert world.has([], [waiting], templates=wanted).queue


def test_a_node_that_lacks_devices_says_nothing_of_the_next_one() -> None:
    view = DeviceWorld().has([bare()], [dra.pod("p", dra.of_template())], [dra.resource_slice("n", dra.devices(7))])
    assert [gang.allowed_pools for gang in view.queue] == [("gpu",)]


def test_a_node_in_use_is_a_model_for_the_next_one() -> None:
    allocated = dra.claim("c", node="n", allocated=tuple(f"gpu-{index}" for index in range(8)))
    pods = [dra.pod("bound", dra.of_claim("c"), node="n"), dra.pod("p", dra.of_template())]
    view = DeviceWorld().has([bare()], pods, [dra.resource_slice("n")], [allocated])
    assert [gang.allowed_pools for gang in view.queue] == [("gpu",)]


def test_a_network_card_beside_gpus_is_needed_and_is_no_gpu() -> None:
    nic = DeviceTemplate("nic.example.com", count=2, gpu_milli=0)
    world = DeviceWorld(
        LivePool("gpu", max_nodes=4, devices=(*POOL.devices, nic)),
        classes=[dra.device_class(), dra.device_class("nics", 'device.driver == "nic.example.com"')],
    )
    templates = [
        dra.template("template", dra.request(1)),
        dra.template("nic", dra.request(1, deviceClassName="nics")),
        dra.template("nics", dra.request(3, deviceClassName="nics")),
    ]
    pods = [
        dra.pod("one", dra.of_template(), dra.of_template("nic", "nic")),
        dra.pod("many", dra.of_template(), dra.of_template("nics", "nic")),
    ]
    view = world.has(pods=pods, templates=templates)
    assert [(gang.ref.name, gang.pending_gpu_milli) for gang in view.queue] == [("one", 1000)]
    assert [pod.name for pod in view.unserved] == ["many"]


def test_a_job_of_claims_that_has_not_all_its_pods_yet_waits_with_all_of_them() -> None:
    job = raw.job("j", pods=4)
    job["spec"]["template"]["spec"] = dra.pod("t", dra.of_template())["spec"]
    world = DeviceWorld()
    world.store.replace(Resource.CLAIM_TEMPLATES, [dra.template()])
    world.listed([], [dra.pod("j-0", dra.of_template(), job="j")], [job])
    (gang,) = world.look().queue
    assert (gang.pending_gpu_milli, gang.missing_pods) == (32000, 3)


def test_an_audit_keeps_what_claims_make_of_pods_and_nodes() -> None:
    shared = dra.claim("shared", node="n", allocated=("gpu-0",))
    pods = [
        dra.pod("first", dra.of_claim("shared"), node="n"),
        dra.pod("second", dra.of_claim("shared")),
        dra.pod("third", dra.of_template()),
    ]
    view = DeviceWorld().has([bare()], pods, [dra.resource_slice("n")], [shared])
    again, _ = unpack(json.loads(json.dumps(pack(view, GuardrailState()))))
    for gang, read in zip(view.queue, again.queue, strict=True):
        for pod, copy in zip(gang.pods, read.pods, strict=True):
            assert (pod.claims, pod.requests, pod.affinity_terms) == (copy.claims, copy.requests, copy.affinity_terms)
    assert only(view).allocatable == only(again).allocatable


def test_what_pools_serve_is_said_by_resource_and_driver() -> None:
    pools = (LivePool("a", max_nodes=1), LivePool("b", max_nodes=1, devices=POOL.devices))
    assert raw.config(*pools).serves == (raw.GPU, f"claims for devices of {dra.DRIVER}")


def test_without_described_devices_a_claim_holds_its_node_as_before() -> None:
    world = DeviceWorld(LivePool("gpu", max_nodes=4))
    allocated = dra.claim("c", node="n", allocated=("gpu-0",))
    pods = [dra.pod("p", dra.of_claim("c"), node="n"), dra.pod("q", dra.of_template())]
    view = world.has([raw.node("n")], pods, [dra.resource_slice("n")], [allocated])
    assert (only(view).state, only(view).holds_accelerators) == ("busy", True)
    assert [pod.name for pod in view.unserved] == ["q"]


def test_news_of_devices_and_claims_wakes_the_loop() -> None:
    world = DeviceWorld()
    world.triggers.clear()
    world.store.apply(Resource.SLICES, "ADDED", dra.resource_slice("n"))
    world.store.apply(Resource.CLAIMS, "ADDED", dra.claim("c"))
    world.store.apply(Resource.CLAIMS, "MODIFIED", dra.claim("c", node="n", allocated=("gpu-0",)))
    world.store.apply(Resource.CLAIMS, "DELETED", dra.claim("c"))
    assert world.triggers == ["node-ready", "job-submitted", "job-finished"]


def test_devices_that_are_more_than_their_node_are_refused() -> None:
    with pytest.raises(LiveConfigError, match="its resources are 8 GPUs together, gpus_per_node is 4"):
        LivePool("p", max_nodes=1, gpus_per_node=4, devices=POOL.devices)


def test_a_capacity_that_is_no_quantity_is_refused() -> None:
    pool = LivePool("p", max_nodes=1, devices=(DeviceTemplate(dra.DRIVER, capacity={"memory": "much"}),))
    with pytest.raises(LiveConfigError, match=r"pool p: devices: capacity\.memory: 'much' is no quantity"):
        DeviceWorld(pool)


def test_pods_to_come_of_a_group_count_by_their_claims() -> None:
    group = objects.pytorch_job("g", 2)
    for replicas in group["spec"]["pytorchReplicaSpecs"].values():
        replicas["template"]["spec"]["resourceClaims"] = [dra.of_template()]
        replicas["template"]["spec"]["containers"][0]["resources"] = {"claims": [{"name": "gpus"}]}
    labels = {
        "training.kubeflow.org/job-name": "g",
        "training.kubeflow.org/operator-name": "pytorchjob-controller",
        "training.kubeflow.org/replica-type": "master",
    }
    owner = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "g", "uid": "uid-g", "controller": True}
    master = dra.pod("master", dra.of_template(), metadata={"labels": labels, "ownerReferences": [owner]})
    world = DeviceWorld()
    collection = KINDS["pytorchjob"].collection
    assert collection is not None
    world.store.apply(collection.resource, "ADDED", group)
    view = world.has(pods=[master])
    (gang,) = view.queue
    assert (gang.pending_gpu_milli, gang.missing_pods, gang.allowed_pools) == (24000, 2, ("gpu",))
