"""Broken nodes: one clock for each, reboot before replacement, a cap, and never where accelerators work."""

from dataclasses import replace

import pytest

from autoscaler.live.guardrails import GuardrailState, RepairKind, Rule, after_reboot, evaluate
from autoscaler.live.guardrails.ailing import Ailment
from autoscaler.live.model import Taint
from autoscaler.live.moments import Moment, moments
from autoscaler.live.names import TAINT_REPAIR
from autoscaler.live.objects import NodeState
from autoscaler.live.repair_config import RebootRequest, Repair, RepairConfigError, UnhealthyCondition
from tests.live.views import NOW, REPLICA_SET, booting, config, decision, node, pod, spare, view

REPAIR = Repair(enabled=True)
SETTINGS = config(a={"repair": REPAIR}, b={"repair": REPAIR})
TAINTED = (Taint(TAINT_REPAIR),)


def sick(name="n", fault="GPUMissing", **fields):
    """A node that is ready and says that it is broken."""
    faults = (fault,) if fault else ()
    return node(name, faults=faults, tolerated_seconds=600.0 if fault else 0.0, **fields)


def judged(*nodes, state=None, settings=SETTINGS, now=NOW, pods=(), unmanaged=()):
    cluster = view(nodes, now=now, pods=pods, unmanaged=unmanaged)
    return evaluate(cluster, decision(a=len(nodes)), state or GuardrailState(), settings)


def unwell(name="n", since=NOW - 601.0, **fields):
    return GuardrailState(ailing={f"uid-{name}": Ailment(since, **fields)})


def done(allowed):
    """What is done with which node."""
    return {each.node.name: str(each.kind) for each in allowed.repairs} | {
        each.name: "replace" for each in allowed.removals
    }


def test_a_clock_runs_from_the_first_fault_and_reasons_that_flap_do_not_start_it_anew():
    first = judged(sick(fault="GPUMissing"), now=NOW)
    assert (first.state.ailing["uid-n"], done(first)) == (Ailment(NOW), {})
    well = judged(sick(fault=""), state=first.state, now=NOW + 200.0)
    again = judged(sick(fault="XIDErrors"), state=well.state, now=NOW + 250.0)
    assert again.state.ailing["uid-n"] == Ailment(NOW)
    assert done(judged(sick(fault="KernelDeadlock"), state=again.state, now=NOW + 599.0)) == {}
    assert done(judged(sick(fault="KernelDeadlock"), state=again.state, now=NOW + 600.0)) == {"n": "reboot"}


def test_a_node_that_is_well_for_long_enough_starts_anew():
    state = unwell(since=NOW - 500.0, well_since_seconds=NOW - 300.0)
    assert judged(sick(fault=""), state=state).state.ailing == {}
    assert judged(sick(), state=state, now=NOW).state.ailing["uid-n"] == Ailment(NOW - 500.0)


def test_a_node_is_rebooted_then_waited_for_then_replaced():
    first = judged(sick(), state=unwell())
    assert done(first) == {"n": "reboot"}
    state = after_reboot(first.state, "uid-n", NOW)
    assert done(judged(sick(taints=TAINTED), state=state, now=NOW + 899.0)) == {}
    assert done(judged(sick(taints=TAINTED), state=state, now=NOW + 900.0)) == {"n": "replace"}


def test_a_node_that_a_reboot_cured_is_given_back():
    state = unwell(rebooted_seconds=NOW - 400.0, well_since_seconds=NOW - 299.0)
    cured = sick(fault="", taints=TAINTED, state=NodeState.CORDONED)
    assert done(judged(cured, state=state)) == {}
    assert done(judged(cured, state=state, now=NOW + 1.0)) == {"n": str(RepairKind.RECOVER)}


@pytest.mark.parametrize("change", [{"ready": False}, {"gpus": 0}], ids=["not ready", "without its GPUs"])
def test_a_node_that_does_not_come_back_from_its_reboot_is_replaced(change):
    state = unwell(rebooted_seconds=NOW - 899.0)
    away = sick(fault="", taints=TAINTED, state=NodeState.CORDONED, **change)
    first = judged(away, state=state)
    assert done(first) == {}
    assert done(judged(away, state=first.state, now=NOW + 1.0)) == {"n": "replace"}


def test_a_node_under_repair_is_given_back_when_repair_is_switched_off():
    held = sick(fault="", taints=TAINTED, state=NodeState.CORDONED)
    assert done(judged(held, settings=config())) == {"n": str(RepairKind.RECOVER)}


@pytest.mark.parametrize("change", [{"provider": "karpenter"}, {"repair": replace(REPAIR, reboot=False)}])
def test_where_nobody_can_or_may_reboot_it_is_replaced_at_once(change):
    if change.get("provider"):
        change["provider_settings"] = {"node_class_kind": "KWOKNodeClass", "node_class_group": "karpenter.kwok.sh"}
        change["provider_settings"] |= {"node_class_name": "default"}
    settings = config(a={"repair": REPAIR, **change})
    assert done(judged(sick(), state=unwell(), settings=settings)) == {"n": "replace"}


def test_where_another_controller_can_reboot_it_is_asked_first():
    karpenter = {"node_class_kind": "A", "node_class_group": "a.b", "node_class_name": "c"}
    asked = replace(REPAIR, reboot_request=RebootRequest())
    settings = config(a={"repair": asked, "provider": "karpenter", "provider_settings": karpenter})
    assert done(judged(sick(), state=unwell(), settings=settings)) == {"n": "reboot"}


def test_a_node_with_pods_that_may_move_is_drained_and_not_rebooted_under_them():
    web = pod("web", node="n", owner=REPLICA_SET)
    held = sick(pods=(web,))
    assert done(judged(held, state=unwell(), pods=(web,), unmanaged=(spare(),))) == {"n": "replace"}
    lonely = judged(held, state=unwell(), pods=(web,))
    assert done(lonely) == {}
    assert Rule.NO_PLACE_TO_MOVE in [verdict.rule for verdict in lonely.verdicts]


def test_a_node_where_accelerators_work_is_not_touched_unless_the_config_says_so():
    work = pod("train", node="n", gpus=8, owner=REPLICA_SET)
    busy = sick(pods=(work,))
    held = judged(busy, state=unwell(), pods=(work,), unmanaged=(spare(),))
    assert done(held) == {}
    assert [verdict.rule for verdict in held.verdicts if verdict.kind == "node"] == [Rule.GPU_POD]
    free = node("free")
    allowed = config(a={"repair": replace(REPAIR, evict_accelerator_pods=True)})
    assert done(judged(busy, free, state=unwell(), pods=(work,), settings=allowed)) == {"n": "replace"}


@pytest.mark.parametrize(
    ("nodes", "share", "repaired"), [(5, 0.2, 1), (6, 0.2, 2), (3, 0.2, 1), (4, 1.0, 4), (4, 0.0, 0)]
)
def test_a_share_of_the_pool_is_under_repair_at_most(nodes, share, repaired):
    pool = [sick(f"n{index}") for index in range(nodes)]
    state = GuardrailState(ailing={each.uid: Ailment(NOW - 601.0) for each in pool})
    allowed = judged(*pool, state=state, settings=config(a={"repair": replace(REPAIR, max_share=share)}))
    assert len(done(allowed)) == repaired
    waits = [verdict for verdict in allowed.verdicts if verdict.rule is Rule.REPAIR_SHARE]
    assert len(waits) == nodes - repaired


def test_those_that_are_under_repair_already_count():
    busy = sick("m", taints=TAINTED, state=NodeState.CORDONED)
    state = GuardrailState(ailing={"uid-n": Ailment(NOW - 601.0), "uid-m": Ailment(NOW - 700.0, None, NOW - 10.0)})
    assert done(judged(sick(), busy, state=state)) == {}


def test_the_node_that_is_unwell_for_longest_goes_first():
    pool = [sick("n"), sick("m")]
    state = GuardrailState(ailing={"uid-n": Ailment(NOW - 601.0), "uid-m": Ailment(NOW - 999.0)})
    assert done(judged(*pool, state=state)) == {"m": "reboot"}


def test_the_health_stop_stops_repairs_too():
    pool = [sick(f"n{index}", state=NodeState.UNREADY) for index in range(5)]
    state = GuardrailState(ailing={each.uid: Ailment(NOW - 601.0) for each in pool})
    allowed = judged(*pool, state=state)
    assert done(allowed) == {}
    assert [verdict.rule for verdict in allowed.verdicts] == [Rule.HEALTH_STOP]
    assert len(allowed.state.ailing) == 5, "the clocks run on"


def test_it_is_off_by_default_and_a_node_that_boots_has_its_own_time():
    assert done(judged(sick(), state=unwell(), settings=config())) == {}
    starting = booting("n", faults=("Ready",), tolerated_seconds=0.0)
    assert judged(starting).state.ailing == {}


def test_a_process_before_this_one_wrote_down_since_when_and_whether_it_was_rebooted():
    written = sick(taints=TAINTED, unwell_since_seconds=NOW - 2000.0, rebooted_seconds=NOW - 900.0)
    assert done(judged(written)) == {"n": "replace"}


def test_the_loop_wakes_when_a_node_is_to_be_repaired_or_counts_as_well():
    def wakes(each, ailment):
        state = GuardrailState(ailing={each.uid: ailment})
        found = moments(view([each]), state, SETTINGS)
        return [seconds - NOW for kind, seconds in found if kind is Moment.REPAIR]

    assert wakes(sick(), Ailment(NOW - 100.0)) == [500.0]
    assert wakes(sick(), Ailment(NOW - 700.0, None, NOW - 100.0)) == [800.0]
    assert wakes(sick(fault=""), Ailment(NOW - 700.0, NOW - 100.0)) == [200.0]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: UnhealthyCondition(""), "type is empty"),
        (lambda: UnhealthyCondition("X", "true"), "status of X is 'true'"),
        (lambda: UnhealthyCondition("X", "True", -1.0), "toleration_seconds of X"),
        (lambda: Repair(max_share=1.5), "repair.max_share"),
        (lambda: Repair(reboot_seconds=-1.0), "repair.reboot_seconds"),
    ],
)
def test_values_without_meaning_are_refused_by_name(make, named):
    with pytest.raises(RepairConfigError, match=named.replace(".", r"\.")):
        make()
