"""The lever *suspension* on a cluster: which jobs the policy stops, for how long, when again, and when they go on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.live.config import LiveConfig
from autoscaler.live.disruption_config import DisruptionConfig, DisruptionReason, DisruptionWindow, Schedule
from autoscaler.live.guardrail_config import StepLimits, SuspensionLimits
from autoscaler.live.guardrails import Allowed, GuardrailState, Rule, after_suspension, evaluate
from autoscaler.live.guardrails.record import pack, unpack
from autoscaler.live.model import ClusterView, GangView
from autoscaler.live.moments import Moment, moments
from autoscaler.live.names import ANNOTATION_CHECKPOINTABLE, ANNOTATION_FLEXIBILITY
from autoscaler.live.objects import ObjectRef, SuspendedBy, SuspendedJob
from autoscaler.live.policy.snapshot import fill_snapshot
from autoscaler.live.telemetry.audit import allowed_dict
from autoscaler.live.view.submissions import Submissions
from envs.gpu_cluster.codec import SUSPENSION_CHOICES, CodecLayout, Pool, Slot, write_mask
from tests.live.guardrails.test_consolidations import cluster
from tests.live.guardrails.test_power_budget import BUSY_GPU_KW, IDLE_KW, event
from tests.live.guardrails.test_suspensions import SAFE, TIER_3
from tests.live.guardrails.test_suspensions import job as job_of
from tests.live.guardrails.test_suspensions import limits as settings_of
from tests.live.views import NOW, decision, gang

NONE, SUSPEND, RESUME = range(len(SUSPENSION_CHOICES))
LONG_AGO = NOW - 7200.0


def job(name: str, gpus: int = 4, **fields: Any) -> GangView:
    fields.setdefault("running_since_seconds", LONG_AGO)
    return job_of(name, gpus, **fields)


def config(*events: Any, lever: bool = True, **guardrails: Any) -> LiveConfig:
    return replace(settings_of(*events, **guardrails), codec=CodecLayout(suspension=lever))


def judge(seen: ClusterView, choice: int, *events: Any, state: GuardrailState | None = None, **options: Any) -> Allowed:
    want = decision(a=len(seen.pools[0].nodes))._replace(suspension=np.array([choice, 0, 0, 0]))
    return evaluate(seen, want, state or GuardrailState(), config(*events, **options))


def suspended(allowed: Allowed) -> list[str]:
    return [each.gang.ref.name for each in allowed.suspensions]


def resumed(allowed: Allowed) -> list[str]:
    return [each.job.ref.name for each in allowed.resumptions]


def marked(name: str = "x", until: float = NOW + 600.0, *, goes_on: bool = False, **fields: Any) -> SuspendedJob:
    ref = ObjectRef("Job", name, "default", f"uid-{name}", "batch/v1")
    by = {"by": SuspendedBy.POLICY, "pool": "a", "until_seconds": until, **fields}
    return SuspendedJob(ref, NOW - 300.0, 4000, not goes_on, **by)


def rows(seen: ClusterView, settings: LiveConfig, unseen: tuple[str, ...] = ()) -> tuple[list[float], list[bool]]:
    """What the policy sees of the lever of pool a, and which of its choices are valid."""
    snapshot = fill_snapshot(seen, Submissions(NOW), settings, suspended=unseen)
    mask = np.zeros(settings.codec.mask_size, np.bool_)
    write_mask(snapshot, settings.codec.tables(), mask)
    row = snapshot.pools[0]
    columns = (Pool.SUSPENDABLE_GPUS, Pool.SUSPENDED_GPUS, Pool.NEXT_RESUME_SECONDS)
    at = len(mask) - settings.codec.max_pools * len(SUSPENSION_CHOICES)
    return [float(row[column]) for column in columns], mask[at : at + len(SUSPENSION_CHOICES)].tolist()


def test_all_jobs_of_the_pool_that_may_be_are_suspended_those_with_the_most_gpus_first():
    seen = cluster(job("small", 1), job("large", 8), job("firm", 8, annotations={}))
    allowed = judge(seen, SUSPEND)
    assert suspended(allowed) == ["large", "small"]
    first = allowed.suspensions[0]
    assert (first.by, first.pool, first.ran_seconds) == (SuspendedBy.POLICY, "a", 7200.0)
    assert first.until_seconds == NOW + 14400.0
    assert "at the latest" in first.reason
    assert judge(seen, NONE).suspensions == ()


@pytest.mark.parametrize(
    "annotations",
    [{}, {ANNOTATION_FLEXIBILITY: "3"}, {ANNOTATION_CHECKPOINTABLE: "true"}, {**TIER_3, ANNOTATION_FLEXIBILITY: "2"}],
)
def test_a_job_that_did_not_opt_in_is_neither_shown_nor_suspended_and_hears_nothing_of_it(annotations):
    seen = cluster(job("x", annotations=annotations))
    assert rows(seen, config())[0] == [0.0, 0.0, 0.0]
    allowed = judge(seen, SUSPEND)
    assert (allowed.suspensions, allowed.verdicts) == ((), ())


def test_the_policy_sees_what_it_may_suspend_and_what_it_suspended_and_may_choose_as_much():
    seen = cluster(job("x", 8), job("y", 2), suspended=(marked("z", until=NOW + 90.0), marked("w")))
    assert rows(seen, config()) == ([10.0, 8.0, 90.0], [True, True, True])
    assert rows(cluster(job("x", annotations={})), config()) == ([0.0, 0.0, 0.0], [True, False, False])
    assert rows(seen, config(), unseen=("uid-x",))[0][0] == 2.0, "a stale view does not show it twice"


def test_what_a_grid_event_suspended_is_not_the_policys():
    of_event = replace(marked("x"), since_seconds=NOW, by=SuspendedBy.GRID_EVENT, until_seconds=0.0)
    seen = cluster(suspended=(of_event,))
    assert rows(seen, config())[0] == [0.0, 0.0, 0.0]
    assert resumed(judge(seen, RESUME, event(100.0))) == []
    assert resumed(judge(seen, NONE)) == ["x"]


def test_a_slot_shows_the_tier_of_its_job():
    waiting = [
        replace(gang(str(tier)), pods=tuple(replace(pod, annotations=said) for pod in gang("x").pods))
        for tier, said in ((3, TIER_3), (1, {}), (0, {ANNOTATION_FLEXIBILITY: "0"}))
    ]
    snapshot = fill_snapshot(replace(cluster(), queue=tuple(waiting)), Submissions(NOW), config())
    assert snapshot.queue[:3, Slot.FLEXIBILITY].tolist() == [3.0, 1.0, 0.0]


def test_a_job_runs_for_a_while_before_it_is_suspended_again():
    seen = cluster(job("x", running_since_seconds=NOW - 1000.0))
    allowed = judge(seen, SUSPEND)
    assert suspended(allowed) == []
    (verdict,) = allowed.verdicts
    assert (verdict.rule, verdict.subject) == (Rule.MIN_RUN, "default/x")
    assert "wait 800 s more" in verdict.reason
    assert rows(seen, config())[1] == [True, False, False]
    assert suspended(judge(seen, SUSPEND, suspension=SuspensionLimits(min_run_seconds=1000.0))) == ["x"]


def test_the_time_in_suspension_is_bounded_in_all():
    seen = cluster(job("x", suspended_seconds=14000.0), job("y", suspended_seconds=14400.0))
    allowed = judge(seen, SUSPEND)
    assert [(each.gang.ref.name, each.until_seconds) for each in allowed.suspensions] == [("x", NOW + 400.0)]
    (verdict,) = allowed.verdicts
    assert (verdict.rule, verdict.subject) == (Rule.SUSPENDED_LONG_ENOUGH, "default/y")


@pytest.mark.parametrize(
    ("fields", "until"),
    [
        # 3,000 s of 10,000 are done: 7,000 s and the restart of 120 s before its end.
        ({"deadline_seconds": NOW + 9000.0, "predicted_seconds": 10_200.0}, 9000.0 - 120.0 - 3000.0),
        ({"latest_start_seconds": NOW - 6000.0, "predicted_seconds": 10_200.0}, 4200.0 - 120.0 - 3000.0),
        ({"deadline_seconds": NOW + 9000.0, "predicted_seconds": 10_200.0, "ran_seconds": 1000.0}, 9000.0 - 120 - 2120),
        ({"deadline_seconds": NOW + 3120.0, "predicted_seconds": 10_200.0}, None),
        ({"deadline_seconds": NOW + 1e6}, None),
        ({"deadline_seconds": NOW + 1e6, "predicted_seconds": 60.0}, 14400.0),
    ],
)
def test_a_job_that_has_to_end_in_time_goes_on_in_time_or_is_left_alone(fields, until):
    allowed = judge(cluster(job("x", **fields)), SUSPEND)
    found = [each.until_seconds - NOW for each in allowed.suspensions]
    assert found == ([] if until is None else [pytest.approx(until)])


def test_no_more_jobs_at_once_than_a_step_may_suspend_and_the_others_follow():
    seen = cluster(*(job(f"j{index}") for index in range(4)))
    few = StepLimits(max_suspended=3)
    allowed = judge(seen, SUSPEND, steps=few)
    assert suspended(allowed) == ["j0", "j1", "j2"]
    assert [each.rule for each in allowed.verdicts] == [Rule.STEP_SUSPENDED]
    state = GuardrailState()
    for each in allowed.suspensions:
        state = after_suspension(state, each.gang.ref.uid, NOW)
    assert suspended(judge(seen, SUSPEND, state=state, steps=few)) == ["j3"]


def test_protected_jobs_those_of_others_and_those_of_a_paused_pool_run_on():
    protected = cluster(job("x", annotations={**TIER_3, SAFE: "false"}))
    kueue = cluster(replace(job("x"), managed_by="Kueue"))
    paused = replace(cluster(job("x")), paused_pools={"a": "by hand"})
    for seen, rule in ((protected, Rule.SAFE_TO_EVICT), (kueue, Rule.NOT_SUSPENDABLE), (paused, Rule.PAUSED)):
        allowed = judge(seen, SUSPEND)
        assert suspended(allowed) == []
        assert [each.rule for each in allowed.verdicts] == [rule]
        assert rows(seen, config())[0][0] == 0.0


def test_a_closed_window_keeps_jobs_running():
    closed = DisruptionWindow(Schedule("0 0 1 1 *", 60.0), reasons=(DisruptionReason.SUSPENDED,))
    allowed = judge(cluster(job("x")), SUSPEND, disruption=DisruptionConfig(windows=(closed,)))
    assert suspended(allowed) == []
    assert [each.rule for each in allowed.verdicts] == [Rule.DISRUPTION_WINDOW]


def test_nothing_is_suspended_without_the_lever_and_while_everything_is_paused():
    seen = cluster(job("x"), suspended=(marked("y"),))
    assert [each.rule for each in judge(seen, SUSPEND, lever=False).verdicts] == [Rule.SUSPENSION_OFF]
    paused = judge(replace(seen, paused="by hand"), SUSPEND)
    assert (paused.suspensions, paused.resumptions) == ((), ())


@pytest.mark.parametrize(
    ("mark", "choice", "lever", "reason"),
    [
        (marked(), NONE, True, ""),
        (marked(), SUSPEND, True, ""),
        (marked(), RESUME, True, "the policy lets the jobs of pool a go on"),
        (marked(pool="b"), RESUME, True, ""),
        (marked(until=NOW), SUSPEND, True, "for as long as it may be"),
        (marked(until=0.0), SUSPEND, True, "for as long as it may be"),
        (marked(), NONE, False, "codec.suspension is off"),
        (marked(pool="gone"), NONE, True, "no pool 'gone'"),
        (marked(goes_on=True), RESUME, True, ""),
        (marked(until=NOW, goes_on=True), NONE, True, "for as long as it may be"),
    ],
)
def test_a_job_goes_on_when_the_policy_says_so_and_at_the_latest_when_its_mark_does(mark, choice, lever, reason):
    allowed = judge(cluster(suspended=(mark,)), choice, lever=lever)
    assert [each.job for each in allowed.resumptions] == ([mark] if reason else [])
    assert all(reason in each.reason for each in allowed.resumptions)


def test_a_job_that_its_owner_let_go_on_is_left_alone_until_its_suspension_would_be_over():
    seen = cluster(job("x"), suspended=(marked("x", goes_on=True),))
    allowed = judge(seen, SUSPEND)
    assert (suspended(allowed), resumed(allowed)) == ([], [])
    assert [each.rule for each in allowed.verdicts] == [Rule.NOT_SUSPENDABLE]
    assert rows(seen, config())[0] == [0.0, 0.0, 0.0]


def test_a_job_that_is_to_go_on_waits_for_the_power_that_a_grid_event_leaves():
    seen = cluster(suspended=(marked("x"), marked("y")))
    allowed = judge(seen, RESUME, event(4 * BUSY_GPU_KW))
    assert resumed(allowed) == ["x"]
    (verdict,) = allowed.verdicts
    assert (verdict.rule, verdict.subject, verdict.allowed) == (Rule.POWER_BUDGET, "default/y", 0)
    assert resumed(judge(seen, RESUME, event(0.0, starts_in=60.0))) == ["x", "y"], "it has not begun"


def test_a_grid_event_stops_only_what_the_policy_does_not_stop_already():
    seen = cluster(job("x", 8), job("y", 8, running_since_seconds=NOW - 1.0))
    allowed = judge(seen, SUSPEND, event(2 * IDLE_KW + 8 * BUSY_GPU_KW))
    assert [(each.gang.ref.name, each.by) for each in allowed.suspensions] == [("x", SuspendedBy.POLICY)]
    allowed = judge(seen, SUSPEND, event(2 * IDLE_KW))
    assert [each.by for each in allowed.suspensions] == [SuspendedBy.POLICY, SuspendedBy.GRID_EVENT]


def test_the_loop_looks_again_when_a_suspension_ends():
    def found(*jobs: SuspendedJob) -> dict[Moment, float]:
        return dict(moments(cluster(suspended=jobs), GuardrailState(), config()))

    assert found(marked(until=NOW + 90.0)) == {Moment.RESUME: NOW + 90.0}
    assert found(marked(until=NOW - 1.0))[Moment.CURB] == NOW + 10.0, "it could not be let go on: try again"


@settings(deadline=None, max_examples=50)
@given(
    jobs=st.lists(
        st.tuples(st.sampled_from(["", "1", "3"]), st.floats(0.0, 4000.0), st.floats(0.0, 20000.0)), max_size=6
    ),
    marks=st.lists(st.tuples(st.floats(-100.0, 100.0), st.booleans()), max_size=3),
    choice=st.sampled_from([NONE, SUSPEND, RESUME]),
)
def test_no_choice_breaks_a_limit_and_the_record_of_the_audit_decides_the_same(jobs, marks, choice):
    gangs = [
        job(
            f"j{index}",
            annotations=TIER_3 | ({ANNOTATION_FLEXIBILITY: tier} if tier else {ANNOTATION_CHECKPOINTABLE: "no"}),
            running_since_seconds=NOW - ran,
            suspended_seconds=before,
        )
        for index, (tier, ran, before) in enumerate(jobs)
    ]
    stopped = tuple(marked(f"m{index}", NOW + left, goes_on=on) for index, (left, on) in enumerate(marks))
    seen = cluster(*gangs, suspended=stopped)
    allowed = judge(seen, choice)
    for each in allowed.suspensions:
        tier, ran, before = jobs[int(each.gang.ref.name[1:])]
        assert (choice, tier) == (SUSPEND, "3")
        assert ran >= 1799.99
        assert NOW < each.until_seconds <= NOW + 14400.0 - before + 0.001
    overdue = {each.ref.name for each in stopped if each.until_seconds <= NOW}
    assert overdue <= set(resumed(allowed))
    view, state = unpack(pack(seen, GuardrailState()))
    want = decision(a=len(seen.pools[0].nodes))._replace(suspension=np.array([choice, 0, 0, 0]))
    assert allowed_dict(evaluate(view, want, state, config())) == allowed_dict(allowed)
