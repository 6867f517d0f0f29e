"""What makes a running job faster or slower, and the levers that do, against numbers that are worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from agents.baselines import ConstantSetpoint
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.codec import POWER_CAP_FRACTIONS, CodecLayout
from envs.gpu_cluster.codec.levers import GROW, KEEP, SHRINK
from envs.gpu_cluster.config import CurvesConfig, PhysicsConfig
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import state as st
from tests.envs.gpu_cluster.builders import Job, small_problem

POOL = PoolConfig("gpu", max_nodes=3, boot_seconds=0.0)
NO_CAP, CAP_70 = 0, POWER_CAP_FRACTIONS.index(0.7)


def replay(jobs: list[Job], choices: tuple[int, int, int] = (0, NO_CAP, KEEP), **options: Any) -> Simulator:
    """A replay with the same choices of consolidation, power cap and width in every decision, one each 100 s."""
    levers = {"consolidation": True, "power_caps": True, "elastic_width": True}
    problem = small_problem(
        jobs,
        [options.get("pool", POOL)],
        codec=CodecLayout(max_pools=1, window_slots=4, consolidation_interval_seconds=1200.0, **levers),
        columns=options.get("columns"),
        physics=PhysicsConfig(curves=options.get("curves", CurvesConfig())),
        resync_interval_seconds=100.0,
    )
    simulator = Simulator.from_problem(problem)
    simulator.reset_all()
    consolidation, power_cap, width = choices
    rule = ConstantSetpoint(problem.config.codec, consolidation=consolidation, power_cap=power_cap, width=width).rule
    simulator.replay(rule[None])
    return simulator


def run_seconds(simulator: Simulator) -> list[float]:
    """From the start to the end of each job."""
    rows = simulator._world.clusters.queue[0, : simulator.problem.num_jobs]
    return ((rows[:, st.JOB_END] - rows[:, st.JOB_START]) / 1000).tolist()


def test_a_job_takes_longer_on_a_slower_gpu_model() -> None:
    """Gavel: resnet50 runs on a K80 at 0.15 times its speed on a V100; what has no name at the median, 0.254."""
    pool = PoolConfig("gpu", max_nodes=2, boot_seconds=0.0, gpu_model="K80")
    curves = CurvesConfig(speeds="preset:gavel", reference_model="V100")
    jobs = [(0.0, 300.0, 4.0), (0.0, 254.0, 4.0)]
    simulator = replay(jobs, pool=pool, curves=curves, columns={"workload": ["resnet50", None]})
    assert run_seconds(simulator) == [2000.0, 1000.0]
    assert simulator.pool_totals()[0].used_milli_ms == 4000 * 3_000_000
    assert simulator.pool_totals()[0].overhead_milli_ms == 4000 * (1_700_000 + 746_000)


def test_a_gang_on_two_nodes_is_slower_than_on_one() -> None:
    """Pollux: bert runs on two nodes at 0.434 times its speed on one."""
    jobs = [(0.0, 434.0, 12.0), (0.0, 434.0, 4.0)]
    columns = {"workload": ["bert", "bert"]}
    assert run_seconds(replay(jobs, curves=CurvesConfig(spread="preset:pollux"), columns=columns)) == [1000.0, 434.0]


def test_under_a_power_cap_a_job_takes_longer_and_its_gpus_take_less_power() -> None:
    """Zeus: at 70 % of its limit, a V100 gives resnet50 0.9035 of the speed at 0.7425 of the power."""
    jobs, columns = [(0.0, 903.5, 8.0)], {"workload": ["resnet50"]}
    options = {"curves": CurvesConfig(power_caps="preset:V100"), "columns": columns}
    free, capped = replay(jobs, **options), replay(jobs, (0, CAP_70, KEEP), **options)
    assert run_seconds(free) == [903.5]
    assert run_seconds(capped) == [1000.0]
    power = POOL.power
    gpu, host = power.gpu_busy_watts, power.host_watts / 8
    assert free.energy().busy == pytest.approx(903.5 * 8 * (gpu + host) / 3.6e6)
    assert capped.energy().busy == pytest.approx(1000 * 8 * (0.7425 * gpu + host) / 3.6e6)


def test_a_job_that_is_widened_ends_earlier_after_a_restart() -> None:
    """100 s on 4 GPUs, 30 s without progress, then the other 900 s of work on 8 GPUs in half of the time."""
    columns = {"min_gpus": [4], "max_gpus": [16]}
    simulator = replay([(0.0, 1000.0, 4.0)], (0, NO_CAP, GROW), columns=columns)
    assert run_seconds(simulator) == [580.0]
    assert simulator.pool_totals()[0].used_milli_ms == 4000 * 100_000 + 8000 * 480_000
    assert simulator.pool_totals()[0].resizes == 1


def test_a_job_that_is_narrowed_ends_later() -> None:
    """100 s on 4 GPUs, 30 s without progress, then the other 900 s of work on 2 GPUs."""
    columns = {"min_gpus": [2], "max_gpus": [4]}
    simulator = replay([(0.0, 1000.0, 4.0)], (0, NO_CAP, SHRINK), columns=columns)
    assert run_seconds(simulator) == [1930.0]
    assert simulator.pool_totals()[0].used_milli_ms == 4000 * 100_000 + 2000 * 1_830_000


def test_a_job_that_is_moved_ends_later_by_the_move_and_its_node_goes() -> None:
    """When the second job ends, that of 3 GPUs is alone on its node; it moves beside that of 4, in 120 s."""
    jobs = [(0.0, 36_000.0, 4.0), (0.0, 600.0, 4.0), (1.0, 36_000.0, 3.0)]
    columns = {"checkpoint_interval_seconds": [600.0] * 3}
    stay, moved = replay(jobs, columns=columns), replay(jobs, (2, NO_CAP, KEEP), columns=columns)
    assert run_seconds(stay) == [36_000.0, 600.0, 36_000.0]
    assert run_seconds(moved) == [36_000.0, 600.0, 36_120.0]
    assert moved.pool_totals()[0].moves == 1
    busy_hours = [simulator.pool_totals()[0].busy_node_ms / 3.6e6 for simulator in (stay, moved)]
    assert busy_hours[0] > 19.9
    assert busy_hours[1] < 10.5
