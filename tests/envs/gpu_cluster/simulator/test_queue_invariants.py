"""What is true of every queue: reservations hold, the strict order holds, quotas and checkpoints are respected."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.registry import PACKERS
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import state as columns
from envs.gpu_cluster.simulator.packing.counted import COUNTED
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from tests.envs.gpu_cluster.side_by_side import keep_nodes
from tests.envs.gpu_cluster.worlds import DURATIONS_SECONDS, kernel_property, requests, that_fit
from traces.trace import Trace

WORLD = kernel_property(examples=60)
FOR_EVER = 10_000  # decisions


@st.composite
def always_on(draw: st.DrawFn, detailed: bool = False, **queue: Any) -> Problem:
    """One pool whose nodes are all on from the start, decisions at every event, estimates that are never too low.

    With `detailed` its nodes have CPUs and memory, and any packer.
    """
    gpus, nodes = draw(st.sampled_from([1, 2, 8])), draw(st.integers(1, 3))
    sizes = st.sampled_from([250, 250, 250, 600, 1000, 2000, 3000, 8000, 1000 * gpus, 1000 * gpus * nodes])
    row = st.tuples(
        st.sampled_from([0.0, 1.0, 60.0, 300.0]), DURATIONS_SECONDS, sizes, st.sampled_from([1.0, 1.5, 9.0])
    )
    rows = draw(st.lists(row, min_size=5, max_size=25))
    columns = {
        "submit_time_seconds": np.cumsum([gap for gap, *_ in rows]),
        "duration_seconds": [duration for _, duration, *_ in rows],
        "gpu_milli": [min(milli, 1000 * gpus * nodes) for _, _, milli, _ in rows],
        "predicted_duration_seconds": [duration * factor for _, duration, _, factor in rows],
        "checkpoint_interval_seconds": [600.0 if index % 3 else None for index in range(len(rows))],
        "priority": [index % 4 for index in range(len(rows))],
        "user": [("ada", "bob")[index % 2] for index in range(len(rows))],
        **(draw(requests(len(rows))) if detailed else {}),
    }
    pool = PoolConfig(
        "gpu",
        max_nodes=nodes,
        min_nodes=nodes,
        gpus_per_node=gpus,
        cpus_per_node=16.5 if detailed else None,
        memory_gib_per_node=32.0 if detailed else None,
    )
    cluster = ClusterConfig((pool,))
    trace = that_fit(cluster, columns) if detailed else Trace.from_columns(columns)
    config = EnvironmentConfig(
        settle_seconds=0.001,
        decision_interval_seconds=0.0,
        resync_interval_seconds=100_000.0,
        packer=draw(st.sampled_from(PACKERS.listed if detailed else tuple(COUNTED))),
        physics=PhysicsConfig(queue=QueueConfig(**queue), second_resources=detailed),
        codec=CodecLayout(max_pools=1, window_slots=draw(st.sampled_from([0, 4]))),
        debug=True,
    )
    return make_problem(trace, cluster, config)


class Watched:
    """A simulator that is stepped with the default placement; what it was about to do is looked at each time."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.simulator = Simulator.from_problem(problem)
        self.simulator.reset_all()
        self.action = keep_nodes(problem)[None]

    @property
    def clusters(self) -> columns.Cluster:
        return self.simulator._world.clusters

    @property
    def starts(self) -> np.ndarray:
        starts: np.ndarray = self.clusters.queue[0, : self.problem.num_jobs, columns.JOB_START]
        return starts

    def step(self) -> bool:
        if self.clusters.clock[0, columns.DONE]:
            return False
        self.simulator.step(self.action)
        return True

    def finish(self) -> None:
        for _ in range(FOR_EVER):
            if not self.step():
                break
        assert self.clusters.clock[0, columns.FINISHED] == self.problem.num_jobs
        assert self.clusters.clock[0, columns.BROKEN_RULE] == 0


@WORLD
@given(problem=always_on(backfill_policy="backfill") | always_on(detailed=True, backfill_policy="backfill"))
def test_no_job_delays_a_reservation_where_no_estimate_is_too_low(problem: Problem) -> None:
    """The moment that is reserved for a job never moves back, and the job starts at the latest then."""
    watched = Watched(problem)
    promised: dict[int, int] = {}
    while watched.step():
        job, time = (int(watched.clusters.pool[0, 0, column]) for column in (columns.HEAD_JOB, columns.HEAD_MS))
        if job >= 0:
            assert time <= promised.get(job, columns.NEVER)
            promised[job] = time
    for job, time in promised.items():
        assert watched.starts[job] <= time + 1  # decisions are a ms apart at least
    watched.finish()


@WORLD
@given(problem=always_on(backfill_policy="none"))
def test_in_strict_order_starts_are_in_order_of_submission(problem: Problem) -> None:
    watched = Watched(problem)
    watched.finish()
    assert (np.diff(watched.starts) >= 0).all()


@WORLD
@given(problem=always_on(backfill_policy="none", order="shortest"))
def test_no_job_starts_while_a_shorter_one_waits(problem: Problem) -> None:
    watched = Watched(problem)
    watched.finish()
    starts, submit = watched.starts, problem.submit_ms
    expected = problem.jobs[:-1, columns.PREDICTED_MS]
    for job, start in enumerate(starts):
        # A job that was submitted in the ms since the last decision has its turn at the next one.
        waiting = (submit < start) & (starts > start)
        assert not (expected[waiting] < expected[job]).any()


@WORLD
@given(problem=always_on(default_quota_gpus=24.0, quotas_gpus={"ada": 24.0}))
def test_no_owner_uses_more_than_its_quota(problem: Problem) -> None:
    watched = Watched(problem)
    while watched.step():
        in_use = np.zeros(2, np.int64)
        run, running = watched.clusters.run[0], watched.clusters.clock[0, columns.RUNNING]
        for slot in watched.clusters.heap[0, :running, columns.HEAP_SLOT]:
            job = run[slot, columns.RUN_JOB]
            in_use[problem.jobs[job, columns.OWNER]] += problem.jobs[job, columns.MILLI]
        owners = watched.clusters.owner[0]
        assert owners[:, columns.OWNER_MILLI].tolist() == in_use[: len(owners)].tolist()
        assert in_use.max() <= 24_000
    watched.finish()


@WORLD
@given(problem=always_on(priorities=True, preemption=True) | always_on(detailed=True, priorities=True, preemption=True))
def test_only_jobs_that_can_be_checkpointed_are_preempted_and_lose_nothing(problem: Problem) -> None:
    """Others run without a break; those run for their duration, and for each restart."""
    watched = Watched(problem)
    watched.finish()
    jobs, pool = problem.jobs[:-1], watched.clusters.pool[0, 0]
    ends = watched.clusters.queue[0, : problem.num_jobs, columns.JOB_END]
    late = ends - watched.starts - jobs[:, columns.DURATION_MS]
    assert (late >= 0).all()
    assert (late[jobs[:, columns.CHECKPOINT_MS] == 0] == 0).all()
    assert (late[jobs[:, columns.PRIORITY] == 3] == 0).all()
    overhead = pool[columns.OVERHEAD_MILLI_MS]
    assert pool[columns.USED_MILLI_MS] == jobs[:, columns.MILLI] @ jobs[:, columns.DURATION_MS] + overhead
    waits = np.maximum(watched.starts - jobs[:, columns.SUBMIT_MS], 0) @ jobs[:, columns.MILLI]
    waited = watched.clusters.clock[0, columns.WAITED_MILLI_MS]
    # From submission to end a job waits, works or restarts.
    assert waited + pool[columns.USED_MILLI_MS] == (ends - jobs[:, columns.SUBMIT_MS]) @ jobs[:, columns.MILLI]
    assert waited >= waits
