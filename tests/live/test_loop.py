"""When the loop decides, in which order it acts, and what it does with stale data."""

import gc
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autoscaler.live.clock import ManualClock
from autoscaler.live.config import HttpSettings, LivePool
from autoscaler.live.guardrail_config import BackoffTimes
from autoscaler.live.guardrails import Allowed, GuardrailState, after_order_failure, with_backlog
from autoscaler.live.kube.client import UnreachableError
from autoscaler.live.kube.lease import LeaseLostError
from autoscaler.live.loop import DryRun, Loop
from autoscaler.live.model import ClusterView
from autoscaler.live.names import (
    ANNOTATION_REMOVAL_STEP,
    LABEL_POOL,
    METRIC_ENERGY,
    METRIC_ERRORS,
    METRIC_GUARDRAIL,
    METRIC_HELD_DECISIONS,
    METRIC_NODES,
    METRIC_UNSERVED_PODS,
    TAINT_TO_BE_DELETED,
)
from autoscaler.live.observer import Observer
from autoscaler.live.policy.decide import make_decider
from autoscaler.live.providers import make_providers
from autoscaler.live.replay import replay, summarize
from autoscaler.live.telemetry.audit import AuditWriter, Header, read_audit
from autoscaler.live.telemetry.bookkeeper import Bookkeeper
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import Health
from autoscaler.live.view.store import Resource, Store
from autoscaler.live.wake import Wake
from envs.gpu_cluster.codec import CodecLayout, Pool, fingerprint
from tests.live import raw
from tests.live.fake_api import FakeApi
from tests.live.raw import START
from tests.live.views import decision_of


class Recorder:
    """Keeps Events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def event(self, about: Any, event_type: str, reason: str, message: str) -> None:
        self.events.append((reason, f"{about.name}: {message}"))

    def lease_event(self, event_type: str, reason: str, message: str) -> None:
        self.events.append((reason, message))


class Script(ManualClock):
    """A clock on which things happen at their time, while somebody waits."""

    def __init__(self, wake: Wake) -> None:
        super().__init__(START)
        self.wake = wake
        self.plan: list[tuple[float, Any]] = []

    def wait(self, event: threading.Event, clock_seconds: float) -> bool:
        end = self.seconds + max(0.0, clock_seconds)
        for at, happen in sorted(self.plan, key=lambda entry: entry[0]):
            if event.is_set():
                break
            if self.seconds <= START + at <= end:
                self.plan.remove((at, happen))
                self.seconds = START + at
                happen()
        if not event.is_set():
            self.seconds = end
        return event.is_set()


class Rig:
    """A loop over a store that tests fill by hand."""

    def __init__(self, actor: Any = None, audit: AuditWriter | None = None, **settings: Any) -> None:
        pools = settings.pop("pools", (LivePool("gpu", max_nodes=4),))
        self.config = raw.config(*pools, **settings)
        self.wake, self.metrics, self.recorder = Wake(), Metrics(), Recorder()
        self.clock = Script(self.wake)
        self.observer = Observer(self.config, self.clock, self.metrics, self.wake)
        self.stale: tuple[str, ...] = ()
        self.observer.stale = lambda: self.stale  # type: ignore[method-assign]
        self.decided_at: list[float] = []
        books = self.books = Bookkeeper(self.config, self.clock, self.metrics)
        self.lead = True
        self.loop = Loop(
            self.config,
            self.clock,
            self.observer,
            make_decider("reactive", self.config.codec),
            actor or DryRun(self.config, make_providers(FakeApi(), self.config, self.clock)),
            self.metrics,
            self.recorder,
            Health(600.0),
            self.wake,
            audit,
            self.check,
            books=books,
        )

    @property
    def store(self) -> Store:
        return self.observer.store

    def check(self) -> None:
        if not self.lead:
            raise LeaseLostError("lost")
        self.decided_at.append(self.clock.seconds - START)

    def run(self, count: int) -> list[float]:
        self.loop.run(threading.Event(), count)
        return self.decided_at

    def at(self, seconds: float, happen: Any) -> None:
        self.clock.plan.append((seconds, happen))


def test_without_events_it_decides_once_per_resync_interval() -> None:
    assert Rig().run(3) == [0.0, 600.0, 1200.0]


def test_an_event_is_decided_on_at_once_and_what_follows_after_the_settle_pause() -> None:
    rig = Rig(decision_interval_seconds=600.0)
    for at, name in ((5.0, "a"), (5.4, "b"), (5.9, "c"), (6.5, "d"), (200.0, "e")):
        rig.at(at, partial(rig.store.apply, Resource.PODS, "ADDED", raw.pod(name)))
    assert rig.run(5) == [0.0, 5.0, 6.0, 7.0, 200.0]


def test_a_setpoint_is_held_for_the_decision_interval_and_jobs_are_not() -> None:
    rig = Rig(decision_interval_seconds=100.0)
    for at, name in ((30.0, "a"), (150.0, "b")):
        rig.at(at, partial(rig.store.apply, Resource.PODS, "ADDED", raw.pod(name)))
    seen: list[tuple[float, ...]] = []
    held, setpoint = Pool.SETPOINT_HELD, Pool.SETPOINT

    class Actor:
        def carry_out(self, allowed: Allowed, view: ClusterView) -> GuardrailState:
            pool = rig.observer.observe(allowed.state, rig.loop._setpoints).snapshot.pools[0]
            seen.append((rig.clock.seconds - START, pool[held], pool[setpoint], allowed.orders.get("gpu", 0)))
            return allowed.state

    rig.loop._actor = Actor()
    rig.run(3)
    reactive = CodecLayout().setpoint(600.0, 0.0)
    assert seen == [(0.0, 1.0, reactive, 0), (30.0, 1.0, reactive, 1), (150.0, 0.0, reactive, 2)]


def test_what_is_no_event_for_the_simulator_wakes_nobody() -> None:
    rig = Rig()
    rig.store.apply(Resource.NODES, "ADDED", raw.node("n", pool=None, gpus=None))
    rig.at(100.0, lambda: rig.store.apply(Resource.NODES, "MODIFIED", raw.node("n", pool=None, gpus=None)))
    rig.at(101.0, lambda: rig.store.apply(Resource.PODS, "ADDED", raw.pod("web", gpus=0, gated=False)))
    rig.at(102.0, lambda: rig.store.apply(Resource.PODS, "DELETED", raw.pod("web", gpus=0, gated=False)))
    assert rig.run(2) == [0.0, 600.0]


def test_a_node_that_becomes_ready_wakes_it() -> None:
    rig = Rig()
    rig.store.apply(Resource.NODES, "ADDED", raw.node("n", ready=False, gpus=None))
    rig.at(130.0, lambda: rig.store.apply(Resource.NODES, "MODIFIED", raw.node("n", gpus=None)))
    rig.at(150.0, lambda: rig.store.apply(Resource.NODES, "MODIFIED", raw.node("n")))
    assert rig.run(2) == [0.0, 150.0]


def test_an_idle_node_that_passes_an_age_wakes_it() -> None:
    rig = Rig()
    rig.store.replace(Resource.NODES, [raw.node("n")])
    assert rig.run(6) == [0.0, 60.0, 120.0, 300.0, 600.0, 900.0]


def test_stale_data_hold_the_decision_and_show() -> None:
    acted: list[Allowed] = []

    class Actor:
        def carry_out(self, allowed: Allowed, view: ClusterView) -> GuardrailState:
            acted.append(allowed)
            return allowed.state

    rig = Rig(Actor())
    rig.stale = ("pods",)
    assert rig.run(3) == [0.0, 10.0, 20.0]
    assert not acted
    assert rig.metrics.value(METRIC_HELD_DECISIONS) == 3
    rig.stale = ()
    rig.run(1)
    assert len(acted) == 1


def test_a_lost_lease_ends_it_before_the_next_reconcile() -> None:
    rig = Rig()
    rig.lead = False
    with pytest.raises(LeaseLostError):
        rig.run(1)
    assert rig.metrics.value(METRIC_NODES, "gpu", "idle") == 0.0


def test_stop_ends_it_after_the_reconcile_in_hand() -> None:
    stop = threading.Event()
    finished: list[str] = []

    class Actor:
        def carry_out(self, allowed: Allowed, view: ClusterView) -> GuardrailState:
            stop.set()
            finished.append("whole")
            return allowed.state

    Rig(Actor()).loop.run(stop)
    assert finished == ["whole"]


def test_a_call_that_fails_costs_one_pass_and_not_the_process() -> None:
    class Actor:
        def carry_out(self, allowed: Allowed, view: ClusterView) -> GuardrailState:
            raise UnreachableError(0, "Timeout", "no answer")

    rig = Rig(Actor())
    assert rig.run(3) == [0.0, 10.0, 20.0]
    assert rig.metrics.value(METRIC_ERRORS, "unreachable") == 3


def test_rules_that_bite_are_counted_and_told_to_waiting_jobs() -> None:
    rig = Rig(pools=(LivePool("gpu", max_nodes=1),))
    rig.store.replace(Resource.PODS, [raw.pod("a"), raw.pod("b"), raw.pod("huge", gpus=99)])
    rig.run(1)
    assert rig.metrics.value(METRIC_GUARDRAIL, "no-ready-gpus") == 2
    assert [what for what in rig.recorder.events if "huge" in what[1]] == [
        ("NotTriggerScaleUp", "huge: pool gpu: does not fit: GPUs: a pod requests 99 of nvidia.com/gpu, a node has 8")
    ]


def test_a_job_whose_node_is_booting_hears_that_it_waits_for_it() -> None:
    rig = Rig(pools=(LivePool("gpu", max_nodes=1),))
    rig.store.replace(Resource.PODS, [raw.pod("first"), raw.pod("second")])
    rig.store.replace(Resource.NODES, [raw.node("gpu-0", gpus=None)])
    rig.run(1)
    assert {(reason, words.split(":")[0]) for reason, words in rig.recorder.events} == {
        ("WaitingForNodes", "first"),
        ("NotTriggerScaleUp", "second"),
    }


def test_a_pod_that_no_pool_can_serve_is_told_what_of_it() -> None:
    rig = Rig()
    slices = {"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/mig-1g.10gb": "1"}}}]}
    rig.store.replace(Resource.PODS, [raw.pod("slice", 0, spec=slices)])
    rig.run(1)
    message = "no node is ordered for it: it requests nvidia.com/mig-1g.10gb, and the pools serve nvidia.com/gpu only"
    assert rig.recorder.events == [("NotTriggerScaleUp", f"slice: {message}")]
    assert rig.metrics.value(METRIC_UNSERVED_PODS, "accelerator") == 1.0
    assert rig.metrics.value(METRIC_UNSERVED_PODS, "provisioning-request") == 0.0


def test_each_decision_is_in_the_audit_before_it_is_carried_out(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    layout = CodecLayout()
    audit = AuditWriter(path, Header(layout, fingerprint(layout), "reactive", False, raw.config()))
    seen: list[list[str]] = []

    class Actor:
        def carry_out(self, allowed: Allowed, view: ClusterView) -> GuardrailState:
            seen.append([record["kind"] for _, record in read_audit(path)])
            return allowed.state

    rig = Rig(Actor(), audit)
    rig.store.replace(Resource.PODS, [raw.pod("a")])
    rig.run(1)
    audit.close()
    assert seen == [["header", "decision", "verdicts", "account"]]
    records = [record for _, record in read_audit(path)]
    assert records[2]["orders"] == {"gpu": 1}


def test_what_was_spent_is_counted_while_data_are_stale_too_and_a_replay_passes_over_it(tmp_path: Path) -> None:
    path, layout = tmp_path / "audit.jsonl", CodecLayout()
    audit = AuditWriter(path, Header(layout, fingerprint(layout), "reactive", False, raw.config()))
    rig = Rig(None, audit)
    rig.store.replace(Resource.NODES, [raw.node("n", "gpu")])
    rig.run(2)
    rig.stale = ("pods",)
    rig.loop.reconcile()
    rig.clock.seconds += 10.0
    rig.loop.reconcile()
    audit.close()
    watts, seconds = 578.4, rig.books.account.observed_ms / 1000.0
    assert seconds == rig.clock.seconds - START
    assert rig.metrics.value(METRIC_ENERGY, "gpu", "idle") == pytest.approx(watts * seconds / 3.6e6)
    spent = [record for _, record in read_audit(path) if record["kind"] == "account"]
    assert [record["observedSeconds"] for record in spent] == [0.0, rig.decided_at[1]]
    assert spent[1]["energyKwh"]["idle"] == pytest.approx(watts * rig.decided_at[1] / 3.6e6)
    summary = summarize(replay(path, lambda header: make_decider("reactive", header.layout)))
    assert (summary.decisions, summary.different) == (2, [])


def test_jobs_behind_the_window_go_to_their_default_pools() -> None:
    """Pool a grows to two nodes for the first two jobs, and the third one overflows."""
    import numpy as np

    layout = CodecLayout(window_slots=1)
    rig = Rig(pools=(LivePool("a", 2), LivePool("b", 4)), layout=layout)
    rig.store.replace(Resource.PODS, [raw.pod(name) for name in "pqr"])
    seen = rig.observer.observe(GuardrailState())
    assert seen.snapshot.pools[:2, Pool.BACKLOG_GPUS].tolist() == [8.0, 8.0]
    decision = with_backlog(decision_of(np.zeros(4, np.int64), np.array([1])), seen.view)
    assert decision.placement.tolist() == [1, 0, 1]


@pytest.mark.parametrize("window_slots", [0, 1, 8])
@pytest.mark.parametrize("gated", [True, False])
def test_a_job_that_its_first_pool_cannot_take_raises_the_next_one_and_no_other(window_slots: int, gated: bool) -> None:
    """Pool a has one node, which is full; b and c have none."""
    pools = (LivePool("a", 1), LivePool("b", 4), LivePool("c", 4))
    rig = Rig(pools=pools, layout=CodecLayout(window_slots=window_slots))
    rig.store.replace(Resource.NODES, [raw.node("n", "a")])
    status = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}
    waiting = raw.pod("p", gated=gated, status={} if gated else status)
    rig.store.replace(Resource.PODS, [raw.pod("x", node_name="n"), waiting])
    done = rig.loop.reconcile()
    assert done.allowed is not None
    assert dict(done.allowed.orders) == {"b": 1}


def test_the_audit_decides_again_where_jobs_behind_the_window_went(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    rig = Rig(pools=(LivePool("a", 1), LivePool("b", 4)), layout=CodecLayout(window_slots=1))
    audit = AuditWriter(path, Header(rig.config.codec, fingerprint(rig.config.codec), "reactive", True, rig.config))
    rig = Rig(audit=audit, pools=(LivePool("a", 1), LivePool("b", 4)), layout=CodecLayout(window_slots=1))
    rig.store.replace(Resource.PODS, [raw.pod(name) for name in "pqr"])
    done = rig.loop.reconcile()
    audit.close()
    assert done.allowed is not None
    assert dict(done.allowed.orders) == {"a": 1, "b": 2}
    summary = summarize(replay(path, lambda header: make_decider("reactive", header.layout)))
    assert (summary.decisions, summary.verdicts, summary.different) == (1, 1, [])


@pytest.mark.parametrize("change", ["deleted", "unready", "without its GPUs", "deleted while it boots"])
def test_a_node_that_is_lost_wakes_it(change: str) -> None:
    rig = Rig(pools=(LivePool("gpu", 4, min_nodes=1),))
    boots = change == "deleted while it boots"
    node = raw.node("n", ready=False, gpus=None) if boots else raw.node("n")
    rig.store.apply(Resource.NODES, "ADDED", node)
    after = raw.node("n", ready=change != "unready", gpus=None if change == "without its GPUs" else 8)
    event = ("DELETED", node) if "deleted" in change else ("MODIFIED", after)
    rig.at(200.0, lambda: rig.store.apply(Resource.NODES, *event))
    assert 200.0 in rig.run(4)


def test_a_node_that_we_remove_wakes_nobody() -> None:
    rig = Rig()
    taint = {"key": TAINT_TO_BE_DELETED, "effect": "NoSchedule"}
    annotated = {"annotations": {ANNOTATION_REMOVAL_STEP: "tainted"}, "labels": {LABEL_POOL: "gpu"}}
    leaving = raw.node("n", ready=False, gpus=None, spec={"taints": [taint]})
    leaving["metadata"] |= annotated
    rig.store.apply(Resource.NODES, "ADDED", raw.node("n", ready=False, gpus=None))
    rig.at(130.0, lambda: rig.store.apply(Resource.NODES, "MODIFIED", leaving))
    rig.at(140.0, lambda: rig.store.apply(Resource.NODES, "DELETED", leaving))
    assert rig.run(2) == [0.0, 600.0]


def test_the_end_of_a_backoff_wakes_it() -> None:
    class Actor:
        def carry_out(self, allowed: Allowed, view: ClusterView) -> GuardrailState:
            if not allowed.orders:
                return allowed.state
            return after_order_failure(allowed.state, "gpu", view.now_seconds, BackoffTimes(initial_seconds=250.0))

    rig = Rig(Actor())
    rig.store.replace(Resource.PODS, [raw.pod("a")])
    assert rig.run(3) == [0.0, 250.0, 750.0]


def test_the_end_of_the_time_for_a_boot_wakes_it() -> None:
    rig = Rig(resync_interval_seconds=5000.0, http=HttpSettings(activity_timeout_seconds=5000.0))
    rig.store.apply(Resource.NODES, "ADDED", raw.node("n", ready=False, gpus=None))
    assert rig.run(2) == pytest.approx([0.0, 900.0], abs=0.01)


def test_what_a_reconcile_saw_is_freed_at_once_and_needs_no_garbage_collector() -> None:
    """The collector hardly ever runs in a live process, see `collector`: a cycle would keep whole views."""
    rig = Rig(pools=(LivePool("gpu", max_nodes=2),))
    rig.store.replace(Resource.NODES, [raw.node("n")])
    rig.store.replace(Resource.PODS, [raw.pod("a", node_name="n"), raw.pod("b"), raw.pod("c")])
    rig.run(1)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        rig.run(2)
        gc.collect()
        kept = [type(each).__name__ for each in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert "ClusterView" not in kept
    assert "PodView" not in kept
