"""Trace, cluster and settings together: what does not fit is one clear line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st_

from envs.errors import ClusterError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout, Pool
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.episodes import RandomEpisodes, episode_of, equal_episodes
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.packing.counted import COUNTED
from envs.gpu_cluster.simulator.problem import make_problem
from tests.envs.gpu_cluster.builders import drawn_episodes, make_trace, small_problem


def test_a_job_larger_than_the_cluster_names_the_job_its_gpus_the_pools_and_the_fix() -> None:
    trace = make_trace([(0.0, 1.0, 8.0), (0.0, 1.0, 17.0), (0.0, 1.0, 99.0)], job_id=["a", "big", "huge"])
    cluster = ClusterConfig((PoolConfig("one", max_nodes=2), PoolConfig("two", 4, gpus_per_node=1, gpu_model="T4")))
    with pytest.raises(ClusterError) as caught:
        make_problem(trace, cluster, EnvironmentConfig())
    message = str(caught.value)
    assert message == (
        "test:jobs: job big requests 17 GPUs and fits in no pool of the cluster: one (2 nodes of 8 GPUs), "
        "two (4 nodes of 1 T4 GPUs); raise max_nodes, or drop the 2 job(s) that are too large"
    )


def test_a_job_whose_model_is_nowhere_fits_nowhere() -> None:
    with pytest.raises(ClusterError, match="requests 1 GPUs and fits in no pool"):
        small_problem([(0.0, 1.0, 1.0)], [PoolConfig("a", 1, gpu_model="A100")], [["T4"]])


def test_a_job_does_not_spread_over_pools() -> None:
    """Two pools of one node each hold no gang of two nodes."""
    with pytest.raises(ClusterError, match="requests 16 GPUs"):
        small_problem([(0.0, 1.0, 16.0)], [PoolConfig("a", 1), PoolConfig("b", 1)])


def test_a_codec_that_holds_fewer_pools_is_refused() -> None:
    pools = [PoolConfig(name, max_nodes=1) for name in "abc"]
    with pytest.raises(ClusterError, match=r"the cluster has 3 pools, the codec holds 2; raise codec\.max_pools"):
        small_problem([(0.0, 1.0, 1.0)], pools, codec=CodecLayout(max_pools=2))


def test_a_trace_without_jobs_is_refused() -> None:
    with pytest.raises(ClusterError, match="test:jobs: the trace has no job"):
        small_problem([])


def test_a_job_may_run_where_model_and_size_fit_and_the_first_is_its_default() -> None:
    pools = [PoolConfig("small", 1, gpus_per_node=4, gpu_model="T4"), PoolConfig("large", 4, gpu_model="V100")]
    jobs = [(0.0, 1.0, 4.0), (0.0, 1.0, 5.0), (0.0, 1.0, 1.0), (0.0, 1.0, 1.0)]
    problem = small_problem(jobs, pools, [None, None, ["V100"], ["T4", "V100"]])
    assert problem.allowed_bits.tolist() == [0b11, 0b10, 0b10, 0b11]
    assert problem.jobs[:-1, st.DEFAULT_POOL].tolist() == [0, 1, 1, 0]


def test_times_and_gpus_are_exact_integers() -> None:
    problem = small_problem([(0.0015, 0.1, 0.001), (1e6 + 0.25, 86400.0, 3.0)])
    assert problem.duration_ms.tolist() == [100, 86_400_000]
    assert problem.submit_ms.tolist()[1] == 1_000_000_250
    assert problem.gpu_milli.tolist() == [1, 3000]
    assert problem.jobs[:, st.MILLI_BEFORE].tolist() == [0, 1, 3001]
    assert problem.smallest_milli == 1


@pytest.mark.parametrize("packer", COUNTED)
def test_every_packer_is_the_one_that_its_name_says(packer: str) -> None:
    assert list(COUNTED)[small_problem([(0.0, 1.0, 1.0)], packer=packer).settings.packer] == packer


def test_the_constant_columns_of_the_snapshot_come_from_the_description() -> None:
    pool = PoolConfig("gpu", max_nodes=70, min_nodes=2, gpus_per_node=4, boot_seconds=120.0)
    problem = small_problem([(0.0, 1.0, 1.0)], [pool, PoolConfig("b", max_nodes=1)])
    row = problem.template[0]
    assert row[[Pool.PRESENT, Pool.GPUS_PER_NODE, Pool.MIN_NODES, Pool.MAX_NODES]].tolist() == [1, 4, 2, 70]
    assert row[Pool.BOOT_SECONDS] == 120.0
    assert row[Pool.IDLE_NODE_WATTS] == pytest.approx(300.0 + 4 * 34.8)
    assert problem.node_offsets.tolist() == [0, 128]
    assert problem.num_nodes == 192
    assert problem.total_gpus == 288


# Episodes


def test_episodes_begin_uniformly_where_a_whole_one_fits() -> None:
    problem = small_problem([(float(hour * 3600), 60.0, 1.0) for hour in range(101)], episode_seconds=36_000.0)
    episodes = drawn_episodes(problem, 4000)
    starts = episodes[:, 0] / 3.6e6
    assert 0.0 <= starts.min() < 1.0
    assert 89.0 < starts.max() <= 90.0
    assert starts.mean() == pytest.approx(45.0, abs=2.0)
    assert (episodes[:, 1] - episodes[:, 0] == 36_000_000).all()
    assert (episodes[:, 2] == 101).all()


def test_an_episode_takes_at_most_half_of_the_trace_so_that_starts_differ() -> None:
    """Where it took all of a short one, every episode was the same."""
    problem = small_problem([(float(hour * 3600), 60.0, 1.0) for hour in range(101)], episode_seconds=360_001.0)
    episodes = drawn_episodes(problem, 200)
    assert len(set(episodes[:, 0].tolist())) == 200
    assert episodes[:, 0].max() <= 180_000_000
    assert (episodes[:, 1] - episodes[:, 0] == 180_000_000).all()
    assert RandomEpisodes(problem).seconds == 180_000.0
    text = RandomEpisodes(problem).describe()
    assert text is not None
    assert "episodes last 50.0 h, not the 100.0 h of episode_seconds: at most 50% of the trace" in text


def test_an_episode_that_fits_twice_has_the_length_of_the_settings() -> None:
    problem = small_problem([(0.0, 60.0, 1.0), (7200.0, 60.0, 1.0)], episode_seconds=3600.0)
    assert RandomEpisodes(problem).seconds == 3600.0
    assert RandomEpisodes(problem).describe() is None


def test_a_trace_with_nothing_to_draw_is_one_episode() -> None:
    problem = small_problem([(100.0, 60.0, 1.0), (200.0, 60.0, 1.0)])
    assert set(drawn_episodes(problem, 5)[:, 0].tolist()) == {100_000}
    assert RandomEpisodes(problem).seconds == problem.config.episode_seconds


def test_a_window_takes_the_jobs_from_its_start_up_to_its_end() -> None:
    problem = small_problem([(0.0, 60.0, 1.0), (100.0, 60.0, 1.0), (200.0, 60.0, 1.0)])
    assert episode_of(problem, 0.0, 200.0).tolist() == [[0, st.NEVER, 2]]
    assert episode_of(problem, 50.0).tolist() == [[50_000, st.NEVER, 3]]


def test_equal_episodes_cover_every_job_once_and_leave_empty_ones_out() -> None:
    problem = small_problem([(0.0, 60.0, 1.0), (10.0, 60.0, 1.0), (95.0, 60.0, 1.0)])
    windows = equal_episodes(problem, 0.0, 100.0, 5)
    assert windows[:, 0].tolist() == [0, 80_000]
    assert windows[:, 2].tolist() == [2, 3]


def test_windows_without_any_job_are_no_windows() -> None:
    problem = small_problem([(0.0, 60.0, 1.0), (95.0, 60.0, 1.0)])
    assert equal_episodes(problem, 20.0, 90.0, 4).shape == (0, 3)


def test_windows_side_by_side_run_like_one_by_one() -> None:
    problem = small_problem([(float(index * 50), 60.0, 1.0 + index % 8) for index in range(40)])
    windows = equal_episodes(problem, 0.0, 2000.0, 4)
    together = Simulator.from_problem(problem, 4)
    together.reset(np.arange(4), windows)
    together.replay(np.full(4, 3))
    for index in range(4):
        alone = Simulator.from_problem(problem)
        alone.reset(np.array([0]), windows[index : index + 1])
        alone.replay(np.array([3]))
        assert alone.energy() == together.energy(index)


@given(
    jobs=st_.lists(st_.tuples(st_.integers(0, 300), st_.integers(1, 200)), min_size=1, max_size=30),
    seconds=st_.integers(1, 200),
)
def test_memory_is_for_the_most_jobs_that_any_episode_has(jobs: list[tuple[int, int]], seconds: int) -> None:
    problem = small_problem([(float(submit), float(length), 1.0) for submit, length in sorted(jobs)])
    simulator = Simulator.from_problem(problem, episode_seconds=float(seconds))
    most = max(
        sum(submit <= start + seconds and submit + length > start for submit, length in jobs)
        for start in range(-200, 500)
    )
    assert simulator.max_jobs == most


def test_an_episode_with_more_jobs_than_there_is_memory_for_is_refused() -> None:
    problem = small_problem([(float(index), 10.0 if index else 10_000.0, 1.0) for index in range(1000)])
    simulator = Simulator.from_problem(problem, episode_seconds=100.0)
    most = simulator.max_jobs
    assert 100 < most < 200
    with pytest.raises(ValueError, match=f"an episode has 1,000 jobs and the memory of a cluster is for {most}"):
        simulator.reset_all()
    with pytest.raises(ValueError, match="an episode has 311 jobs"):
        simulator.reset(np.array([0]), np.array([[500_000, 800_000, 1000]]))
    simulator.reset(np.array([0]), np.array([[500_000, 600_000, 1000]]))
    simulator.replay(np.array([3]))
    assert simulator.submitted_jobs[0] == 601
