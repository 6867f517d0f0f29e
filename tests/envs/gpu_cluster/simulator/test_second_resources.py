"""CPUs and memory as limits, and packers that look at them: worked out by hand, and true in every world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ClusterError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig, cluster_from_nodes
from envs.gpu_cluster.codec import CONSOLIDATION_CHOICES, WIDTH_CHOICES, CodecLayout, Pool
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator import state as columns
from envs.gpu_cluster.simulator.packing.detailed import part_of
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from tests.envs.gpu_cluster.builders import Job, Play, make_trace
from tests.envs.gpu_cluster.side_by_side import both_simulators, keep_nodes, step_both, whole
from tests.envs.gpu_cluster.worlds import kernel_property, problems
from traces.errors import TraceValueError
from traces.nodes import NODE_SCHEMA, Nodes

WORLD = kernel_property(examples=30)
POOL = PoolConfig("gpu", max_nodes=3, boot_seconds=100.0, cpus_per_node=10.0, memory_gib_per_node=100.0)


def problem_of(
    jobs: list[Job],
    pools: tuple[PoolConfig, ...] = (POOL,),
    packer: str = "best-fit",
    backfill_policy: str = "any",
    **requested: list[int | None],
) -> Problem:
    """Jobs that request `cpu_milli` and `memory_mib`."""
    config = EnvironmentConfig(
        packer=packer,
        codec=CodecLayout(max_pools=2, window_slots=3),
        physics=PhysicsConfig(second_resources=True, queue=QueueConfig(backfill_policy=backfill_policy)),
        debug=True,
    )
    return make_problem(make_trace(jobs, **requested), ClusterConfig(pools), config)


def starts(problem: Problem) -> list[float]:
    """When each job starts under a constant setpoint, in seconds."""
    play = Play(problem)
    play.run()
    rows = play.simulator.job_times().start_ms
    return [float(row) / 1000 for row in rows]


@pytest.mark.parametrize(("amount", "units"), [(0, 1), (10, 3), (8000, 8), (7, 9)])
def test_the_parts_of_a_job_sum_to_what_it_asks(amount: int, units: int) -> None:
    for first in range(1, units):
        parts = part_of(amount, units, first, False) + part_of(amount, units, units - first, True)
        assert parts == amount
    assert part_of(amount, units, units, True) == amount


def test_a_job_waits_for_a_node_of_its_own_when_only_cpus_lack() -> None:
    """Eight GPUs, ten CPUs: two jobs of one GPU and six CPUs do not share a node; a third of four CPUs fits."""
    jobs = [(0.0, 5000.0, 1.0), (0.0, 5000.0, 1.0), (0.0, 5000.0, 1.0)]
    both = starts(problem_of(jobs, cpu_milli=[6000, 6000, 4000]))
    assert both[0] == both[2]
    assert both[0] < both[1] < 1000.0  # a node is ordered for it at once, not when the others end
    alone = starts(problem_of(jobs, cpu_milli=[6000, 4000, None]))
    assert len(set(alone)) == 1


@pytest.mark.parametrize(
    ("backfill_policy", "cpu_milli", "nodes"),
    [("any", 5000, 1), ("any", 6000, 2), ("none", 6000, 1), ("backfill", 5000, 1), ("backfill", 6000, 2)],
)
def test_both_twins_order_nodes_for_jobs_that_lack_cpus_once(backfill_policy: str, cpu_milli: int, nodes: int) -> None:
    """One CPU is left on the first node; in strict order the second job cannot start, whatever nodes there are."""
    jobs = [(0.0, 5000.0, 1.0), (200.0, 5000.0, 1.0), (200.0, 5000.0, 1.0)]
    problem = problem_of(jobs, backfill_policy=backfill_policy, cpu_milli=[9000, cpu_milli, cpu_milli])
    fast, slow = both_simulators(problem, whole(problem))
    action = keep_nodes(problem)
    while slow.now <= 250_000:
        step_both(fast, slow, action)
    assert slow.totals[0].nodes_added == 1 + nodes


def test_both_twins_narrow_jobs_in_order_of_submission() -> None:
    """The last job has the place of the first in memory, and yet gives its GPUs back after the second."""
    jobs = [(0.0, 500.0, 3.0), (0.0, 9000.0, 2.0), (600.0, 9000.0, 3.0)]
    codec = CodecLayout(max_pools=1, window_slots=3, elastic_width=True)
    config = EnvironmentConfig(packer="random-fit", codec=codec, debug=True)
    cluster = ClusterConfig((PoolConfig("gpu", max_nodes=1, min_nodes=1),))
    problem = make_problem(make_trace(jobs, min_gpus=[None, 1, 1]), cluster, config)
    fast, slow = both_simulators(problem, whole(problem))
    action = np.ones(len(codec.action_sizes), np.int64)
    while slow.now <= 2_000_000:
        action[-1] = WIDTH_CHOICES.index("shrink" if slow.now >= 1_500_000 else "keep")
        step_both(fast, slow, action)
    assert np.flatnonzero(fast._world.clusters.detail.gpu[0, 0] == 0).tolist() == [0, 3]  # at first 0 to 4


def test_memory_is_a_limit_too() -> None:
    jobs = [(0.0, 5000.0, 0.5), (0.0, 5000.0, 0.5)]
    assert len(set(starts(problem_of(jobs, memory_mib=[50 * 1024, 50 * 1024])))) == 1
    assert len(set(starts(problem_of(jobs, memory_mib=[50 * 1024, 50 * 1024 + 1])))) == 2


def test_at_the_most_nodes_a_job_waits_until_cpus_are_free() -> None:
    pool = PoolConfig("gpu", max_nodes=1, boot_seconds=0.0, cpus_per_node=10.0)
    at = starts(problem_of([(0.0, 500.0, 1.0), (0.0, 500.0, 1.0)], (pool,), cpu_milli=[6000, 6000]))
    assert at[1] >= at[0] + 500.0


def test_cpus_do_not_count_where_a_pool_has_no_limit_or_the_switch_is_off() -> None:
    pool = PoolConfig("gpu", max_nodes=1)
    jobs = [(0.0, 500.0, 1.0), (0.0, 500.0, 1.0)]
    assert len(set(starts(problem_of(jobs, (pool,), cpu_milli=[10**6, 10**6])))) == 1
    trace = make_trace(jobs, cpu_milli=[10**6, 10**6])
    assert len(set(starts(make_problem(trace, ClusterConfig((POOL,)), EnvironmentConfig())))) == 1


def test_a_job_that_no_node_can_hold_is_an_error_of_one_line() -> None:
    with pytest.raises(ClusterError, match="requests 1 GPUs, 11 CPUs and 0 GiB of memory and fits in no pool") as error:
        problem_of([(0.0, 1.0, 1.0)], cpu_milli=[11000])
    assert "\n" not in str(error.value)
    problem_of([(0.0, 1.0, 16.0)], cpu_milli=[20000])  # two nodes of ten CPUs
    with pytest.raises(ClusterError, match="fits in no pool"):
        problem_of([(0.0, 1.0, 16.0)], cpu_milli=[20001])


def test_a_gang_asks_its_nodes_in_proportion_to_its_gpus() -> None:
    """Twelve GPUs with twelve CPUs: eight on the whole node, four on the other, where six are left."""
    play = Play(problem_of([(0.0, 5000.0, 12.0), (0.0, 5000.0, 1.0)], cpu_milli=[12000, 6000]))
    play.run(1000.0)
    clusters = play.simulator._world.clusters
    assert sorted(clusters.detail.node[0, :3, ns.FREE_CPU].tolist()) == [0, 2000, 10000]


@pytest.mark.parametrize(
    ("gib", "cpus", "free_gpus"),
    [(99, 9, [5, 7, 8]), (100, 9, [6, 6, 8]), (99, 10, [6, 6, 8]), (100, None, [6, 6, 8])],
    ids=["the fullest", "its memory lacks", "its CPUs lack", "memory alone is requested"],
)
def test_both_twins_move_a_job_where_all_that_it_asks_is_free(gib: int, cpus: int | None, free_gpus: list[int]) -> None:
    """Worst fit spreads three jobs: the first goes to the node of the second, of two GPUs, or to that of the third."""
    jobs = [(0.0, 9000.0, 1.0), (0.0, 9000.0, 2.0), (0.0, 9000.0, 1.0)]
    codec = CodecLayout(max_pools=1, window_slots=3, consolidation=True, consolidation_interval_seconds=60.0)
    physics = PhysicsConfig(second_resources=True)
    config = EnvironmentConfig(packer="worst-fit", codec=codec, physics=physics, debug=True)
    pool = PoolConfig("gpu", max_nodes=3, min_nodes=3, cpus_per_node=10.0, memory_gib_per_node=100.0)
    trace = make_trace(
        jobs,
        cpu_milli=[1000, None if cpus is None else 1000 * cpus, 1000],
        memory_mib=[1024, 1024 * gib, 1024],
        checkpoint_interval_seconds=[600.0, None, None],
    )
    problem = make_problem(trace, ClusterConfig((pool,)), config)
    fast, slow = both_simulators(problem, whole(problem))
    action = np.ones(len(codec.action_sizes), np.int64)
    while slow.totals[0].moves == 0 and slow.now < 5_000_000:
        action[-1] = CONSOLIDATION_CHOICES.index("one" if slow.mask[-2] else "none")
        step_both(fast, slow, action)
    assert sorted(node.free for node in slow.nodes) == free_gpus
    nodes = [run.parts[0][0] for run in slow.running]
    assert nodes[0] is nodes[1 if free_gpus[0] == 5 else 2]


def test_both_twins_keep_a_job_where_only_gpus_are_free_elsewhere() -> None:
    """Two nodes with a job of one GPU and six of ten CPUs each: nothing can be moved, and the lever is not valid."""
    codec = CodecLayout(max_pools=1, window_slots=3, consolidation=True, consolidation_interval_seconds=0.0)
    physics = PhysicsConfig(second_resources=True)
    config = EnvironmentConfig(codec=codec, physics=physics, debug=True)
    trace = make_trace(
        [(0.0, 9000.0, 1.0), (0.0, 9000.0, 1.0)], cpu_milli=[6000, 6000], checkpoint_interval_seconds=[600.0, 600.0]
    )
    problem = make_problem(trace, ClusterConfig((POOL,)), config)
    fast, slow = both_simulators(problem, whole(problem))
    while len(slow.running) < 2:
        action = np.ones(len(codec.action_sizes), np.int64)
        step_both(fast, slow, action)
    assert slow.snapshot.pools[0, [Pool.EMPTIABLE_NODES, Pool.CONSOLIDATABLE]].tolist() == [2.0, 0.0]
    assert slow.mask[-3:].tolist() == [True, False, False]


@pytest.mark.parametrize(
    "wrong", [{"cpus_per_node": 0.0}, {"memory_gib_per_node": float("inf")}, {"linked_gpus": 0}, {"linked_gpus": 9}]
)
def test_impossible_nodes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ClusterError, match=next(iter(wrong))):
        PoolConfig("gpu", max_nodes=1, **wrong)


def test_negative_requests_are_refused() -> None:
    with pytest.raises(TraceValueError, match="below 0"):
        make_trace([(0.0, 1.0, 1.0)], cpu_milli=[-1])


def test_lists_of_nodes_are_grouped_by_cpus_and_memory_when_asked() -> None:
    import pyarrow as pa

    columns = {"node_id": ["a", "b", "c"], "gpu_model": ["T4"] * 3, "gpus": [2] * 3}
    columns |= {"cpu_milli": [64000, 96000, 96000], "memory_mib": [262144] * 3, "switches": [None] * 3}
    nodes = Nodes(pa.table(columns, schema=NODE_SCHEMA))
    assert [pool.max_nodes for pool in cluster_from_nodes(nodes).pools] == [3]
    pools = cluster_from_nodes(nodes, second_resources=True).pools
    assert [(pool.max_nodes, pool.cpus_per_node, pool.memory_gib_per_node) for pool in pools] == [
        (2, 96.0, 256.0),
        (1, 64.0, 256.0),
    ]


@pytest.mark.parametrize("packer", ["best-fit", "fgd", "topology-aware", "lifetime-aware"])
def test_the_lifetime_aware_packer_puts_jobs_that_end_late_together(packer: str) -> None:
    """Beside a long job there is more free than a long job needs, beside a short one just enough."""
    pool = PoolConfig("gpu", max_nodes=2, min_nodes=2, gpus_per_node=2, cpus_per_node=4.0)
    jobs = [(0.0, 90000.0, 1.0), (0.0, 1000.0, 1.0), (100.0, 80000.0, 1.0)]
    play = Play(problem_of(jobs, (pool,), packer, cpu_milli=[2500, 3000, 1000]))
    play.run(300.0)
    nodes = play.simulator._world.clusters.detail.node[0, :2]
    full = nodes[nodes[:, ns.WHOLE] == 0]
    assert full[0, ns.FREE_CPU] == (500 if packer == "lifetime-aware" else 0)


@WORLD
@given(problem=problems(detailed=True, max_jobs=20), seed=st.integers(0, 2**32 - 1))
def test_no_node_gives_more_than_it_has_and_in_the_end_has_everything(problem: Problem, seed: int) -> None:
    simulator = Simulator.from_problem(problem)
    simulator.reset_all()
    generator = np.random.default_rng(seed)
    detail = simulator._world.clusters.detail
    for _ in range(100):
        if simulator.is_done():
            break
        simulator.step(generator.integers(problem.config.codec.action_sizes)[None])
        assert detail.node[0, :, [ns.FREE_CPU, ns.FREE_MEMORY, ns.PODS]].min() >= 0
        assert detail.gpu.min() >= 0
    simulator.replay(np.array([problem.config.codec.setpoint(600.0, 0.0)]))
    for pool, row in enumerate(problem.pools):
        nodes = slice(row[columns.NODE_OFFSET], row[columns.NODE_OFFSET] + row[columns.MAX_NODES])
        assert (detail.gpu[0, nodes, : row[columns.GPUS]] == 1000).all()
        for column, limit in ((ns.FREE_CPU, columns.NODE_CPU), (ns.FREE_MEMORY, columns.NODE_MEMORY)):
            if problem.pools[pool, limit] >= 0:
                assert (detail.node[0, nodes, column] == row[limit]).all()
