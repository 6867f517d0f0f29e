"""Jobs overflow to the next pool: worlds of several pools whose times can be worked out by hand, in both simulators."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.baselines import ConstantSetpoint
from envs.errors import ClusterError
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.codec import CodecLayout, Pool
from envs.gpu_cluster.lifecycle import BootConfig, FailureConfig, SpotConfig
from envs.gpu_cluster.placement import PriceSlopes
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import state as columns
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.simulator.reference import ReferenceSimulator
from tests.envs.gpu_cluster.builders import Job, small_problem
from tests.envs.gpu_cluster.players import Player
from tests.envs.gpu_cluster.side_by_side import assert_same_times, both_simulators, step_both, whole
from tests.envs.gpu_cluster.worlds import kernel_property, problems

WINDOWS = [CodecLayout(max_pools=3, window_slots=slots) for slots in (0, 1, 3)]
NO_STOCK = BootConfig(failure_probability=0.999999, timeout_seconds=100.0, backoff_seconds=300.0)
"""The provider never has a node."""


class Both:
    """Both simulators side by side under a fixed rule, to the end of the episode."""

    def __init__(self, problem: Problem, episode: tuple[int, int, int] | None = None) -> None:
        self.fast, self.slow = both_simulators(problem, episode or whole(problem))
        policy = ConstantSetpoint(problem.config.codec)
        while not self.slow.done:
            step_both(self.fast, self.slow, policy.act(self.fast.observations, self.fast.action_masks)[0])
        assert_same_times(self.fast, self.slow)

    @property
    def starts(self) -> list[float]:
        """When each job started, in s."""
        starts: list[float] = self.fast.job_times().start_seconds.tolist()
        return starts

    @property
    def added(self) -> list[int]:
        """Nodes that were ordered, by pool."""
        return [int(totals.nodes_added) for totals in self.fast.pool_totals()]


@pytest.mark.parametrize("codec", WINDOWS)
def test_two_equal_pools_of_which_the_first_is_full(codec: CodecLayout) -> None:
    """Both jobs get a node of their own at once: the second pool grows, and the third does not."""
    jobs: list[Job] = [(0.0, 1000.0, 8.0), (0.0, 1000.0, 8.0)]
    both = Both(small_problem(jobs, [PoolConfig("a", 1), PoolConfig("b", 4), PoolConfig("c", 4)], codec=codec))
    assert both.starts == [300.0, 300.0]
    assert both.added == [1, 1, 0]


@pytest.mark.parametrize("codec", WINDOWS)
def test_a_gang_goes_to_the_pool_that_has_place_for_all_of_it(codec: CodecLayout) -> None:
    """A node of the first pool is busy for longer, and the gang needs all four."""
    jobs: list[Job] = [(0.0, 9000.0, 8.0), (0.0, 1000.0, 32.0)]
    both = Both(small_problem(jobs, [PoolConfig("a", 4), PoolConfig("b", 4)], codec=codec))
    assert both.starts == [300.0, 300.0]
    assert both.added == [1, 4]


@pytest.mark.parametrize("codec", WINDOWS)
def test_a_job_goes_elsewhere_once_the_price_of_a_place_has_risen(codec: CodecLayout) -> None:
    """The first pool is the cheaper one until a node of it is busy: then its price is that of half of its nodes."""
    jobs: list[Job] = [(0.0, 5000.0, 8.0), (1000.0, 1000.0, 8.0), (6000.0, 1000.0, 8.0)]
    pools = [
        PoolConfig("a", 2, placement_slopes=PriceSlopes(busy=100.0)),
        PoolConfig("b", 2, placement_usd_per_node_hour=20.0),
    ]
    both = Both(small_problem(jobs, pools, codec=codec))
    assert both.added == [2, 1]
    fixed = [pools[0], replace(pools[1], placement_usd_per_node_hour=80.0)]
    assert Both(small_problem(jobs, fixed, codec=codec)).added[1] == 0


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("codec", WINDOWS)
def test_a_pool_without_nodes_is_closed(codec: CodecLayout, is_first: bool) -> None:
    pools = [PoolConfig("closed", 0), PoolConfig("open", 4)][:: 1 if is_first else -1]
    both = Both(small_problem([(0.0, 1000.0, 8.0), (500.0, 1000.0, 16.0)], pools, codec=codec))
    assert both.starts == [300.0, 800.0]
    assert both.added == ([0, 3] if is_first else [3, 0])
    with pytest.raises(ClusterError, match="fits in no pool"):
        small_problem([(0.0, 1000.0, 8.0)], [PoolConfig("closed", 0)], codec=codec)


@pytest.mark.parametrize("codec", WINDOWS)
def test_another_pool_takes_over_while_the_first_is_out_of_stock(codec: CodecLayout) -> None:
    """At 0 s the first pool is asked, and fails at 100 s: backoff until 400 s. At 1,000 s it is asked again, fails at
    1,100 s, and the backoff is twice as long, until 1,700 s, so that the job of 1,300 s goes to the second at once.
    """
    jobs: list[Job] = [(0.0, 5000.0, 8.0), (1000.0, 5000.0, 8.0), (1300.0, 5000.0, 8.0)]
    pools = [PoolConfig("a", 4, boot=NO_STOCK), PoolConfig("b", 4, boot_seconds=60.0)]
    codec = replace(codec, cost_aware_placement=False)  # the second pool, which boots sooner, would be cheaper
    both = Both(small_problem(jobs, pools, codec=codec))
    assert both.starts == [160.0, 1160.0, 1360.0]
    assert both.added == [2, 3]
    assert [totals.boot_failures for totals in both.fast.pool_totals()] == [2, 0]


def test_a_backoff_is_at_most_so_long_and_forgotten_after_its_time() -> None:
    """One pool: it fails at 100 s, and is asked again when each backoff ends: after 300, 450 (not 600), 450 s ..."""
    boot = BootConfig(0.0, (), 0.999999, 100.0, backoff_seconds=300.0, max_backoff_seconds=450.0)
    problem = small_problem([(0.0, 100.0, 8.0)], [PoolConfig("a", 1, boot=boot)])
    assert orders(problem, 2500) == [0.0, 400.0, 950.0, 1500.0, 2050.0]
    forgetful = BootConfig(0.0, (), 0.999999, 100.0, backoff_seconds=300.0, backoff_reset_seconds=400.0)
    problem = small_problem([(0.0, 100.0, 8.0)], [PoolConfig("a", 1, boot=forgetful)])
    assert orders(problem, 1700) == [0.0, 400.0, 800.0, 1200.0, 1600.0]


def orders(problem: Problem, until: int) -> list[float]:
    """When nodes were ordered, in s, until a time; both simulators say so."""
    fast, slow = Simulator.from_problem(problem, log_rows=None), ReferenceSimulator(problem)
    fast.reset(np.array([0]), np.array([(0, until * 1000, 1)]))
    slow.reset(0, until * 1000, 1)
    policy = ConstantSetpoint(problem.config.codec)
    while not slow.done:
        step_both(fast, slow, policy.act(fast.observations, fast.action_masks)[0])
    log = fast.event_log().to_pydict()
    return [time / 1000 for event, time in zip(log["event"], log["time_ms"], strict=True) if event == "node_order"]


def test_a_pool_in_backoff_shows_no_capacity_to_grow_and_orders_nothing() -> None:
    jobs: list[Job] = [(0.0, 5000.0, 8.0)]
    problem = small_problem(jobs, [PoolConfig("a", 4, min_nodes=1, boot=NO_STOCK), PoolConfig("b", 4)])
    fast, slow = both_simulators(problem, whole(problem))
    always_on = np.array([problem.config.codec.setpoint(14400.0, -1.0)] * 2 + [0] * 3)
    always_on[1] = 0
    step_both(fast, slow, always_on)  # the three other nodes are ordered, and all fail at 100 s
    while slow.now < 100_000:
        step_both(fast, slow, always_on)
    assert fast.snapshot().pools[0, [Pool.MAX_NODES, Pool.UNAVAILABLE_NODES]].tolist() == [1.0, 0.0]
    step_both(fast, slow, always_on)
    assert fast.pool_totals()[0].nodes_added == 3


@pytest.mark.parametrize(
    "loss",
    [
        {"failures": FailureConfig(mean_seconds=1000.0, repair_seconds=9000.0)},
        {"spot": SpotConfig(mean_seconds=1000.0, notice_seconds=0.0, outage_seconds=9000.0)},
    ],
)
def test_a_job_whose_node_is_lost_goes_on_in_another_pool(loss: dict[str, Any]) -> None:
    """The only node of the first pool is lost 1,000 s after it was ready at 300 s."""
    pools = [PoolConfig("a", 1, **loss), PoolConfig("b", 1)]
    problem = small_problem([(0.0, 2000.0, 8.0)], pools, checkpoint_interval_seconds=[100.0])
    for kind in (columns.DRAW_FAILURE, columns.DRAW_RECLAIM):
        at = columns.POOL_QUANTILES + kind * columns.QUANTILES
        problem.pools[0, at : at + columns.QUANTILES] = np.where(problem.pools[0, at] < 0, -1, 1_000_000)
    both = Both(problem)
    assert both.added == [1, 1]
    (end,) = both.fast.job_times().end_seconds
    # 1,000 s of 2,000 are done, the new node is ready at 1,600 s, and the restart takes a minute.
    assert end == 1300.0 + 300.0 + 60.0 + 1000.0


def test_jobs_that_ran_before_the_episode_are_on_the_nodes_of_the_next_pool_too() -> None:
    jobs: list[Job] = [(0.0, 5000.0, 8.0), (0.0, 5000.0, 8.0), (2000.0, 10.0, 1.0)]
    problem = small_problem(jobs, [PoolConfig("a", 1), PoolConfig("b", 1)])
    fast, _ = both_simulators(problem, (1_000_000, columns.NEVER, 3))
    assert fast.running_jobs[0] == 2
    assert [fast.snapshot().pools[pool, Pool.BUSY_NODES] for pool in (0, 1)] == [1.0, 1.0]


def test_balanced_pools_get_the_same_number_of_nodes() -> None:
    codec = CodecLayout(max_pools=2, window_slots=4, balance_similar_pools=True)
    jobs: list[Job] = [(0.0, 1000.0, 8.0)] * 6
    assert Both(small_problem(jobs, [PoolConfig("a", 6), PoolConfig("b", 6)], codec=codec)).added == [3, 3]


@pytest.mark.slow
@kernel_property(examples=40)
@given(problems(is_stochastic=True), st.integers(0, 2**32 - 1), st.sampled_from(["valid", "crowded"]))
def test_no_job_waits_for_a_full_pool_while_another_one_can_grow(problem: Problem, seed: int, style: str) -> None:
    """Whatever is decided, a job of the window that is not held is sent to a pool that can take it, if any can.

    And both simulators agree on all that follows.
    """
    fast, slow = both_simulators(problem, whole(problem))
    player = Player(problem.config.codec, style, np.random.default_rng(seed))
    for _ in range(120):
        if slow.done:
            break
        before = slow.snapshot
        step_both(fast, slow, player.act(slow.mask))
        first = slow.decision.placement[:1]
        if first.size and first[0] >= 0:
            able = [pool for pool in np.flatnonzero(before.allowed[0]) if could_take(before, int(pool))]
            assert not able or first[0] in able


def could_take(snapshot: Any, pool: int) -> bool:
    """Whether an otherwise unused pool could take the first job of the window, worked out from its nodes."""
    row, gpus = snapshot.pools[pool], snapshot.queue[0, 1]
    size = int(row[Pool.GPUS_PER_NODE])
    places = row[Pool.MAX_NODES] - row[Pool.UNAVAILABLE_NODES] - row[Pool.BUSY_NODES]
    unused = max(places, row[Pool.IDLE_NODES] + row[Pool.BOOTING_NODES])
    if gpus < 1.0:
        return bool(unused > 0 or snapshot.free_nodes[pool, 1:].any() or row[Pool.SHARED_FREE_GPUS] >= gpus)
    whole_nodes, rest = divmod(int(gpus), size)
    has_gap = rest == 0 or bool(snapshot.free_nodes[pool, rest:].any())
    return bool(unused >= whole_nodes + (0 if has_gap else 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backoff_seconds": 0.0}, "boot.backoff_seconds is 0.0; it must be 0.001 to"),
        ({"backoff_seconds": 600.0, "max_backoff_seconds": 300.0}, "boot.max_backoff_seconds is 300.0"),
        ({"backoff_reset_seconds": -1.0}, "boot.backoff_reset_seconds is -1.0"),
    ],
)
def test_a_backoff_without_meaning_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        BootConfig(**settings)  # type: ignore[arg-type]
