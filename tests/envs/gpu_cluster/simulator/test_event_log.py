"""The event log says what happened, row by row, and changes nothing."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from agents.baselines import ConstantSetpoint
from envs.errors import SimulatorError
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import state as columns
from envs.gpu_cluster.simulator.log import SCHEMA
from envs.gpu_cluster.simulator.problem import Problem
from tests.envs.gpu_cluster.builders import small_problem
from tests.envs.gpu_cluster.worlds import kernel_property, problems

MINUTE_MS = 60_000


def replay(problem: Problem, log_rows: int = 4096) -> Simulator:
    """The whole trace under Cluster Autoscaler's rule, consolidating where that lever is on."""
    simulator = Simulator.from_problem(problem, log_rows=log_rows)
    simulator.reset_all()
    simulator.replay(ConstantSetpoint(problem.config.codec, consolidation=2).rule[None])
    return simulator


def rows(simulator: Simulator, event: str) -> list[dict[str, object]]:
    """The rows of one kind of event."""
    log = simulator.event_log()
    return log.filter(pc.equal(log["event"].cast("string"), event)).to_pylist()


@pytest.mark.slow
def test_a_gang_has_a_row_for_each_node_and_nodes_have_a_life() -> None:
    problem = small_problem([(0.0, 3600.0, 12.0)], pools=[PoolConfig("gpu", max_nodes=3, boot_seconds=300.0)])
    simulator = replay(problem)
    orders, starts = rows(simulator, "node_order"), rows(simulator, "job_start")
    assert [row["node"] for row in orders] == [0, 1]
    assert {row["time_ms"] for row in rows(simulator, "node_ready")} == {300_000}
    assert sorted(row["value"] for row in starts) == [4000, 8000]
    assert {row["node"] for row in starts} == {0, 1}
    ends = rows(simulator, "job_end")
    assert {row["time_ms"] for row in ends} == {starts[0]["time_ms"] + 3_600_000}
    assert {(row["node"], row["value"]) for row in ends} == {(row["node"], row["value"]) for row in starts}


def test_a_move_is_logged_with_its_new_node() -> None:
    """Two half-empty nodes: the job of the emptier one moves to the other."""
    problem = small_problem(
        [(0.0, 36_000.0, 4.0), (0.0, 600.0, 4.0), (1.0, 36_000.0, 3.0), (1.0, 36_000.0, 1.0)],
        pools=[PoolConfig("gpu", max_nodes=3, boot_seconds=0.0)],
        codec=CodecLayout(max_pools=1, window_slots=4, consolidation=True, consolidation_interval_seconds=1200.0),
        checkpoint_interval_seconds=[600.0] * 4,
    )
    simulator = replay(problem)
    (move,) = rows(simulator, "job_move")
    assert simulator.pool_totals()[0].moves == 1
    start = next(row for row in rows(simulator, "job_start") if row["job"] == move["job"])
    assert move["node"] != start["node"]
    assert move["value"] == start["value"]


@pytest.mark.slow
@kernel_property(examples=40)
@given(problem=problems(max_jobs=20))
def test_it_changes_nothing_and_agrees_with_the_records_of_the_jobs(problem: Problem) -> None:
    logged, plain = replay(problem, 100_000), replay(problem, 0)
    np.testing.assert_array_equal(logged._world.clusters.pool, plain._world.clusters.pool)
    queue = logged._world.clusters.queue[0]
    first: dict[object, object] = {}
    for row in rows(logged, "job_start"):
        first.setdefault(row["job"], row["time_ms"])
    assert first == dict(enumerate(queue[: problem.num_jobs, columns.JOB_START].tolist()))
    assert {row["job"]: row["time_ms"] for row in rows(logged, "job_end")} == dict(
        enumerate(queue[: problem.num_jobs, columns.JOB_END].tolist())
    )
    assert len(rows(logged, "node_order")) == sum(pool.nodes_added for pool in logged.pool_totals())
    assert len(rows(logged, "node_off")) == sum(pool.nodes_removed for pool in logged.pool_totals())
    times = np.array(logged.event_log()["time_ms"])
    assert (np.diff(times) >= 0).all()


def test_it_is_drained_on_the_way_and_says_when_it_is_too_small() -> None:
    problem = small_problem([(float(1000 * index), 60.0, 1.0) for index in range(300)])
    whole, drained = replay(problem, 100_000).event_log(), replay(problem, 64).event_log()
    assert whole.equals(drained)
    crowd = small_problem([(0.0, 60.0, 1.0) for _ in range(300)], pools=[PoolConfig("gpu", max_nodes=40)])
    with pytest.raises(SimulatorError, match="raise log_rows"):
        replay(crowd, 64)


def test_it_goes_to_parquet_and_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    log = replay(small_problem([(0.0, 60.0, 1.0)])).event_log()
    path = tmp_path_factory.mktemp("log") / "events.parquet"
    pq.write_table(log, path)
    assert log.schema.equals(SCHEMA)
    assert pq.read_table(path).equals(log)
