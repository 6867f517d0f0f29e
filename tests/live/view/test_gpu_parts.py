"""Pools whose GPUs are divided: MIG slices and other parts count in thousandths of a GPU."""

from typing import Any

import pytest

from autoscaler.live.config import GpuResource, LiveConfig, LiveConfigError, LivePool
from autoscaler.live.guardrails import GuardrailState
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.names import GATE_PLACEMENT
from autoscaler.live.view.nodes import REGISTRATION_SECONDS
from autoscaler.live.view.store import Resource
from autoscaler.live.view.view import ViewBuilder
from tests.live import raw

SLICE = "nvidia.com/mig-1g.10gb"
MIXED = LivePool("mixed", max_nodes=4, resources={raw.GPU: GpuResource(1000, 4), SLICE: GpuResource(142, 28)})
WHOLE = LivePool("whole", max_nodes=4)


def settings(*pools: LivePool) -> LiveConfig:
    return raw.config(*(pools or (WHOLE, MIXED)))


def pod(name: str, node: str | None = None, **units: int) -> dict[str, Any]:
    """A pod with so many `gpus` and `slices`."""
    limits = {resource: str(units[key]) for key, resource in (("gpus", raw.GPU), ("slices", SLICE)) if key in units}
    spec = {"containers": [{"resources": {"limits": limits}}]}
    return raw.pod(name, node_name=node, spec=spec)


def node(name: str, gpus: int = 4, slices: int = 28) -> dict[str, Any]:
    made = raw.node(name, "mixed", gpus=gpus)
    made["status"]["allocatable"][SLICE] = str(slices)
    return made


def view_of(nodes: list[Any], pods: list[Any], config: LiveConfig | None = None) -> Any:
    world = raw.World(config or settings()).listed(nodes, pods)
    return ViewBuilder(world.config, world.clock).build(world.store.contents())[0]


def test_a_slice_counts_as_its_part_of_a_gpu() -> None:
    view = view_of([node("n")], [pod("a", "n", gpus=2), pod("b", "n", slices=3)])
    (seen,) = view.pool("mixed").nodes
    # 4 whole GPUs and 28 sevenths; 2 and 3 of them are used.
    assert (seen.allocatable_gpu_milli, seen.used_gpu_milli) == (4000 + 28 * 142, 2000 + 3 * 142)


@pytest.mark.parametrize(
    ("units", "pools"),
    [
        ({"gpus": 4}, ("whole", "mixed")),
        ({"gpus": 5}, ("whole",)),
        ({"slices": 28}, ("mixed",)),
        ({"slices": 29}, ()),
        ({"gpus": 1, "slices": 1}, ("mixed",)),
    ],
)
def test_a_pod_is_served_where_a_node_has_all_that_it_requests(units: dict[str, int], pools: tuple[str, ...]) -> None:
    view = view_of([], [pod("p", **units)])
    assert not view.unserved
    (gang,) = (*view.queue, *view.unplaceable)
    assert gang.allowed_pools == pools


def test_waiting_slices_are_demand_in_gpus() -> None:
    view = view_of([], [pod(f"p{index}", slices=7) for index in range(3)])
    assert [gang.pending_gpu_milli for gang in view.queue] == [994, 994, 994]


def test_a_node_fills_up_by_resource_and_by_gpus_together() -> None:
    view = view_of([node("n"), node("o")], [pod("old", "n", slices=27), pod("a", slices=1), pod("b", slices=2)])
    capacity = Capacity(view, GuardrailState(), settings().counted_resources)
    one, two = (next(each for each in view.pods.values() if each.name == name) for name in "ab")
    assert capacity.place("mixed", [one])
    assert capacity.claimed == {"n"}, "the fullest node on which it fits"
    assert capacity.place("mixed", [two])
    assert capacity.claimed == {"n", "o"}


def test_a_gang_of_slices_may_be_as_large_as_its_pool() -> None:
    job = raw.job("j", pods=4)
    limits = {"limits": {SLICE: "28"}}
    job["spec"]["template"]["spec"]["containers"] = [{"resources": limits}]
    pods = [
        raw.pod(f"j-{index}", spec={"containers": [{"resources": limits}]}, job="j", gated=False) for index in range(4)
    ]
    for each in pods:
        each["spec"]["schedulingGates"] = [{"name": GATE_PLACEMENT}]
    world = raw.World(settings()).listed([], pods, [job])
    view = ViewBuilder(world.config, world.clock).build(world.store.contents())[0]
    (gang,) = view.queue
    assert (gang.pending_gpu_milli, gang.allowed_pools) == (4 * 28 * 142, ("mixed",))


def test_sizes_that_differ_between_pools_are_refused() -> None:
    other = LivePool("other", max_nodes=1, resources={SLICE: GpuResource(250, 4)})
    with pytest.raises(LiveConfigError, match=r"mig-1g\.10gb is 142 .* in pool mixed and 250 in pool other"):
        settings(MIXED, other)


def test_parts_that_are_more_than_their_node_are_refused() -> None:
    with pytest.raises(LiveConfigError, match=r"its resources are 8\.004 GPUs together, gpus_per_node is 8"):
        LivePool("p", max_nodes=1, resources={raw.GPU: GpuResource(1000, 4), SLICE: GpuResource(143, 28)})


def test_a_node_is_ready_when_it_has_told_of_all_that_its_pool_has() -> None:
    """Each device plugin registers its own resource, so for a moment a node has only a part of them."""
    part = node("n", gpus=0)
    part["metadata"]["creationTimestamp"] = raw.stamp(raw.START - 600.0)
    world = raw.World(settings())
    builder = ViewBuilder(world.config, world.clock)

    def state() -> str:
        (seen,) = builder.build(world.store.contents())[0].pool("mixed").nodes
        return str(seen.state)

    world.listed([{**part, "status": {**part["status"], "allocatable": {"cpu": "96"}}}])
    assert state() == "booting"
    world.store.apply(Resource.NODES, "MODIFIED", part)
    assert state() == "booting"
    world.triggers.clear()
    world.store.apply(Resource.NODES, "MODIFIED", {**node("n"), "metadata": part["metadata"]})
    assert (state(), world.triggers) == ("idle", ["node-ready"])


def test_a_node_that_never_tells_of_a_part_works_with_the_rest() -> None:
    world = raw.World(settings()).listed([node("n", slices=0)])
    builder = ViewBuilder(world.config, world.clock)
    states = []
    for seconds in (0.0, REGISTRATION_SECONDS - 1.0, 1.0):
        world.clock.seconds += seconds
        (seen,) = builder.build(world.store.contents())[0].pool("mixed").nodes
        states.append((str(seen.state), seen.allocatable_gpu_milli))
    assert states == [("booting", 0), ("booting", 0), ("idle", 4000)]


def test_a_node_with_pods_on_its_gpus_counts_at_once() -> None:
    (seen,) = view_of([node("n", slices=0)], [pod("a", "n", gpus=2)]).pool("mixed").nodes
    assert (str(seen.state), seen.allocatable_gpu_milli, seen.used_gpu_milli) == ("busy", 4000, 2000)
