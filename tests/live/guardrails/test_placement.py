"""Which gangs are released: whole or not at all, only where GPUs are ready."""

import dataclasses

from autoscaler.live.constraints import Taint, Toleration
from autoscaler.live.guardrails import GuardrailState, Rule, after_release, evaluate
from autoscaler.live.names import GATE_PLACEMENT, LABEL_POOL
from autoscaler.live.objects import NodeState
from tests.live.views import JOB, NOW, booting, config, decision, gang, node, pod, unready, view


def run(cluster, placement, state=None, **targets):
    want = decision(**{"a": 9, "b": 9, **targets}, placement=placement)
    allowed = evaluate(cluster, want, state or GuardrailState(), config())
    released = [(release.gang.ref.name, release.pool, len(release.pods)) for release in allowed.releases]
    return released, [verdict.rule for verdict in allowed.verdicts if verdict.kind == "gang"]


def test_a_gang_goes_where_its_gpus_are_ready():
    assert run(view([node("n", "b")], queue=[gang("g")]), [1]) == ([("g", "b", 1)], [])


def test_a_held_gang_waits():
    assert run(view([node("n")], queue=[gang("g")]), [-1]) == ([], [])


def test_a_gang_waits_while_its_node_boots_or_its_gpu_plugin_is_late():
    ready_without_gpus = dataclasses.replace(booting("n"), ready=True)
    assert run(view([ready_without_gpus], queue=[gang("g")]), [0]) == ([], [Rule.NO_READY_GPUS])


def test_a_ready_node_with_dead_gpus_swallows_no_pod():
    dead = node("n", gpus=0, state=NodeState.IDLE)
    assert run(view([dead], queue=[gang("g")]), [0]) == ([], [Rule.NO_READY_GPUS])


def test_unready_cordoned_and_leaving_nodes_take_no_pod():
    nodes = [unready("u"), node("c", state=NodeState.CORDONED), node("d", state=NodeState.DRAINING)]
    assert run(view(nodes, queue=[gang("g")]), [0]) == ([], [Rule.NO_READY_GPUS])


def test_no_half_gang_when_one_pod_does_not_fit():
    assert run(view([node("n")], queue=[gang("g", pods=2)]), [0]) == ([], [Rule.DOES_NOT_FIT])


def test_what_does_not_fit_is_said_in_plain_words():
    cluster = view([node("n")], queue=[gang("big", pods=2), gang("small"), gang("late")])
    verdicts = evaluate(cluster, decision(a=9, placement=[0, 0, 0]), GuardrailState(), config()).verdicts
    assert [each.reason for each in verdicts if each.kind == "gang"] == [
        "its 2 pods do not all fit on the ready nodes of pool a now",
        "its pod does not fit on the ready nodes of pool a now",
    ]


def test_a_gang_that_does_not_fit_takes_no_capacity_from_the_next():
    cluster = view([node("n")], queue=[gang("big", pods=2), gang("small")])
    assert run(cluster, [0, 0]) == ([("small", "a", 1)], [Rule.DOES_NOT_FIT])


def test_no_half_gang_while_its_controller_still_makes_pods():
    cluster = view([node("n1"), node("n2")], queue=[gang("g", pods=2, missing=1)])
    assert run(cluster, [0]) == ([], [Rule.GANG_INCOMPLETE])


def test_two_gangs_of_one_reconcile_do_not_get_the_same_gpus():
    cluster = view([node("n")], queue=[gang("g", gpus=5), gang("h", gpus=4)])
    assert run(cluster, [0, 0]) == ([("g", "a", 1)], [Rule.DOES_NOT_FIT])


def test_gangs_that_share_a_node_go_together():
    cluster = view([node("n")], queue=[gang("g", gpus=4), gang("h", pods=2, gpus=2)])
    assert run(cluster, [0, 0])[0] == [("g", "a", 1), ("h", "a", 2)]


def test_running_pods_take_their_capacity():
    worker = pod("w", node="n", gpus=6, owner=JOB)
    cluster = view([node("n", pods=[worker])], pods=[worker], queue=[gang("g", gpus=4)])
    assert run(cluster, [0]) == ([], [Rule.DOES_NOT_FIT])


def test_cpu_counts_as_well():
    hungry = gang("g", members=(pod("g-0", gpus=1, cpu_milli=97_000, gates=(GATE_PLACEMENT,), owner=JOB),))
    assert run(view([node("n")], queue=[hungry]), [0]) == ([], [Rule.DOES_NOT_FIT])


def test_pods_on_their_way_to_a_node_keep_their_capacity():
    bound_soon = pod("w", gpus=8, owner=JOB, node_selector={LABEL_POOL: "a"})
    cluster = view([node("n")], pods=[bound_soon], queue=[gang("g")])
    assert run(cluster, [0]) == ([], [Rule.DOES_NOT_FIT])


def test_a_release_that_the_view_does_not_show_yet_is_not_repeated():
    waiting = gang("g")
    state = after_release(GuardrailState(), [each.uid for each in waiting.pods], "a", NOW - 1.0)
    cluster = view([node("n")], queue=[waiting, gang("h")])
    assert run(cluster, [0, 0], state) == ([], [Rule.DOES_NOT_FIT])


def test_a_release_is_forgotten_once_the_view_shows_it():
    waiting = gang("g")
    state = after_release(GuardrailState(), [each.uid for each in waiting.pods], "a", NOW - 1.0)
    shown = gang("g", members=tuple(dataclasses.replace(each, gates=()) for each in waiting.pods))
    allowed = evaluate(view([node("n")], queue=[shown]), decision(a=1), state, config())
    assert allowed.state.released == {}


def halfway():
    gone = pod("g-0", node="n0", gpus=8, owner=JOB, node_selector={LABEL_POOL: "b"})
    left = pod("g-1", gpus=8, owner=JOB, gates=(GATE_PLACEMENT,))
    return gone, gang("g", pods=2, members=(gone, left))


def test_the_rest_of_a_half_released_gang_follows_whatever_the_policy_says():
    gone, rest = halfway()
    cluster = view([node("n0", "b", pods=[gone]), node("n1", "b"), node("n2", "a")], pods=[gone], queue=[rest])
    assert run(cluster, [0]) == ([("g", "b", 1)], [Rule.GANG_TOGETHER])
    assert run(cluster, [-1]) == ([("g", "b", 1)], [Rule.GANG_TOGETHER])
    assert run(cluster, [1]) == ([("g", "b", 1)], [])


def test_the_rest_of_a_half_released_gang_waits_for_capacity_too():
    gone, rest = halfway()
    cluster = view([node("n0", "b", pods=[gone]), node("n2", "a")], pods=[gone], queue=[rest])
    assert run(cluster, [1]) == ([], [Rule.DOES_NOT_FIT])


def test_a_pool_that_its_selectors_rule_out_is_refused():
    assert run(view([node("n")], queue=[gang("g", pools=("b",))]), [0]) == ([], [Rule.POOL_NOT_ALLOWED])


def test_a_taint_that_it_does_not_tolerate_keeps_it_away():
    tainted = node("n", taints=(Taint("team", "x"),))
    assert run(view([tainted], queue=[gang("g")]), [0]) == ([], [Rule.DOES_NOT_FIT])
    member = pod("g-0", gpus=8, owner=JOB, gates=(GATE_PLACEMENT,), tolerations=(Toleration("team", value="x"),))
    assert run(view([tainted], queue=[gang("g", members=(member,))]), [0])[0] == [("g", "a", 1)]


def test_pods_with_only_foreign_gates_are_not_ours_to_release():
    member = pod("g-0", gpus=8, owner=JOB, gates=("other.example/gate",))
    assert run(view([node("n")], queue=[gang("g", members=(member,))]), [0]) == ([], [])


def test_an_index_beyond_the_pools_is_a_hold():
    assert run(view([node("n")], queue=[gang("g")]), [3]) == ([], [])


def test_the_emptiest_node_is_kept_for_those_who_need_it():
    worker = pod("w", node="full", gpus=6, owner=JOB)
    nodes = [node("empty"), node("full", pods=[worker])]
    cluster = view(nodes, pods=[worker], queue=[gang("small", gpus=2), gang("whole", gpus=8)])
    assert run(cluster, [0, 0])[0] == [("small", "a", 1), ("whole", "a", 1)]


def test_a_node_with_a_pod_that_cannot_be_read_counts_as_full():
    opaque = pod("odd", node="n", readable=False)
    full = dataclasses.replace(node("n", pods=[opaque]), state=NodeState.BUSY, used_gpu_milli=8000)
    assert run(view([full], pods=[opaque], queue=[gang("g", gpus=1)]), [0]) == ([], [Rule.DOES_NOT_FIT])
