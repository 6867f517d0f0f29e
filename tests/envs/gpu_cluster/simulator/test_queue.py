"""The order of the queue, against numbers that are worked out by hand. One node of 8 GPUs, on from the start."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.codec import CodecLayout, Slot
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.registry import QUEUE_ORDERS
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.preemption import heap_victims, pop_victim
from envs.gpu_cluster.simulator.kernels.reservations import partition
from envs.gpu_cluster.simulator.orders import QueueOrder
from tests.envs.gpu_cluster.builders import Job, Play, small_problem

NODE = PoolConfig("gpu", max_nodes=1, min_nodes=1)


def play(jobs: Sequence[Job], pool: PoolConfig = NODE, **options: Any) -> Play:
    """A cluster whose decisions follow every event at once; options are columns of the trace and of `QueueConfig`."""
    names = QueueConfig.__dataclass_fields__
    queue = QueueConfig(**{name: value for name, value in options.items() if name in names})
    columns = {name: value for name, value in options.items() if name not in names}
    problem = small_problem(
        jobs,
        [pool],
        codec=CodecLayout(max_pools=1, window_slots=2, job_hints=True),
        columns=columns,
        physics=PhysicsConfig(queue=queue),
        settle_seconds=0.001,
        decision_interval_seconds=0.0,
        resync_interval_seconds=10_000.0,
    )
    return Play(problem)


ONE_AFTER_ANOTHER: list[Job] = [(0.0, 100.0, 8.0), (10.0, 300.0, 8.0), (20.0, 50.0, 8.0), (30.0, 60.0, 8.0)]


def test_by_default_the_first_submitted_is_the_first_whose_turn_it_is() -> None:
    assert play(ONE_AFTER_ANOTHER).run().starts() == [0.0, 100.0, 400.0, 450.0]


def test_shortest_starts_what_is_expected_to_end_first() -> None:
    """True run times of 300, 50, 60 s."""
    exact = play(ONE_AFTER_ANOTHER, order="shortest", estimates="exact")
    assert exact.run().starts() == [0.0, 210.0, 100.0, 150.0]


def test_wrong_estimates_change_the_order_and_not_the_run_times() -> None:
    """The job of 300 s says 10, that of 50 s nothing, that of 60 s says 1000."""
    says = [None, 10.0, None, 1000.0]
    by = {
        estimates: play(ONE_AFTER_ANOTHER, order="shortest", estimates=estimates, predicted_duration_seconds=says)
        for estimates in ("given", "given-else-exact", "none")
    }
    assert by["given"].run().starts() == [0.0, 100.0, 460.0, 400.0]
    assert by["given-else-exact"].run().starts() == [0.0, 100.0, 400.0, 450.0]
    assert by["none"].run().starts() == [0.0, 100.0, 400.0, 450.0]


def test_higher_priority_comes_first_and_the_order_holds_among_equals() -> None:
    ranked = play(ONE_AFTER_ANOTHER, priorities=True, order="shortest", estimates="exact", priority=[0, 5, None, 5])
    assert ranked.run().starts() == [0.0, 160.0, 460.0, 100.0]
    ignored = play(ONE_AFTER_ANOTHER, priority=[0, 5, None, 5])
    assert ignored.run().starts() == [0.0, 100.0, 400.0, 450.0]


def test_the_earliest_deadline_comes_first_and_none_last() -> None:
    due = play(ONE_AFTER_ANOTHER, order="earliest-deadline", deadline_seconds=[None, None, 900.0, 800.0])
    assert due.run().starts() == [0.0, 210.0, 160.0, 100.0]


def test_an_order_of_your_own_is_one_function_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUEUE_ORDERS, "latest", QueueOrder(lambda facts: -facts.submit_ms))
    assert play(ONE_AFTER_ANOTHER, order="latest").run().starts() == [0.0, 210.0, 160.0, 100.0]


def test_slots_follow_the_order_and_show_what_is_known() -> None:
    shown = play(ONE_AFTER_ANOTHER, priorities=True, priority=[0, 0, -3, 5], predicted_duration_seconds=[1, 9, 8, 7])
    shown.run(until=30.0)
    queue = shown.simulator.snapshot().queue
    assert queue[:, Slot.PREDICTED_SECONDS].tolist() == [7.0, 9.0]
    assert queue[:, Slot.PRIORITY].tolist() == [5.0, 0.0]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"order": "shortst"}, "unknown physics.queue.order 'shortst'; did you mean 'shortest'?"),
        ({"estimates": "exactly"}, "unknown physics.queue.estimates 'exactly'; did you mean 'exact'?"),
    ],
)
def test_an_unknown_choice_is_one_clear_line(choices: dict[str, str], message: str) -> None:
    with pytest.raises(EnvironmentConfigError, match=message.replace("?", r"\?")):
        play(ONE_AFTER_ANOTHER, **choices)


def test_without_any_of_it_the_trace_has_no_more_columns() -> None:
    plain = small_problem(ONE_AFTER_ANOTHER)
    assert plain.jobs.shape[1] == 7
    assert np.array_equal(plain.jobs[:-1, 0], [0, 10_000, 20_000, 30_000])


# A leaves 2 GPUs free until 100, B requests the whole node, C is long and D short.
BEHIND_A_LARGE_ONE: list[Job] = [(0.0, 100.0, 6.0), (10.0, 100.0, 8.0), (20.0, 500.0, 2.0), (30.0, 60.0, 2.0)]


def test_any_job_that_fits_passes_one_that_does_not() -> None:
    assert play(BEHIND_A_LARGE_ONE).run().starts() == [0.0, 520.0, 20.0, 100.0]


def test_in_strict_order_none_passes() -> None:
    assert play(BEHIND_A_LARGE_ONE, backfill_policy="none").run().starts() == [0.0, 100.0, 200.0, 200.0]


def test_strict_order_holds_in_each_pool_alone() -> None:
    """The second job waits for an A100 behind the first; the third may run on a V100 only, where it fits."""
    pools = [PoolConfig(name, max_nodes=1, min_nodes=1, gpu_model=name) for name in ("A100", "V100")]
    problem = small_problem(
        [(0.0, 100.0, 8.0), (10.0, 50.0, 8.0), (20.0, 50.0, 8.0)],
        pools,
        [["A100"], ["A100"], ["V100"]],
        physics=PhysicsConfig(queue=QueueConfig(backfill_policy="none")),
        settle_seconds=0.001,
        decision_interval_seconds=0.0,
    )
    assert Play(problem).run().starts() == [0.0, 100.0, 20.0]


def test_backfilling_lets_those_pass_that_end_before_the_reservation() -> None:
    """B is expected to start at 100: D ends at 90, C would end at 520."""
    exact = play(BEHIND_A_LARGE_ONE, backfill_policy="backfill", estimates="exact")
    assert exact.run().starts() == [0.0, 100.0, 200.0, 30.0]


def test_backfilling_goes_by_what_is_expected() -> None:
    """D says 1000 s, so it is not let past; where nothing is known there is no reservation, and all that fit pass."""
    wrong = play(
        BEHIND_A_LARGE_ONE, backfill_policy="backfill", predicted_duration_seconds=[100.0, 100.0, 500.0, 1000.0]
    )
    assert wrong.run().starts() == [0.0, 100.0, 200.0, 200.0]
    unknown = play(BEHIND_A_LARGE_ONE, backfill_policy="backfill", estimates="none")
    assert unknown.run().starts() == [0.0, 520.0, 20.0, 100.0]


def test_a_running_job_that_should_have_ended_is_expected_to_end_now() -> None:
    """A says 50 s and runs 100: from 50 on B could start at any moment, so D, which says 60, does not pass."""
    jobs: list[Job] = [*BEHIND_A_LARGE_ONE[:2], (70.0, 60.0, 2.0)]
    late = play(jobs, backfill_policy="backfill", predicted_duration_seconds=[50.0, 100.0, 60.0])
    assert late.run().starts() == [0.0, 100.0, 200.0]


def test_backfilling_lets_those_pass_that_leave_room() -> None:
    """B requests 4 of the 8 GPUs that are free at 100, so the 2 of C fit, but not then 4 more."""
    jobs: list[Job] = [(0.0, 100.0, 6.0), (10.0, 100.0, 4.0), (20.0, 500.0, 2.0)]
    assert play(jobs, backfill_policy="backfill", estimates="exact").run().starts() == [0.0, 100.0, 20.0]


@pytest.mark.parametrize(("packer", "starts"), [("best-fit", [0, 0, 100, 100]), ("worst-fit", [0, 0, 100, 20])])
def test_room_is_counted_by_node_where_the_packer_would_put_the_job(packer: str, starts: list[float]) -> None:
    """6 of 8 GPUs are busy until 100 on one node and 4 on another for long; the third job needs a whole node."""
    jobs: list[Job] = [(0.0, 100.0, 6.0), (0.0, 5000.0, 4.0), (10.0, 100.0, 8.0), (20.0, 500.0, 2.0)]
    problem = small_problem(
        jobs,
        [PoolConfig("gpu", max_nodes=2, min_nodes=2)],
        physics=PhysicsConfig(queue=QueueConfig(backfill_policy="backfill", estimates="exact")),
        packer=packer,
        settle_seconds=0.001,
        decision_interval_seconds=0.0,
    )
    assert Play(problem).run().starts() == starts


def test_a_gpu_that_is_shared_from_now_on_counts_as_whole_at_the_reservation() -> None:
    """At 20 the third job shares a GPU until 70; the fourth would have it beyond 100, when both GPUs are reserved."""
    jobs: list[Job] = [(0.0, 100.0, 1.0), (10.0, 100.0, 2.0), (20.0, 50.0, 0.25), (20.0, 500.0, 0.25)]
    pool = PoolConfig("gpu", max_nodes=2, min_nodes=2, gpus_per_node=1)
    assert play(jobs, pool, backfill_policy="backfill", estimates="exact").run().starts() == [0.0, 100.0, 20.0, 200.0]


SHARED: list[Job] = [(0.0, 100.0, 8.0), (10.0, 50.0, 8.0), (20.0, 50.0, 8.0), (30.0, 50.0, 8.0)]
USERS = ["ada", "ada", "bob", "bob"]


def test_fair_share_starts_the_job_of_who_used_least() -> None:
    """At 100 Ada has used 800 GPU-seconds and Bob none, at 150 he has used 400."""
    assert play(SHARED, user=USERS).run().starts() == [0.0, 100.0, 150.0, 200.0]
    assert play(SHARED, user=USERS, order="fair-share").run().starts() == [0.0, 200.0, 100.0, 150.0]


def test_usage_is_halved_again_and_again() -> None:
    """Every 60 s: Ada 480 -> 240, 560 at 100, 280 at 120; Bob 160 -> 80 at 120, 320 at 150, more than she."""
    halved = play(SHARED, user=USERS, order="fair-share", usage_halving_seconds=60.0)
    assert halved.run().starts() == [0.0, 150.0, 100.0, 200.0]


def test_fair_share_is_between_groups_where_groups_are_the_owners() -> None:
    by_group = play(SHARED, user=USERS, group=["red", "blue", "red", "red"], owner="group", order="fair-share")
    assert by_group.run().starts() == [0.0, 100.0, 150.0, 200.0]


TWO_NODES = PoolConfig("gpu", max_nodes=2, min_nodes=1, boot_seconds=5.0)


@pytest.mark.parametrize("quota", [{"quotas_gpus": {"ada": 8.0}}, {"default_quota_gpus": 8.0}])
def test_jobs_over_the_quota_wait_and_others_pass(quota: dict[str, Any]) -> None:
    """The second job of Ada waits for her first, and no node is ordered for it; Bob's does not wait for it."""
    limited = play(SHARED[:3], TWO_NODES, user=USERS[:3], **quota).run(until=10.0)
    assert limited.simulator.snapshot().allowed[0].tolist() == [0.0]
    limited.run(until=20.0)
    assert limited.totals().nodes_added == 0
    assert limited.run().starts() == [0.0, 100.0, 25.0]


def test_no_node_is_ordered_for_jobs_over_the_quota_behind_the_window() -> None:
    jobs: list[Job] = [(0.0, 100.0, 8.0), *[(10.0, 50.0, 8.0)] * 5]
    limited = play(jobs, TWO_NODES, default_quota_gpus=8.0).run()
    assert limited.starts() == [0.0, 100.0, 150.0, 200.0, 250.0, 300.0]
    assert limited.totals().nodes_added == 0


def test_a_job_larger_than_its_quota_is_refused() -> None:
    message = "physics.queue: job job-2 requests 8 GPUs, the quota of user 'ada' is 4; raise it, or drop the 1 job"
    with pytest.raises(EnvironmentConfigError, match=message):
        play([(0.0, 1.0, 1.0), (0.0, 1.0, 8.0)], user=["ada", "ada"], quotas_gpus={"ada": 4})


PREEMPTED: list[Job] = [(0.0, 1000.0, 8.0), (100.0, 50.0, 8.0)]
BY_PRIORITY = {"priorities": True, "preemption": True}


@pytest.mark.parametrize(("notice", "end"), [(True, 1110.0), (False, 1150.0)])
def test_a_more_urgent_job_takes_the_place_of_one_that_can_be_checkpointed(notice: bool, end: float) -> None:
    """It goes on at 150 with a restart of 60 s and 900 s to do, or 940: its last checkpoint was at 60."""
    preempted = play(
        PREEMPTED,
        **BY_PRIORITY,
        preemption_notice=notice,
        priority=[0, 5],
        checkpoint_interval_seconds=[60.0, None],
    ).run()
    assert preempted.starts() == [0.0, 100.0]
    assert preempted.now == end
    assert preempted.totals().preemptions == 1
    assert preempted.clock[st.WAITED_MILLI_MS] == 50_000 * 8000


@pytest.mark.parametrize(
    ("priority", "interval"), [([0, 5], [None, 60.0]), ([5, 5], [60.0, 60.0]), ([5, 0], [60.0, 60.0])]
)
def test_no_job_makes_way_that_cannot_be_checkpointed_or_is_as_urgent(
    priority: list[int], interval: list[float | None]
) -> None:
    waits = play(PREEMPTED, **BY_PRIORITY, priority=priority, checkpoint_interval_seconds=interval).run()
    assert waits.starts() == [0.0, 1000.0]
    assert waits.totals().preemptions == 0


def test_only_as_many_make_way_as_must_the_least_urgent_and_last_submitted_first() -> None:
    """Four jobs of 2 GPUs; one of 4 needs two of them: that of priority -1, and the later of priority 0."""
    jobs: list[Job] = [*[(0.0, 1000.0, 2.0)] * 4, (100.0, 50.0, 4.0)]
    priority, interval = [0, -1, 0, 1, 5], [60.0] * 5
    problem = play(jobs, **BY_PRIORITY, priority=priority, checkpoint_interval_seconds=interval).run()
    ends = problem.simulator.job_times().end_ms[:5] / 1000
    assert ends.tolist() == [1000.0, 1110.0, 1110.0, 1000.0, 150.0]
    assert problem.totals().preemptions == 2
    limited = play(jobs, **BY_PRIORITY, max_victims=1, priority=priority, checkpoint_interval_seconds=interval).run()
    assert limited.totals().preemptions == 0
    assert limited.starts()[4] == 1000.0


@pytest.mark.parametrize("count", [0, 1, 2, 3, 11, 500])
def test_the_least_urgent_and_last_submitted_makes_way_first_however_many_they_are(count: int) -> None:
    generator = np.random.default_rng(count)
    jobs = np.zeros((count, st.JOB_COLUMNS), np.int64)
    jobs[:, st.PRIORITY] = generator.integers(-3, 3, count)
    run = np.zeros((count, st.RUN_COLUMNS), np.int64)
    run[:, st.RUN_JOB], run[:, st.RUN_LISTED] = generator.permutation(count), generator.permutation(count)
    cluster = SimpleNamespace(run=run)
    heap_victims(cluster, jobs, count)
    popped = [run[pop_victim(cluster, jobs, left), st.RUN_JOB] for left in range(count, 0, -1)]
    assert popped == sorted(range(count), key=lambda job: (jobs[job, st.PRIORITY], -job))
    assert run[run[:, st.RUN_LISTED], st.RUN_JOB].tolist() == popped[::-1]


@pytest.mark.parametrize("time", [0, 40, 50, 99, 1000])
def test_jobs_that_should_end_until_a_time_come_to_the_front(time: int) -> None:
    """The job of slot n ends at 2 n; of the list only [3, 90) is touched."""
    run = np.zeros((100, st.RUN_COLUMNS), np.int64)
    run[:, st.RUN_LISTED] = before = np.random.default_rng(0).permutation(100)
    run[:, st.RUN_LISTED_END] = 2 * before
    end = partition(SimpleNamespace(run=run), 3, 90, 2 * time)
    listed = run[:, st.RUN_LISTED]
    assert (run[:, st.RUN_LISTED_END] == 2 * listed).all()
    assert (listed[3:end] <= time).all()
    assert (listed[end:90] > time).all()
    assert sorted(listed[3:90]) == sorted(before[3:90])
    assert listed[[*range(3), *range(90, 100)]].tolist() == before[[*range(3), *range(90, 100)]].tolist()


def test_preemption_without_priorities_is_refused() -> None:
    with pytest.raises(EnvironmentConfigError, match=r"set physics\.queue\.priorities too"):
        QueueConfig(preemption=True)


def hold(play: Play, until: float) -> None:
    """Hold every job that may be held until a time."""
    layout = play.simulator.problem.config.codec
    while play.now < until and not play.done:
        mask = play.simulator.action_masks[0]
        action = np.zeros(len(layout.action_sizes), np.int64)
        at = layout.max_pools * len(layout.setpoints)
        for slot in range(layout.window_slots):
            action[layout.max_pools + slot] = 0 if mask[at + slot * (layout.max_pools + 1)] else 1
        play.simulator.step(action[None])
        play.times.append(play.now)


@pytest.mark.parametrize(("is_free", "waited"), [(True, 0.0), (False, 5000.0)])
def test_a_job_may_be_held_until_its_latest_start_and_starts_then(is_free: bool, waited: float) -> None:
    """The window of `max_hold_seconds` is an hour; one job may be deferred to 5000 s, the other may not."""
    jobs: list[Job] = [(0.0, 100.0, 2.0), (0.0, 100.0, 2.0)]
    held = play(jobs, deferral=True, deferral_is_free=is_free, latest_start_seconds=[5000.0, None])
    assert held.simulator.snapshot().queue[:, Slot.SLACK_SECONDS].tolist() == [5000.0, 0.0]
    hold(held, 6000.0)
    assert held.starts() == [5000.0, 3600.0]
    assert 5000.0 in held.times  # a decision comes although nothing else happens
    assert held.clock[st.WAITED_MILLI_MS] == (waited + 3600.0) * 1000 * 2000


def test_a_deferred_job_that_does_not_fit_at_its_latest_start_pays_from_then_on() -> None:
    jobs: list[Job] = [(0.0, 1000.0, 8.0), (0.0, 100.0, 8.0)]
    late = play(jobs, deferral=True, latest_start_seconds=[None, 400.0]).run(until=400.0)
    assert late.now == 400.0
    assert late.simulator.snapshot().queue[0, Slot.SLACK_SECONDS] < 0.0
    assert late.run().starts() == [0.0, 1000.0]
    assert late.clock[st.WAITED_MILLI_MS] == 600 * 1000 * 8000


def test_a_latest_start_inside_the_holding_time_ends_it() -> None:
    jobs: list[Job] = [(0.0, 100.0, 2.0)]
    held = play(jobs, deferral=True, latest_start_seconds=[300.0])
    hold(held, 1000.0)
    assert held.starts() == [300.0]


def test_without_deferral_the_latest_start_means_nothing() -> None:
    plain = play([(0.0, 1000.0, 8.0), (0.0, 100.0, 8.0)], latest_start_seconds=[None, 400.0]).run()
    assert 400.0 not in plain.times
    assert plain.clock[st.WAITED_MILLI_MS] == 1000 * 1000 * 8000


def test_missed_deadlines_are_counted() -> None:
    """They end at 100, 400, 450 and 510; the deadlines are met to the second, missed, none, and met."""
    due = [100.0, 399.0, None, 600.0]
    assert play(ONE_AFTER_ANOTHER, deadlines=True, deadline_seconds=due).run().clock[st.DEADLINE_MISSES] == 1
    assert play(ONE_AFTER_ANOTHER, deadline_seconds=due).run().clock[st.DEADLINE_MISSES] == 0


def test_settings_with_quotas_are_keys_as_other_settings_are() -> None:
    """Runs are grouped by their settings."""
    one, same, other = (
        EnvironmentConfig(physics=PhysicsConfig(queue=QueueConfig(quotas_gpus={"ada": gpus}))) for gpus in (8, 8, 4)
    )
    assert {one: 1}[same] == 1
    assert other not in {one: 1}
