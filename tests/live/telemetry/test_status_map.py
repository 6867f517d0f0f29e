"""The status ConfigMap: what stands in it, and when it is written."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml

from autoscaler.live.clock import ManualClock
from autoscaler.live.grid_config import LiveGridEvent
from autoscaler.live.guardrails import (
    GuardrailState,
    PoolBackoff,
    after_consolidation,
    after_order,
    after_order_failure,
    after_removal_failure,
    evaluate,
)
from autoscaler.live.names import STATUS_CONFIG_MAP
from autoscaler.live.objects import ObjectRef, SuspendedBy, SuspendedJob
from autoscaler.live.telemetry import status_map
from autoscaler.live.telemetry.bookkeeper import Bookkeeper
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.status_map import StatusWriter, cluster_status
from tests.live.fake_api import FakeApi
from tests.live.views import NOW, booting, config, decision, gang, node, order, unready, view

PATH = f"/api/v1/namespaces/kube-system/configmaps/{STATUS_CONFIG_MAP}"


def status(cluster, want=None, state=None, settings=None):
    settings = settings or config()
    allowed = evaluate(cluster, want or decision(a=10, b=10), state or GuardrailState(), settings)
    return cluster_status(cluster, allowed, settings)


def test_a_grid_event_shows_its_budget_and_the_jobs_that_it_suspended():
    event = LiveGridEvent(datetime.fromtimestamp(NOW - 60.0, UTC).isoformat(), 3600.0, 2.0)
    job = SuspendedJob(ObjectRef("Job", "x", "default", "u", "batch/v1"), NOW - 30.0, 8000)
    mine = SuspendedJob(ObjectRef("Job", "y", "default", "v", "batch/v1"), NOW - 30.0, 8000, suspended=False)
    shown = status(view(suspended=(job, mine)), settings=config(grid_events=(event,)))
    assert shown["gridEvent"] == {"budgetWatts": 2000.0, "drawnWatts": 0.0, "suspended": ["default/x"]}
    assert "gridEvent" not in status(view())


def test_the_jobs_that_the_policy_suspended_stand_apart():
    job = SuspendedJob(ObjectRef("Job", "x", "default", "u", "batch/v1"), NOW, 8000, by=SuspendedBy.POLICY, pool="a")
    shown = status(view(suspended=(job,)))
    assert shown["policySuspended"] == ["default/x"]
    assert "gridEvent" not in shown
    assert "policySuspended" not in status(view())


def test_each_pool_says_its_bounds_and_how_many_nodes_are_how_far():
    cluster = view([node("n"), booting("s"), unready("u"), node("x", "b")], orders=[order("o")])
    pool_a, pool_b = status(cluster, decision(a=3, b=1), settings=config(a={"min_nodes": 1, "max_nodes": 5}))[
        "nodeGroups"
    ]
    assert pool_a["name"] == "a"
    counts = {"registered": 3, "ready": 1, "notStarted": 2, "beingDeleted": 0, "unready": 1}
    assert pool_a["health"]["nodeCounts"] == counts
    assert (pool_a["health"]["minSize"], pool_a["health"]["maxSize"]) == (1, 5)
    assert pool_a["health"]["cloudProviderTarget"] == 4
    assert pool_a["health"]["status"] == "Unhealthy"
    assert pool_b["health"]["status"] == "Healthy"


def test_the_whole_cluster_is_the_sum_of_its_pools():
    total = status(view([node("n"), node("x", "b")]))["clusterWide"]
    assert total["health"]["nodeCounts"]["ready"] == 2
    assert total["health"]["status"] == "Healthy"


def test_too_many_unready_nodes_are_an_unhealthy_cluster():
    total = status(view([unready(f"u{index}") for index in range(5)]))["clusterWide"]
    assert total["health"]["status"] == "Unhealthy"


def test_scale_up_is_in_progress_from_the_order_on():
    assert status(view(), decision())["nodeGroups"][0]["scaleUp"]["status"] == "NoActivity"
    wanted = view(queue=[gang("g")])
    assert status(wanted, decision(a=1))["nodeGroups"][0]["scaleUp"]["status"] == "InProgress"
    assert status(view(), state=after_order(GuardrailState(), order("o")))["clusterWide"]["scaleUp"] == {
        "status": "InProgress"
    }


def test_a_pool_that_failed_is_in_backoff():
    settings = config()
    state = after_order_failure(GuardrailState(), "b", NOW, settings.guardrails.backoff)
    found = status(view(), decision(), state, settings)
    assert [group["scaleUp"]["status"] for group in found["nodeGroups"]] == ["NoActivity", "Backoff"]


def test_idle_nodes_are_candidates_of_scale_down():
    found = status(view([node("n")]), decision(a=1))
    assert found["nodeGroups"][0]["scaleDown"] == {"status": "CandidatesPresent", "candidates": 1}
    assert found["nodeGroups"][1]["scaleDown"] == {"status": "NoCandidates", "candidates": 0}


@pytest.fixture
def written(monkeypatch):
    """An API server and a writer with its own wall clock."""
    wall = [100.0]
    monkeypatch.setattr(status_map.time, "monotonic", lambda: wall[0])
    api, clock = FakeApi(), ManualClock(NOW)
    return api, StatusWriter(api, config(), clock), clock, wall


def reconcile(writer, cluster, state=None):
    allowed = evaluate(cluster, decision(a=10), GuardrailState(), config())
    writer.update(cluster, allowed, allowed.state if state is None else state)


def content(api):
    return yaml.safe_load(api.objects[PATH]["data"]["status"])


def test_it_is_made_where_it_is_missing_and_patched_from_then_on(written):
    api, writer, _, wall = written
    reconcile(writer, view())
    writer.flush()
    wall[0] += 60.0
    reconcile(writer, view())
    writer.flush()
    assert [method for method, _ in api.writes] == ["POST", "PATCH"]


def test_it_is_written_at_most_every_ten_seconds_and_then_with_the_latest(written):
    api, writer, _, wall = written
    reconcile(writer, view())
    writer.flush()
    reconcile(writer, view([node("n")]))
    wall[0] += 9.0
    writer.flush()
    assert content(api)["nodeGroups"][0]["health"]["nodeCounts"]["ready"] == 0
    wall[0] += 1.0
    writer.flush()
    assert content(api)["nodeGroups"][0]["health"]["nodeCounts"]["ready"] == 1


def test_it_says_when_it_looked_and_since_when_it_is_so(written):
    api, writer, _, wall = written
    for seconds, nodes in ((0.0, ()), (600.0, ()), (1200.0, [node("n")])):
        reconcile(writer, view(nodes, now=NOW + seconds))
        wall[0] += 60.0
        writer.flush()
        found = content(api)["nodeGroups"][0]
        health, down = found["health"], found["scaleDown"]
        assert health["lastTransitionTime"] == "1970-01-02T03:46:40Z"
    assert health["lastProbeTime"] == down["lastProbeTime"] == down["lastTransitionTime"] == "1970-01-02T04:06:40Z"


def test_what_could_not_be_written_is_written_later(written):
    api, writer, _, wall = written
    api.before = lambda method, path: (_ for _ in ()).throw(OSError("frozen"))
    reconcile(writer, view())
    with pytest.raises(OSError, match="frozen"):
        writer.flush()
    api.before = lambda method, path: None
    wall[0] += 60.0
    writer.flush()
    assert PATH in api.objects


def remembered():
    """Cooldowns and backoffs of a process that ordered, moved jobs, failed to order and failed to remove."""
    times = config().guardrails.backoff
    state = after_order(GuardrailState(), order("o", age=30.0))
    state = after_order_failure(state, "b", NOW - 400.0, times)
    state = after_order_failure(state, "b", NOW - 20.0, times)
    state = after_consolidation(state, "a", NOW - 50.0)
    return after_removal_failure(state, NOW - 10.0)


def restored(api, now=NOW, settings=None):
    return StatusWriter(api, settings or config(), ManualClock(now)).restore()


def test_a_restart_remembers_cooldowns_and_backoffs_and_nothing_else(written):
    api, writer, *_ = written
    state = remembered()
    reconcile(writer, view(), state)
    writer.flush()
    found = restored(api, NOW + 60.0)
    assert (found.scaled_up, found.removal_failed_seconds) == (state.scaled_up, state.removal_failed_seconds)
    assert found.backoffs == state.backoffs
    assert found.consolidated == {"a": NOW - 50.0}
    assert found.backoffs["b"].duration_seconds == 600.0, "the doubling goes on"
    assert not found.orders


def test_what_it_remembers_is_written_at_once(written):
    api, writer, *_ = written
    reconcile(writer, view())
    writer.flush()
    reconcile(writer, view(), remembered())
    writer.flush()
    assert restored(api).scaled_up == {"a": NOW - 30.0}
    writes = len(api.writes)
    reconcile(writer, view(), remembered())
    writer.flush()
    assert len(api.writes) == writes, "the rest waits its ten seconds"


def test_the_first_process_remembers_nothing(written):
    api, writer, *_ = written
    assert restored(api) == GuardrailState()
    reconcile(writer, view())
    writer.flush()
    del api.objects[PATH]["data"]["memory"]  # an older version wrote it
    assert restored(api) == GuardrailState()


DAMAGED = ("", "{", "[]", "null", '{"scaled_up": 1, "backoffs": {}}', '{"scaled_up": {}}')


@pytest.mark.parametrize("text", [*DAMAGED, '{"scaled_up": {}, "backoffs": {}, "consolidated": 1}'])
def test_a_damaged_memory_is_no_memory(written, text):
    api, writer, *_ = written
    reconcile(writer, view())
    writer.flush()
    api.objects[PATH]["data"]["memory"] = text
    assert restored(api) == GuardrailState()


def test_an_odd_memory_costs_one_waiting_time_at_most(written):
    """Times to come, endless backoffs, values of another kind, pools that are gone."""
    api, writer, *_ = written
    reconcile(writer, view())
    writer.flush()
    backoffs = {
        "a": {"failed": NOW + 1e6, "duration_seconds": 1e9},
        "b": {"failed": "now", "duration_seconds": 300.0},
        "gone": {"failed": NOW, "duration_seconds": 300.0},
    }
    ups = {"a": NOW + 1e6, "b": None, "gone": NOW}
    record = {"scaled_up": ups, "consolidated": ups, "removal_failed": True, "backoffs": backoffs}
    api.objects[PATH]["data"]["memory"] = json.dumps(record)
    longest = config().guardrails.backoff.max_seconds
    assert restored(api) == GuardrailState(
        scaled_up={"a": NOW}, consolidated={"a": NOW}, backoffs={"a": PoolBackoff(NOW + longest, longest, NOW)}
    )


def kept_books(api, nows, text=None):
    """Books over some looks at one idle node, written to the status; a text takes the place of what stands there."""
    clock = ManualClock(nows[0])
    books = Bookkeeper(config(), clock, Metrics())
    writer = StatusWriter(api, config(), clock, "", books)
    writer.restore()
    for now in nows:
        clock.seconds = now
        cluster = replace(view([node("n")]), now_seconds=now)
        books.observe(cluster)
        writer.update(cluster, evaluate(cluster, decision(a=1), GuardrailState(), config()), GuardrailState())
    writer.flush()
    if text is not None:
        api.objects[PATH]["data"]["account"] = text
    return books


def test_the_account_stands_in_the_status_and_a_restart_goes_on_with_it():
    api = FakeApi()
    first = kept_books(api, [NOW, NOW + 100.0])
    shown = yaml.safe_load(api.objects[PATH]["data"]["status"])
    assert shown["account"]["energyKwh"]["idle"] == pytest.approx(578.4 * 100 / 3.6e6)
    assert shown["signals"] == []
    second = kept_books(api, [NOW + 160.0, NOW + 260.0])
    assert second.account.energy.idle == pytest.approx(2 * first.account.energy.idle)
    assert second.report()["unobservedSeconds"] == 60.0


def test_a_damaged_account_begins_at_zero(caplog):
    api = FakeApi()
    kept_books(api, [NOW, NOW + 100.0], text="{")
    books = kept_books(api, [NOW + 160.0])
    assert books.account.energy.total == 0.0
    assert "the account begins at zero" in caplog.text
