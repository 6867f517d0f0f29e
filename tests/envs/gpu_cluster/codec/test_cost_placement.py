"""Where a job goes by default where pools differ in what they cost: worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.gpu_cluster.codec import CodecLayout, Pool, PoolSignal, Signal, Slot, empty_plan, empty_snapshot
from envs.gpu_cluster.codec.packing import boot_cost, default_pool, plan_window, run_cost, start_plan
from envs.gpu_cluster.codec.snapshot import ClusterSnapshot
from tests.envs.gpu_cluster.codec.snapshots import add_job, add_pool

LAYOUT = CodecLayout(max_pools=2, window_slots=2)
TABLES = LAYOUT.tables()
FAST, SLOW = 0, 1
USD_PER_GPU_HOUR = 1.0
# At work a fast GPU draws 800 / 8 + 300 = 400 W: 0.08 USD an hour at 0.2 USD/kWh. A slow one draws 100 W: 0.02 USD.
FAST_POOL = {"idle_node_watts": 800.0, "busy_gpu_watts": 300.0}
SLOW_POOL = {"idle_node_watts": 160.0, "busy_gpu_watts": 80.0}


def fleet(
    fast: dict[str, float] | None = None, slow: dict[str, float] | None = None, layout: CodecLayout = LAYOUT
) -> ClusterSnapshot:
    """A fast and a slow pool with an idle node each, unless it is said otherwise."""
    snapshot = empty_snapshot(layout)
    add_pool(snapshot, FAST, **{"idle_nodes": 1.0, **FAST_POOL, **(fast or {})})
    add_pool(snapshot, SLOW, **{"idle_nodes": 1.0, **SLOW_POOL, **(slow or {})})
    snapshot.signals[Signal.USD_PER_GPU_HOUR] = USD_PER_GPU_HOUR
    return snapshot


def choice(
    snapshot: ClusterSnapshot,
    slow_speed: float,
    predicted_seconds: float = 0.0,
    layout: CodecLayout = LAYOUT,
    transfer_gb: tuple[float, float] = (0.0, 0.0),
) -> int:
    """The default pool of a job of one GPU that runs at speed 1 in the fast pool."""
    plan = empty_plan(layout)
    start_plan(snapshot, layout.tables(), plan)
    speeds, data = np.array([1.0, slow_speed]), np.array(transfer_gb)
    return default_pool(snapshot, layout.tables(), plan, 1.0, speeds, data, predicted_seconds)


def test_the_cost_of_a_run_is_its_energy_its_node_and_its_time() -> None:
    snapshot = fleet({"usd_per_node_hour": 8.0})
    fast, slow = (
        run_cost(snapshot, TABLES, pool, 1.0, speed, 0.0, 1800.0) for pool, speed in ((FAST, 1.0), (SLOW, 0.5))
    )
    assert fast == pytest.approx(0.5 * (0.08 + 8.0 / 8 + 1.0), rel=1e-12)
    assert slow == pytest.approx(1.0 * (0.02 + 1.0), rel=1e-12)


TRANSFER = {"transfer_seconds_per_gb": 3.6, "transfer_kwh_per_gb": 0.01, "transfer_usd_per_gb": 0.02}


def test_the_cost_of_a_run_away_from_its_data_has_the_wait_of_its_gpus_and_the_network() -> None:
    # 100 GB take 360 s, in which 2 GPUs work for nothing, 1 kWh, and 2 USD.
    found = run_cost(fleet(slow=TRANSFER), TABLES, SLOW, 2.0, 1.0, 100.0, 1800.0)
    assert found == pytest.approx((0.5 + 0.1) * (0.02 + 1.0) + (1.0 * 0.2 + 2.0) / 2.0, rel=1e-12)


@pytest.mark.parametrize(("hours", "pool"), [(38.0, FAST), (39.0, SLOW)])
def test_a_job_leaves_its_data_only_where_the_lower_price_pays_the_transfer(hours: float, pool: int) -> None:
    """0.06 USD an hour are saved; 100 GB cost 0.1 h * 1.02 and 2.2 USD: equal after 38.4 h."""
    snapshot = fleet(slow=TRANSFER)
    assert choice(snapshot, 1.0, 3600.0 * hours) == SLOW, "no data"
    assert choice(snapshot, 1.0, 3600.0 * hours, transfer_gb=(0.0, 100.0)) == pool
    assert choice(snapshot, 1.0, 3600.0 * hours, transfer_gb=(100.0, 0.0)) == SLOW, "its data are there"


def test_the_cost_of_a_boot_is_the_wait_and_the_energy_of_the_nodes_that_boot() -> None:
    snapshot = fleet()
    wait, node = 300 / 3600 * 1.0, 300 / 3600 * 0.8 * 0.2
    assert boot_cost(snapshot, TABLES, FAST, 1.0, 1.0) == pytest.approx(wait + node, rel=1e-12)
    assert boot_cost(snapshot, TABLES, FAST, 2.0, 16.0) == pytest.approx(wait + 2 * node / 16, rel=1e-12)
    assert boot_cost(snapshot, TABLES, FAST, 0.0, 1.0) == pytest.approx(wait / 2, rel=1e-12), "a node that is coming"


def test_a_job_goes_to_the_pool_that_needs_less_energy() -> None:
    assert choice(fleet(), slow_speed=1.0) == SLOW


@pytest.mark.parametrize(("speed", "pool"), [(0.95, SLOW), (0.94, FAST)])
def test_a_slower_pool_is_taken_while_what_it_saves_pays_the_delay(speed: float, pool: int) -> None:
    """1.02 / speed against 1.08 USD for each GPU-hour: they are equal at 0.9444."""
    assert choice(fleet(), speed) == pool


@pytest.mark.parametrize(("seconds", "pool"), [(5000.0, FAST), (5400.0, SLOW)])
def test_a_long_job_pays_for_the_boot_of_the_cheaper_pool(seconds: float, pool: int) -> None:
    """0.06 USD an hour are saved; the boot costs 0.0833 of waiting and 0.0027 of energy: equal after 5,160 s."""
    assert choice(fleet(slow={"idle_nodes": 0.0}), 1.0, seconds) == pool


def test_a_job_of_unknown_length_counts_as_one_of_the_expected_length() -> None:
    snapshot = fleet(slow={"idle_nodes": 0.0})
    assert choice(snapshot, 1.0) == FAST
    assert choice(snapshot, 1.0, layout=replace(LAYOUT, expected_run_seconds=5400.0)) == SLOW


def test_a_cheaper_pool_that_is_full_is_not_waited_for() -> None:
    assert choice(fleet(slow={"idle_nodes": 0.0, "busy_nodes": 20.0}), 1.0, 1e6) == FAST


def test_the_price_of_nodes_decides_between_pools_of_equal_power() -> None:
    assert choice(fleet({"usd_per_node_hour": 16.0}, {**FAST_POOL, "usd_per_node_hour": 4.0}), 1.0) == SLOW


def test_where_signals_are_shown_their_price_over_the_run_decides() -> None:
    """Energy costs 0.2 USD/kWh now in both; from the third hour on it is dear in the first pool."""
    layout = replace(LAYOUT, signals=True)
    snapshot = fleet(slow=FAST_POOL, layout=layout)
    snapshot.pool_signals[:, PoolSignal.USD_PER_KWH :] = 0.2
    snapshot.pool_signals[FAST, PoolSignal.USD_PER_KWH + 2 :] = 0.9
    assert choice(snapshot, 1.0, 7200.0, layout) == FAST
    assert choice(snapshot, 1.0, 7201.0, layout) == SLOW
    assert choice(snapshot, 1.0, 7201.0) == FAST


def test_between_equal_pools_the_first_is_taken_and_the_order_can_be_the_priority() -> None:
    assert choice(fleet(slow=FAST_POOL), 1.0) == FAST
    assert choice(fleet(), 1.0, layout=replace(LAYOUT, cost_aware_placement=False)) == FAST


def test_the_predicted_length_of_a_job_in_the_window_counts() -> None:
    snapshot, plan = fleet(slow={"idle_nodes": 0.0}), empty_plan(LAYOUT)
    add_job(snapshot, 0, 1.0, pools=(FAST, SLOW))
    plan_window(snapshot, TABLES, plan)
    assert plan.new_nodes.tolist() == [0.0, 0.0]
    snapshot.queue[0, Slot.PREDICTED_SECONDS] = 1e5
    plan_window(snapshot, TABLES, plan)
    assert plan.new_nodes.tolist() == [0.0, 1.0]
    assert plan.idle_nodes[FAST] == snapshot.pools[FAST, Pool.IDLE_NODES]
