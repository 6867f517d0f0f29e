"""Jobs whose pool has the GPUs for them and lacks something else go to the next pool."""

import pytest

from autoscaler.live.guardrails import GuardrailState, Rule, after_order_failure, evaluate
from tests.live.views import NOW, booting, config, decision, gang, node, pod, view

FULL_POOL = config(a={"max_nodes": 1})
"""The node of pool a has 7 GPUs and 6 CPUs left; each waiting pod requests 10 CPUs."""
OTHER = pod("x", node="n", gpus=1, cpu_milli=90_000)


def waiting(name="g", pods=1, **fields):
    made = gang(name, pods, gpus=1, **fields)
    members = tuple(pod(each.name, gpus=1, gates=each.gates, owner=each.owner, cpu_milli=10_000) for each in made.pods)
    return gang(name, pods, gpus=1, members=members, **fields)


def run(queue, placement, settings=FULL_POOL, nodes=(), state=None):
    cluster = view([node("n", pods=[OTHER]), *nodes], queue=queue, pods=[OTHER])
    allowed = evaluate(cluster, decision(a=1, placement=placement), state or GuardrailState(), settings)
    moved = [verdict.subject for verdict in allowed.verdicts if verdict.rule is Rule.OVERFLOW]
    return dict(allowed.orders), [(each.gang.ref.name, each.pool) for each in allowed.releases], moved


def test_the_next_pool_grows_where_the_first_lacks_cpus_and_is_full():
    assert run([waiting()], [0]) == ({"b": 1}, [], ["default/g"])


def test_it_starts_there_when_the_node_is_ready_and_orders_nothing_while_it_boots():
    assert run([waiting()], [0], nodes=[booting("m", "b")]) == ({}, [], ["default/g"])
    assert run([waiting()], [0], nodes=[node("m", "b")]) == ({}, [("g", "b")], ["default/g"])


def test_it_stays_where_its_pool_can_grow():
    assert run([waiting()], [0], config()) == ({"a": 1}, [], [])


def test_it_goes_on_where_its_pool_is_in_backoff():
    failed = after_order_failure(GuardrailState(), "a", NOW, config().guardrails.backoff)
    assert run([waiting()], [0], config(), state=failed) == ({"b": 1}, [], ["default/g"])


@pytest.mark.parametrize("placement", [[0], [-1]])
def test_it_stays_where_no_other_pool_may_run_it_or_the_policy_holds_it(placement):
    pools = ("a",) if placement == [0] else ("a", "b")
    assert run([waiting(pools=pools)], placement) == ({}, [], [])


def test_where_no_pool_can_take_it_nothing_is_ordered():
    """Pool b has place for two nodes, which hold eight of its pods each."""
    settings = config(a={"max_nodes": 1}, b={"max_nodes": 2})
    assert run([waiting(pods=16)], [0], settings) == ({"b": 2}, [], ["default/g"])
    assert run([waiting(pods=17)], [0], settings) == ({}, [], [])


def test_jobs_that_go_on_count_on_each_other():
    settings = config(a={"max_nodes": 1}, b={"max_nodes": 1})
    orders, _, moved = run([waiting("g", 6), waiting("h", 6)], [0, 0], settings)
    assert (orders, moved) == ({"b": 1}, ["default/g"])
