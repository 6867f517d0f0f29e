"""Which conditions say that a node is broken."""

from typing import Any

import pytest

from autoscaler.live.config import LivePool
from autoscaler.live.names import TAINT_REPAIR
from autoscaler.live.objects import NodeState
from autoscaler.live.repair_config import Repair, UnhealthyCondition
from autoscaler.live.view.store import Resource
from autoscaler.live.view.view import ViewBuilder
from tests.live import raw
from tests.live.raw import START, World


def world(repair: Repair, *conditions: tuple[str, str], **metadata: Any) -> World:
    node = raw.node("n")
    node["status"]["conditions"] += [{"type": kind, "status": status} for kind, status in conditions]
    node["metadata"] |= metadata
    return World(raw.config(LivePool("gpu", 8, repair=repair))).listed([node])


def faults(found: World) -> tuple[tuple[str, ...], float]:
    (node,) = ViewBuilder(found.config, found.clock).build(found.store.contents())[0].pools[0].nodes
    return node.faults, node.tolerated_seconds


@pytest.mark.parametrize(
    ("condition", "seconds"),
    [
        (("KernelDeadlock", "True"), 600.0),
        (("XIDErrors", "True"), 600.0),
        (("GpuMemWatch", "True"), 600.0),
        (("SysLogsXIDError", "True"), 600.0),
        (("AcceleratedHardwareReady", "False"), 600.0),
        (("KernelReady", "False"), 1800.0),
    ],
)
def test_the_usual_detectors_are_known(condition: tuple[str, str], seconds: float) -> None:
    assert faults(world(Repair(enabled=True), condition)) == ((condition[0],), seconds)


@pytest.mark.parametrize("condition", [("KernelDeadlock", "False"), ("GpuMemWatch", "False"), ("Strange", "True")])
def test_what_says_that_it_is_well_or_is_not_known_is_no_fault(condition: tuple[str, str]) -> None:
    assert faults(world(Repair(enabled=True), condition)) == ((), 0.0)


def test_the_shortest_patience_counts_and_only_where_repair_is_on() -> None:
    both = (("KernelReady", "False"), ("XIDErrors", "True"))
    assert faults(world(Repair(enabled=True), *both)) == (("KernelReady", "XIDErrors"), 600.0)
    assert faults(world(Repair(), *both)) == ((), 0.0)


def test_names_and_statuses_are_a_matter_of_config() -> None:
    own = Repair(enabled=True, conditions=(UnhealthyCondition("example.com/*", "Unknown", 5.0),))
    assert faults(world(own, ("example.com/Fan", "Unknown"), ("KernelDeadlock", "True"))) == (("example.com/Fan",), 5.0)


def test_a_fault_that_comes_or_goes_wakes_the_loop() -> None:
    found = world(Repair(enabled=True))
    found.triggers.clear()
    sick = raw.node("n")
    sick["status"]["conditions"].append({"type": "XIDErrors", "status": "True"})
    found.store.apply(Resource.NODES, "MODIFIED", sick)
    found.store.apply(Resource.NODES, "MODIFIED", sick)
    found.store.apply(Resource.NODES, "MODIFIED", raw.node("n"))
    assert found.triggers == ["node-lost", "node-lost"]


def test_nobody_counts_on_a_node_under_repair_not_even_while_it_boots_again() -> None:
    found = world(Repair(enabled=True))
    taint = {"key": TAINT_REPAIR, "effect": "NoSchedule"}
    found.store.apply(Resource.NODES, "MODIFIED", raw.node("n", ready=False, gpus=None, spec={"taints": [taint]}))
    (node,) = ViewBuilder(found.config, found.clock).build(found.store.contents())[0].pools[0].nodes
    assert node.state is NodeState.CORDONED


def test_what_was_written_on_the_node_is_read_and_nothing_odd_believed() -> None:
    written = {"autoscaler.green/unwell-since": f"{START + 5.0}", "autoscaler.green/rebooted-at": "soon"}
    found = world(Repair(enabled=True), labels={"autoscaler.green/pool": "gpu"}, annotations=written)
    found.clock.seconds = START + 60.0
    (node,) = ViewBuilder(found.config, found.clock).build(found.store.contents())[0].pools[0].nodes
    assert (node.unwell_since_seconds, node.rebooted_seconds) == (START + 5.0, None)
