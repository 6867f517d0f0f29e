"""What happens in a cluster, against numbers that are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.codec import ALWAYS_ON, HEADROOM_FRACTIONS, IDLE_AGE_EDGES_SECONDS, CodecLayout, Pool
from envs.gpu_cluster.config import ObjectiveConfig
from envs.gpu_cluster.episodes import episode_of
from envs.gpu_cluster.power import PowerConfig, StateWatts
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.packing.counted import COUNTED
from tests.envs.gpu_cluster.builders import Play, small_problem

JOULES_PER_KWH = 3.6e6
IDLE_WATTS = 300.0 + 8 * 34.8
HOST_SHARE = 300.0 / 8


def test_a_job_on_an_empty_cluster_waits_for_a_boot_and_pays_for_its_node() -> None:
    play = Play(small_problem([(0.0, 3600.0, 2.0)])).run()
    assert play.starts() == [300.0]
    assert play.now == 3900.0
    energy = play.simulator.energy()
    assert energy.boot == pytest.approx(300 * IDLE_WATTS / JOULES_PER_KWH, rel=1e-12)
    assert energy.busy == pytest.approx(3600 * 2 * (305.6 + HOST_SHARE) / JOULES_PER_KWH, rel=1e-12)
    assert energy.fragmentation == pytest.approx(3600 * 6 * (34.8 + HOST_SHARE) / JOULES_PER_KWH, rel=1e-12)
    assert energy.idle == energy.off == 0.0
    on_ms = play.pool()[[st.IDLE_NODE_MS, st.BUSY_NODE_MS, st.BOOT_NODE_MS]].sum()
    assert on_ms / 3.6e6 == pytest.approx(3900 / 3600)
    assert play.clock[st.WAITED_MILLI_MS] == 2000 * 300_000
    assert play.pool()[[st.NODES_ADDED, st.SCALE_UPS, st.NODES_REMOVED, st.SCALE_DOWNS]].tolist() == [1, 1, 0, 0]


def test_the_reward_is_minus_the_money_of_everything_but_working_gpus() -> None:
    prices = ObjectiveConfig(usd_per_kwh=0.2, usd_per_gpu_hour=0.3)
    play = Play(small_problem([(0.0, 3600.0, 2.0)], objective=prices)).run()
    energy = play.simulator.energy()
    waiting = 2 * 300 / 3600 * 0.3
    assert -play.rewards[0] == pytest.approx(0.2 * energy.boot + waiting, rel=1e-12)
    assert -sum(play.rewards) == pytest.approx(0.2 * (energy.boot + energy.fragmentation) + waiting, rel=1e-12)


def test_power_of_boot_and_off_and_the_site_overhead_count() -> None:
    power = PowerConfig(gpu_idle_watts=10, gpu_busy_watts=100, host_watts=40, boot_watts=500, off_watts=5, pue=1.5)
    pool = PoolConfig("gpu", max_nodes=3, gpus_per_node=4, boot_seconds=120.0, power=power)
    energy = Play(small_problem([(0.0, 1000.0, 4.0)], [pool])).run().simulator.energy()
    assert energy.boot == pytest.approx(1.5 * 120 * 500 / JOULES_PER_KWH)
    assert energy.off == pytest.approx(1.5 * 2 * 1120 * 5 / JOULES_PER_KWH)
    assert energy.busy == pytest.approx(1.5 * 1000 * 4 * (100 + 10) / JOULES_PER_KWH)
    assert energy.fragmentation == energy.idle == 0.0


class Liquid(PowerConfig):
    """A custom power model: the host draws nothing, and a node that is off as much as one that boots."""

    def watts(self, gpus_per_node: int) -> StateWatts:
        return super().watts(gpus_per_node)._replace(idle_node=7.0, unused_gpu=1.0, boot_node=500.0, off_node=500.0)


def test_a_power_model_is_one_method() -> None:
    pool = PoolConfig("gpu", max_nodes=3, gpus_per_node=4, boot_seconds=120.0, power=Liquid(gpu_busy_watts=100))
    problem = small_problem([(0.0, 1000.0, 3.0)], [pool])
    energy = Play(problem).run().simulator.energy()
    assert energy.boot == pytest.approx(120 * 500 / JOULES_PER_KWH)
    assert energy.off == pytest.approx(2 * 1120 * 500 / JOULES_PER_KWH)
    assert energy.fragmentation == pytest.approx(1000 * 1 / JOULES_PER_KWH)
    assert problem.template[0, Pool.IDLE_NODE_WATTS] == 7.0


def test_a_gang_starts_on_all_its_nodes_or_not_at_all() -> None:
    """The second job needs both nodes, so it waits for the first; the third one takes the node that is free."""
    jobs = [(0.0, 1000.0, 4.0), (0.0, 500.0, 16.0), (0.0, 100.0, 8.0)]
    play = Play(small_problem(jobs)).run(until=300.0)
    play.step()
    assert play.starts() == [300.0, None, 300.0]
    assert play.run().starts() == [300.0, 1300.0, 300.0]


def test_a_waiting_gang_keeps_the_idle_node_that_it_will_need() -> None:
    """The idle node is 1,000 s old when the gang starts, past the time-out of 600 s."""
    play = Play(small_problem([(0.0, 1000.0, 4.0), (0.0, 500.0, 16.0)])).run()
    assert play.starts() == [300.0, 1300.0]
    assert play.pool()[[st.NODES_ADDED, st.NODES_REMOVED]].tolist() == [2, 0]
    assert play.totals().idle_node_ms == 1_000_000


def test_a_gang_takes_whole_nodes_and_leaves_the_rest_of_the_last_one() -> None:
    play = Play(small_problem([(0.0, 1000.0, 11.0), (0.0, 1000.0, 5.0)])).run(until=300.0)
    play.step()
    assert play.starts() == [300.0, 300.0]
    assert play.pool()[st.BUSY] == 2
    free = play.pool()[st.FREE_COUNT : st.FREE_COUNT + 9]
    assert free.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0]


def test_jobs_share_one_gpu_while_their_shares_fit() -> None:
    pool = PoolConfig("gpu", max_nodes=1, gpus_per_node=1)
    jobs = [(0.0, 600.0, 0.5), (0.0, 1200.0, 0.5), (0.0, 100.0, 0.25)]
    play = Play(small_problem(jobs, [pool])).run()
    assert play.starts() == [300.0, 300.0, 900.0]
    assert play.totals().used_milli_ms == 500 * 600_000 + 500 * 1_200_000 + 250 * 100_000
    assert play.totals().busy_node_ms == 1_200_000


def test_a_gpu_that_is_shared_is_no_whole_gpu() -> None:
    pool = PoolConfig("gpu", max_nodes=1, gpus_per_node=2)
    play = Play(small_problem([(0.0, 600.0, 0.1), (0.0, 100.0, 2.0), (0.0, 100.0, 1.0)], [pool])).run()
    assert play.starts() == [300.0, 900.0, 300.0]


def test_shares_do_not_spread_over_two_gpus() -> None:
    """Two GPUs with 0.4 left each hold no job of 0.6."""
    pool = PoolConfig("gpu", max_nodes=1, gpus_per_node=2)
    play = Play(small_problem([(0.0, 600.0, 0.6), (0.0, 700.0, 0.6), (0.0, 100.0, 0.6)], [pool])).run()
    assert play.starts() == [300.0, 300.0, 900.0]


@pytest.mark.parametrize("timeout", IDLE_AGE_EDGES_SECONDS)
def test_an_idle_node_goes_at_its_time_out_exactly(timeout: float) -> None:
    """The node is idle from 360 s on; the next job comes long after."""
    problem = small_problem([(0.0, 60.0, 1.0), (20000.0, 60.0, 1.0)], [PoolConfig("gpu", max_nodes=1)])
    play = Play(problem, timeout).run(until=19000.0)
    assert play.totals().idle_node_ms == timeout * 1000
    assert play.totals().nodes_removed == 1
    assert play.run().starts() == [300.0, 20300.0]


def test_always_on_orders_every_node_and_keeps_it() -> None:
    play = Play(small_problem([(0.0, 60.0, 1.0), (9000.0, 60.0, 1.0)]), IDLE_AGE_EDGES_SECONDS[-1], ALWAYS_ON).run()
    assert play.starts() == [300.0, 9000.0]
    assert play.pool()[[st.NODES_ADDED, st.NODES_REMOVED]].tolist() == [2, 0]


@pytest.mark.parametrize(("headroom", "spare"), list(zip(HEADROOM_FRACTIONS, [0, 1, 2, 3, 6, 10], strict=True)))
def test_headroom_is_a_reserve_of_idle_nodes_rounded_up(headroom: float, spare: int) -> None:
    """Ten nodes in demand: 5 % is one node, 15 % two."""
    problem = small_problem([(0.0, 5000.0, 80.0), (5000.0, 1.0, 1.0)], [PoolConfig("gpu", max_nodes=20)])
    play = Play(problem, 600.0, headroom).run(until=4000.0)
    assert play.simulator.snapshot().pools[0, [Pool.BUSY_NODES, Pool.IDLE_NODES]].tolist() == [10, spare]


def test_nodes_never_go_below_the_minimum() -> None:
    pool = PoolConfig("gpu", max_nodes=3, min_nodes=2)
    play = Play(small_problem([(0.0, 60.0, 1.0), (9000.0, 60.0, 1.0)], [pool]), 0.0).run(until=8000.0)
    assert play.starts()[0] == 0.0
    assert play.simulator.snapshot().pools[0, Pool.IDLE_NODES] == 2
    assert play.pool()[[st.NODES_ADDED, st.NODES_REMOVED]].tolist() == [0, 0]


def test_decisions_follow_events_within_the_interval_and_the_resync() -> None:
    """Orders at 0 and, for the job of second 10, at 60; a resync at 960; jobs end at 1300 and 1360."""
    play = Play(small_problem([(0.0, 1000.0, 8.0), (10.0, 1000.0, 8.0)])).run()
    assert play.times == [0.0, 60.0, 300.0, 360.0, 960.0, 1300.0, 1360.0]
    assert play.starts() == [300.0, 360.0]


def test_without_events_decisions_come_at_the_resync_interval() -> None:
    problem = small_problem([(0.0, 5000.0, 8.0)], settle_seconds=30.0, resync_interval_seconds=1000.0)
    assert Play(problem).run().times == [0.0, 300.0, 1300.0, 2300.0, 3300.0, 4300.0, 5300.0]


@pytest.mark.parametrize(
    ("packer", "max_nodes", "free"),
    [
        ("best-fit", 4, {0: 1, 4: 1}),
        ("first-fit", 4, {2: 2}),
        ("worst-fit", 4, {2: 1, 4: 1, 6: 1}),
        ("best-fit", 2, {0: 1, 4: 1}),
        ("first-fit", 2, {2: 2}),
        ("worst-fit", 2, {2: 2}),
    ],
)
def test_packers_choose_their_node(packer: str, max_nodes: int, free: dict[int, int]) -> None:
    """Six GPUs go to the last node, four to the one before; two more find 2 free there, 4 free here, or idle nodes."""
    jobs = [(0.0, 5000.0, 6.0), (0.0, 5000.0, 4.0), (0.0, 5000.0, 2.0)]
    pool = PoolConfig("gpu", max_nodes=max_nodes, min_nodes=max_nodes)
    play = Play(small_problem(jobs, [pool], packer=packer))
    play.step()
    counts = play.simulator.snapshot().free_nodes[0]
    assert {size: int(count) for size, count in enumerate(counts) if count} == free


def test_every_packer_is_tested() -> None:
    assert set(COUNTED) == {"best-fit", "first-fit", "worst-fit"}


def test_models_restrict_where_a_job_may_run() -> None:
    pools = [
        PoolConfig("a", max_nodes=1, gpu_model="A100"),
        PoolConfig("v", max_nodes=2, gpu_model="V100"),
        PoolConfig("any", max_nodes=1),
    ]
    jobs = [(0.0, 100.0, 1.0), (0.0, 100.0, 1.0), (0.0, 100.0, 1.0), (0.0, 100.0, 16.0)]
    models = [["V100"], None, ["A100", "V100"], None]
    play = Play(small_problem(jobs, pools, models, CodecLayout(max_pools=3, window_slots=4)))
    assert play.simulator.snapshot().allowed.tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 1], [0, 1, 0]]
    play.run(until=300.0)
    play.step()
    used = [int(play.totals(index).used_milli_ms + play.pool(index)[st.USED_MILLI]) > 0 for index in range(3)]
    assert used == [False, True, False]  # the others follow the node that the first one ordered
    # It fits at 400, when the first job ends; the decision before was at 360, when the idle node turned 60 s old.
    assert play.run().starts()[3] == 420.0


def test_a_job_of_an_unknown_model_runs_in_pools_that_accept_any() -> None:
    pools = [PoolConfig("a", max_nodes=1, gpu_model="A100"), PoolConfig("any", max_nodes=1)]
    play = Play(small_problem([(0.0, 100.0, 1.0)], pools, [["T4"]]))
    assert play.simulator.snapshot().allowed[0].tolist() == [0, 1]


def test_an_episode_begins_with_the_jobs_that_then_run() -> None:
    """At second 400 the first job has 600 s to go, the second is over, the third comes at 500."""
    problem = small_problem([(0.0, 1000.0, 12.0), (10.0, 390.0, 4.0), (500.0, 50.0, 4.0)])
    play = Play(problem)
    play.simulator.reset(np.array([0]), episode_of(problem, 400.0))
    assert play.clock[[st.RUNNING, st.FIRST_JOB]].tolist() == [1, 2]
    assert play.simulator.snapshot().pools[0, [Pool.BUSY_NODES, Pool.IDLE_NODES, Pool.USED_GPUS]].tolist() == [2, 0, 12]
    play.run()
    assert play.starts() == [500.0]
    assert play.now == 1000.0
    assert play.totals().used_milli_ms == 12_000 * 600_000 + 4000 * 50_000
    assert play.clock[st.FINISHED] == 2


def test_a_window_ends_when_the_jobs_that_were_submitted_in_it_are_done() -> None:
    problem = small_problem([(0.0, 100.0, 1.0), (50.0, 100.0, 1.0), (100.0, 100.0, 1.0)])
    play = Play(problem)
    play.simulator.reset(np.array([0]), episode_of(problem, 0.0, 100.0))
    assert play.run().starts() == [300.0, 300.0]
    assert play.now == 400.0
    assert not play.clock[st.TRUNCATED]


def test_an_episode_that_runs_out_of_time_is_truncated_at_that_moment() -> None:
    problem = small_problem([(0.0, 5000.0, 1.0)])
    play = Play(problem)
    play.simulator.reset(np.array([0]), np.array([[0, 777_000, 1]]))
    play.run()
    assert play.now == 777.0
    assert play.clock[st.TRUNCATED]
    assert play.clock[st.FINISHED] == 0
