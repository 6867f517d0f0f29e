"""What can change by time alone, and when."""

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.live.guardrails import GuardrailState, PoolBackoff, evaluate
from autoscaler.live.model import ClusterView
from autoscaler.live.moments import Moment, moments, next_moment_seconds
from envs.gpu_cluster.codec import CodecLayout
from tests.live.views import NOW, booting, config, decision, gang, node, order, pod, view


def found(kind: Moment, cluster: ClusterView, state: GuardrailState | None = None, settings: Any = None) -> list[float]:
    known = moments(cluster, state or GuardrailState(), settings or config())
    return sorted({seconds - NOW for each, seconds in known if each is kind})


def test_nothing_changes_by_time_in_an_empty_cluster() -> None:
    assert next_moment_seconds(view(), GuardrailState(scaled_up={"a": NOW}), config()) == float("inf")


def test_the_next_moment_is_the_first_that_is_not_over() -> None:
    cluster = view([node("n", idle_for=100.0)])
    assert next_moment_seconds(cluster, GuardrailState(), config()) == NOW + 20.0
    assert next_moment_seconds(replace(cluster, now_seconds=NOW + 20.0), GuardrailState(), config()) == NOW + 200.0


def test_idle_nodes_reach_ages_and_become_unneeded() -> None:
    cluster = view([node("n", idle_for=30.0), node("m", idle_for=0.0)])
    assert {30.0, 60.0, 90.0, 120.0} <= set(found(Moment.IDLE_AGE, cluster))
    assert found(Moment.UNNEEDED, cluster) == [570.0, 600.0]


def test_cooldowns_end_where_a_node_is_idle() -> None:
    state = GuardrailState(scaled_up={"a": NOW - 10.0, "b": NOW - 500.0}, removal_failed_seconds=NOW - 30.0)
    cluster = view([node("n")])
    assert found(Moment.AFTER_SCALE_UP, cluster, state) == [100.0, 590.0]
    assert found(Moment.AFTER_FAILURE, cluster, state) == [150.0]
    assert found(Moment.AFTER_SCALE_UP, view([booting("n")]), state) == []


def test_a_backoff_ends() -> None:
    state = GuardrailState(backoffs={"a": PoolBackoff(NOW + 40.0, 300.0, NOW - 260.0)})
    assert found(Moment.BACKOFF, view(), state) == [40.0]


def test_what_boots_is_given_up_at_its_time() -> None:
    cluster = view([booting("n", age=100.0)], orders=[order("m", age=200.0)])
    state = GuardrailState(orders={"o": order("o", age=300.0)})
    assert found(Moment.PROVISION_TIMEOUT, cluster, state) == pytest.approx([600.0, 700.0, 800.0], abs=0.01)


def test_a_node_that_lost_its_gpus_is_given_up_later() -> None:
    state = GuardrailState(starting_since={"n": NOW - 5.0})
    assert found(Moment.PROVISION_TIMEOUT, view([booting("n", age=800.0)]), state) == pytest.approx([895.0], abs=0.01)


def test_the_rules_say_the_same_at_each_moment_as_it_says() -> None:
    """At the moment of a time-out the node is overdue, and just before it is not."""
    cluster = view([booting("n", age=100.0)])
    state = evaluate(cluster, decision(), GuardrailState(), config()).state
    for early, gone in ((0.002, 0), (0.0, 1)):
        then = replace(cluster, now_seconds=next_moment_seconds(cluster, state, config()) - early)
        assert len(evaluate(then, decision(), state, config()).removals) == gone


def test_jobs_may_be_moved_again_where_there_are_some() -> None:
    settings = replace(config(), codec=CodecLayout(consolidation=True, consolidation_interval_seconds=1000.0))
    state = GuardrailState(began_seconds=NOW - 400.0, consolidated={"b": NOW - 100.0})
    work = [pod("p", node="n", gpus=8), pod("q", node="m", gpus=8)]
    busy = view([node("n", pods=work[:1]), node("m", "b", pods=work[1:])], pods=work)
    assert found(Moment.CONSOLIDATION, busy, state, settings) == [600.0, 900.0]
    assert found(Moment.CONSOLIDATION, view([node("n")]), state, settings) == []
    assert found(Moment.CONSOLIDATION, busy, state) == []


def test_an_hour_begins_where_the_policy_is_told_of_prices() -> None:
    settings = replace(config(), codec=CodecLayout(signals=True))
    cluster = replace(view(), now_seconds=NOW + 3600.0 - NOW % 3600.0 + 100.0)
    assert found(Moment.SIGNALS, cluster, None, settings) == [7200.0 - NOW % 3600.0]
    assert found(Moment.SIGNALS, cluster) == []


def test_a_job_can_be_deferred_until_its_latest_start() -> None:
    late = replace(gang("g"), latest_start_seconds=NOW + 70.0)
    assert found(Moment.LATEST_START, view(queue=[late, gang("h")])) == [70.0]
