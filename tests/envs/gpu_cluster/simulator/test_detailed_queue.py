"""Reservations and preemption by CPUs, memory and shares of numbered GPUs, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.packing.settings import has_detailed_nodes
from tests.envs.gpu_cluster.builders import Job, Play, small_problem
from tests.envs.gpu_cluster.side_by_side import both_simulators, keep_nodes, step_both, whole

GIB = 1024
NODE = PoolConfig("gpu", max_nodes=1, min_nodes=1, cpus_per_node=10.0, memory_gib_per_node=100.0)
EXACT = QueueConfig(backfill_policy="backfill", estimates="exact")


def play(
    jobs: list[Job], queue: QueueConfig, pool: PoolConfig = NODE, packer: str = "best-fit", **requested: Any
) -> Play:
    """One pool whose nodes are on from the start, a decision at every event; `requested` are columns of the trace."""
    problem = small_problem(
        jobs,
        [pool],
        columns=requested,
        codec=CodecLayout(max_pools=1, window_slots=2),
        physics=PhysicsConfig(queue=queue, second_resources=True),
        packer=packer,
        debug=True,
        settle_seconds=0.001,
        decision_interval_seconds=0.0,
        resync_interval_seconds=10_000.0,
    )
    return Play(problem)


@pytest.mark.parametrize(("column", "unit"), [("cpu_milli", 100), ("memory_mib", GIB)])
@pytest.mark.parametrize(("requested", "seconds", "start"), [(20, 500.0, 20.0), (30, 500.0, 200.0), (30, 60.0, 20.0)])
def test_a_job_that_lacks_cpus_or_memory_alone_has_a_reservation(
    column: str, unit: int, requested: int, seconds: float, start: float
) -> None:
    """Of 100 the first has 60 until 100, when the second gets its 80: the third may leave it less only before that."""
    jobs: list[Job] = [(0.0, 100.0, 1.0), (10.0, 100.0, 1.0), (20.0, seconds, 1.0)]
    played = play(jobs, EXACT, **{column: [60 * unit, 80 * unit, requested * unit]}).run(until=10.001)
    assert played.pool()[[st.HEAD_JOB, st.HEAD_MS]].tolist() == [1, 100_000]
    assert played.run().starts() == [0.0, 100.0, start]


@pytest.mark.parametrize(("requested", "nodes"), [(30, 1), (50, 2)])
def test_both_simulators_order_no_node_for_a_job_that_only_a_reservation_keeps_back(requested: int, nodes: int) -> None:
    """40 GiB are left: for the second job a node is ordered, and for the third one more where it does not fit."""
    jobs: list[Job] = [(0.0, 500.0, 1.0), (10.0, 100.0, 1.0), (20.0, 5000.0, 1.0)]
    pool = replace(NODE, max_nodes=5, boot_seconds=1000.0)
    problem = play(jobs, EXACT, pool, memory_mib=[60 * GIB, 80 * GIB, requested * GIB]).simulator.problem
    fast, slow = both_simulators(problem, whole(problem))
    action = keep_nodes(problem)
    while slow.now <= 100_000:
        step_both(fast, slow, action)
    assert slow.totals[0].nodes_added == nodes


def test_a_job_that_was_just_stopped_takes_no_slot_of_one_that_lacks_memory() -> None:
    """Two slots: the second job takes the place of the first, and a node is ordered at once for the third."""
    jobs: list[Job] = [(0.0, 5000.0, 1.0), (100.0, 50.0, 1.0), (100.0, 5000.0, 1.0)]
    queue = QueueConfig(priorities=True, preemption=True)
    facts = {"priority": [0, 5, 0], "checkpoint_interval_seconds": [60.0, None, None]}
    pool = replace(NODE, max_nodes=5, boot_seconds=1000.0)
    problem = play(jobs, queue, pool, memory_mib=[60 * GIB, 60 * GIB, 70 * GIB], **facts).simulator.problem
    fast, slow = both_simulators(problem, whole(problem))
    action = keep_nodes(problem)
    while slow.totals[0].preemptions == 0:
        step_both(fast, slow, action)
    assert slow.totals[0].nodes_added == 1


@pytest.mark.parametrize(("packer", "start"), [("best-fit", 100.0), ("worst-fit", 20.0)])
def test_cpus_are_counted_on_the_node_where_the_packer_would_put_the_job(packer: str, start: float) -> None:
    """One CPU is left on the node that the third job gets whole at 100, five are left on the other."""
    jobs: list[Job] = [(0.0, 100.0, 1.0), (0.0, 5000.0, 1.0), (10.0, 100.0, 1.0), (20.0, 500.0, 1.0)]
    pool = PoolConfig("gpu", max_nodes=2, min_nodes=2, cpus_per_node=10.0)
    played = play(jobs, EXACT, pool, packer, cpu_milli=[9000, 5000, 10000, 1000]).run()
    assert played.starts() == [0.0, 0.0, 100.0, start]


@pytest.mark.parametrize(("seconds", "start"), [((100.0, 5000.0), 100.0), ((5000.0, 100.0), 20.0)])
def test_a_share_passes_where_its_gpu_is_not_the_one_that_is_reserved(
    seconds: tuple[float, float], start: float
) -> None:
    """Each of two GPUs has 0.4 left and GPU 0 is taken first; the third job gets that of them which is free at 100."""
    jobs: list[Job] = [(0.0, seconds[0], 0.6), (0.0, seconds[1], 0.6), (10.0, 100.0, 1.0), (20.0, 500.0, 0.4)]
    pool = PoolConfig("gpu", max_nodes=1, min_nodes=1, gpus_per_node=2)
    assert play(jobs, EXACT, pool).run().starts() == [0.0, 0.0, 100.0, start]


@pytest.mark.parametrize(("memory_gib", "preemptions"), [((50, 30, 60), 1), ((30, 50, 60), 1), ((20, 20, 60), 0)])
def test_jobs_make_way_for_one_that_lacks_memory_alone(memory_gib: tuple[int, ...], preemptions: int) -> None:
    """The job of 50 GiB makes way, be it the first or the last; without it 60 of 100 fit."""
    jobs: list[Job] = [(0.0, 1000.0, 1.0), (0.0, 1000.0, 4.0), (100.0, 50.0, 1.0)]
    queue = QueueConfig(priorities=True, preemption=True)
    memory_mib = [GIB * gib for gib in memory_gib]
    facts = {"priority": [0, 0, 5], "checkpoint_interval_seconds": [60.0, 60.0, None]}
    played = play(jobs, queue, memory_mib=memory_mib, **facts).run()
    assert played.starts() == [0.0, 0.0, 100.0]
    assert played.totals().preemptions == preemptions
    ends = played.simulator.job_times().end_ms[:3] / 1000
    assert ends.tolist() == [1000.0 if gib < 50 else 1110.0 for gib in memory_gib[:2]] + [150.0]


def test_packers_that_look_at_more_than_gpus_may_reserve_and_preempt() -> None:
    queue = QueueConfig(backfill_policy="backfill", priorities=True, preemption=True)
    assert has_detailed_nodes(EnvironmentConfig(packer="fgd", physics=PhysicsConfig(queue=queue)))
