"""Grid events on a cluster: no order and no start of a job breaks the budget of power."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.live.grid_config import GridEventError, LiveGridEvent, event_at
from autoscaler.live.guardrail_config import GuardrailConfig
from autoscaler.live.guardrails import GuardrailState, Rule, after_order, after_release, evaluate
from autoscaler.live.moments import Moment, moments
from envs.gpu_cluster.power import PowerConfig
from tests.live.views import NOW, booting, config, decision, gang, node, order, pod, view

WATTS = PowerConfig(gpu_idle_watts=50.0, gpu_busy_watts=300.0, host_watts=400.0)
IDLE_KW, BUSY_GPU_KW = 0.8, 0.25
"""Of an idle node with 8 GPUs, and what each of them draws more when it works."""


def event(power_kw: float, starts_in: float = -60.0, **fields: float) -> LiveGridEvent:
    """An event that began a minute ago and lasts for an hour."""
    start = datetime.fromtimestamp(NOW + starts_in, UTC).isoformat()
    return LiveGridEvent(start, fields.pop("duration_seconds", 3600.0), power_kw, **fields)


def run(cluster, want, *events, state=None):
    limits = config(a={"power": WATTS}, b={"power": WATTS}, grid_events=events)
    return evaluate(cluster, want, state or GuardrailState(), limits)


def ordered(cluster, want, *events, state=None):
    allowed = run(cluster, want, *events, state=state)
    return dict(allowed.orders), [verdict.rule for verdict in allowed.verdicts]


def released(cluster, placement, *events, state=None):
    allowed = run(cluster, decision(placement=placement), *events, state=state)
    rules = [verdict.rule for verdict in allowed.verdicts if verdict.kind == "gang"]
    return [release.gang.ref.name for release in allowed.releases], rules


def test_no_node_is_ordered_that_the_budget_has_no_power_for():
    assert ordered(view([node("n")]), decision(a=3, b=2), event(2.5)) == ({"a": 2}, [Rule.POWER_BUDGET])


def test_orders_are_bounded_from_the_notice_on_and_no_earlier():
    cluster, want = view(), decision(a=3)
    assert ordered(cluster, want, event(0.9, starts_in=1800.0)) == ({"a": 1}, [Rule.POWER_BUDGET])
    assert ordered(cluster, want, event(0.9, starts_in=1800.0, notice_seconds=600.0)) == ({"a": 3}, [])
    assert ordered(cluster, want, event(0.9, starts_in=-3600.0)) == ({"a": 3}, [])


def test_nodes_that_boot_were_ordered_or_are_not_seen_yet_have_their_power():
    state = after_order(GuardrailState(), order("hidden", age=0.0))
    cluster = view([booting("n")], orders=[order("o")])
    assert ordered(cluster, decision(a=5), event(4 * IDLE_KW), state=state)[0] == {"a": 1}


def test_a_job_waits_that_would_break_the_budget_and_a_smaller_one_goes():
    cluster = view([node("n")], queue=[gang("g", gpus=4), gang("h", gpus=2)])
    assert released(cluster, [0, 0], event(IDLE_KW + 3 * BUSY_GPU_KW)) == (["h"], [Rule.POWER_BUDGET])


def test_two_jobs_do_not_get_the_same_power():
    cluster = view([node("n")], queue=[gang("g", gpus=2), gang("h", gpus=2)])
    assert released(cluster, [0, 0], event(IDLE_KW + 3 * BUSY_GPU_KW)) == (["g"], [Rule.POWER_BUDGET])


def test_pods_that_were_released_and_do_not_run_yet_have_their_power():
    first = gang("g", gpus=2)
    cluster = view([node("n")], queue=[first, gang("h", gpus=2)])
    state = after_release(GuardrailState(), [each.uid for each in first.pods], "a", NOW)
    assert released(cluster, [0, 0], event(IDLE_KW + 3 * BUSY_GPU_KW), state=state) == ([], [Rule.POWER_BUDGET])


def test_jobs_start_until_the_event_does():
    cluster = view([node("n")], queue=[gang("g")])
    assert released(cluster, [0], event(IDLE_KW, starts_in=60.0)) == (["g"], [])
    assert released(cluster, [0], event(IDLE_KW)) == ([], [Rule.POWER_BUDGET])


def test_what_a_job_waits_for_is_said():
    cluster = view([node("n")], queue=[gang("g")])
    (verdict,) = (each for each in run(cluster, decision(placement=[0]), event(1.0)).verdicts if each.kind == "gang")
    assert verdict.subject == "default/g"
    assert verdict.reason == (
        "it would draw 2 kW more, and the grid event until 1970-01-02T04:45:40Z leaves 0.2 kW of 1 kW"
    )


def test_jobs_that_run_keep_their_gpus_although_the_budget_is_broken():
    worker = pod("w", node="n", gpus=8)
    allowed = run(view([node("n", pods=[worker])], pods=[worker]), decision(a=1), event(0.1))
    assert (allowed.removals, allowed.consolidations, allowed.orders) == ((), (), {})


def test_gpus_that_draw_more_than_is_believed_leave_less_of_the_budget():
    """400 W of the host and 8 idle GPUs of 50 W are believed; 1.2 kW of the GPUs alone are 0.8 kW more."""
    believed, measured = node("n"), node("n", measured_gpu_watts=1200.0)
    budget = event(4 * IDLE_KW)
    assert ordered(view([believed]), decision(a=9), budget)[0] == {"a": 3}
    assert ordered(view([measured]), decision(a=9), budget)[0] == {"a": 2}


def test_gpus_that_draw_less_than_is_believed_leave_no_more():
    assert ordered(view([node("n", measured_gpu_watts=0.0)]), decision(a=9), event(4 * IDLE_KW))[0] == {"a": 3}


def test_what_was_measured_is_compared_over_all_nodes_of_a_pool_that_have_a_meter():
    """A node that draws 0.4 kW less than believed makes up for one that draws 0.4 kW more."""
    nodes = [node("n", measured_gpu_watts=800.0), node("m", measured_gpu_watts=0.0), node("o")]
    assert ordered(view(nodes), decision(a=9), event(4 * IDLE_KW))[0] == {"a": 1}


def test_measured_power_counts_with_pue():
    limits = config(a={"power": PowerConfig(50.0, 300.0, 400.0, pue=2.0)}, grid_events=(event(8 * IDLE_KW),))
    cluster = view([node("n", measured_gpu_watts=1200.0)])
    allowed = evaluate(cluster, decision(a=9), GuardrailState(), limits)
    assert allowed.orders == {"a": 2}, "6.4 kW less 2 x 1.6 kW, at 1.6 kW a node"


def test_an_event_is_looked_at_when_it_becomes_known_starts_and_ends():
    limits = config(grid_events=(event(1.0, starts_in=7200.0),))
    found = [
        seconds - NOW for moment, seconds in moments(view(), GuardrailState(), limits) if moment is Moment.GRID_EVENT
    ]
    assert found == [3600.0, 7200.0, 10800.0]


@settings(deadline=None, max_examples=200)
@given(
    gpus=st.lists(st.integers(1, 8), max_size=6),
    nodes=st.integers(0, 6),
    kw=st.floats(0.0, 20.0),
    starts_in=st.sampled_from([-60.0, 600.0]),
)
def test_orders_and_starts_together_stay_within_the_budget(gpus, nodes, kw, starts_in):
    """What is on already may be above it; then nothing more begins."""
    cluster = view(
        [node(f"n{index}") for index in range(nodes)],
        queue=[gang(f"g{index}", gpus=each) for index, each in enumerate(gpus)],
    )
    allowed = run(cluster, decision(a=9, placement=[0] * len(gpus)), event(kw, starts_in))
    more = sum(count * IDLE_KW for count in allowed.orders.values())
    more += sum(release.gang.pending_gpu_milli / 1000.0 * BUSY_GPU_KW for release in allowed.releases)
    began = bool(allowed.orders) or (starts_in < 0.0 and bool(allowed.releases))
    assert not began or starts_in > 0.0 or nodes * IDLE_KW + more <= kw + 1e-9
    assert not allowed.orders or (nodes + allowed.orders["a"]) * IDLE_KW <= kw + 1e-9


def test_the_next_event_counts_once_the_one_before_it_is_over():
    events = (event(1.0), event(2.0, starts_in=3540.0))
    assert event_at(events, NOW) is events[0]
    assert event_at(events, NOW + 3540.0) is events[1]
    assert event_at(events, NOW + 99_999.0) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": "at noon"}, "start is 'at noon'; write it as 2026-07-01T17:00:00Z"),
        ({"duration_seconds": 0.0}, "duration_seconds is 0"),
        ({"power_kw": -1.0}, "power_kw is -1"),
        ({"notice_seconds": -1.0}, "notice_seconds is -1"),
    ],
)
def test_an_event_without_meaning_is_refused(change, message):
    with pytest.raises(GridEventError, match=message):
        LiveGridEvent(**{"start": "2026-07-01T17:00:00Z", "duration_seconds": 60.0, "power_kw": 5.0, **change})


def test_events_that_overlap_are_refused():
    with pytest.raises(GridEventError, match="list them in order of time, and merge those that overlap"):
        GuardrailConfig(grid_events=(event(1.0), event(2.0)))
