"""Descriptions of clusters, power and environments: what is refused, and clusters that are worked out."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError, UserError
from envs.errors import ClusterError, EnvironmentConfigError
from envs.gpu_cluster.cluster import (
    ClusterConfig,
    PoolConfig,
    auto_cluster,
    cluster_from_nodes,
    load_cluster,
)
from envs.gpu_cluster.codec import MAX_GPUS_PER_NODE, CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.power import PowerConfig
from tests.envs.gpu_cluster.builders import Play, make_trace, small_problem

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize("value", [-1.0, NAN, INFINITY])
@pytest.mark.parametrize("name", ["gpu_idle_watts", "gpu_busy_watts", "host_watts", "boot_watts", "off_watts"])
def test_a_power_must_be_finite_and_not_negative(name: str, value: float) -> None:
    with pytest.raises(ClusterError, match=rf"power\.{name} is {value}"):
        PowerConfig(**{name: value})


@pytest.mark.parametrize("pue", [0.99, -1.0, NAN, INFINITY])
def test_pue_is_at_least_1(pue: float) -> None:
    with pytest.raises(ClusterError, match=r"power\.pue"):
        PowerConfig(pue=pue)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gpus_per_node": 0}, "gpus_per_node is 0"),
        ({"gpus_per_node": MAX_GPUS_PER_NODE + 1}, "gpus_per_node is 17"),
        ({"min_nodes": -1}, "min_nodes is -1"),
        ({"min_nodes": 5}, "min_nodes is 5; it must be 0 to 4"),
        ({"max_nodes": -1}, "max_nodes is -1"),
        ({"boot_seconds": -1.0}, "boot_seconds is -1.0"),
        ({"boot_seconds": NAN}, "boot_seconds is nan"),
    ],
)
def test_a_pool_that_has_no_meaning_is_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ClusterError, match=f"pool gpu: {message}"):
        PoolConfig("gpu", **{"max_nodes": 4, **values})  # type: ignore[arg-type]


def test_a_cluster_has_pools_of_different_names() -> None:
    with pytest.raises(ClusterError, match=r"cluster\.pools is empty"):
        ClusterConfig(())
    with pytest.raises(ClusterError, match="the name 'a' is used twice"):
        ClusterConfig((PoolConfig("a", 1), PoolConfig("b", 1), PoolConfig("a", 2)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"settle_seconds": 0.0}, "settle_seconds is 0"),
        ({"decision_interval_seconds": -1.0}, "decision_interval_seconds is -1"),
        ({"decision_interval_seconds": NAN}, "decision_interval_seconds is nan"),
        ({"resync_interval_seconds": 0.5}, r"resync_interval_seconds is 0\.5; it must be at least settle_seconds"),
        ({"episode_seconds": 0.5}, r"episode_seconds is 0\.5"),
        ({"episode_seconds": INFINITY}, "episode_seconds is inf"),
        ({"packer": "best-fitt"}, "unknown packer 'best-fitt'; did you mean 'best-fit'"),
    ],
)
def test_an_environment_that_has_no_meaning_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(EnvironmentConfigError, match=message):
        EnvironmentConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["usd_per_kwh", "usd_per_gpu_hour"])
@pytest.mark.parametrize("value", [-0.1, NAN, INFINITY])
def test_a_price_is_finite_and_not_negative(name: str, value: float) -> None:
    with pytest.raises(EnvironmentConfigError, match=rf"objective\.{name} is {value}"):
        ObjectiveConfig(**{name: value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_pools": 0}, "max_pools is 0; it must be 1 to 64"),
        ({"max_pools": 65}, "max_pools is 65"),
        ({"window_slots": -1}, "window_slots is -1; it must be 0 to 256"),
        ({"max_hold_seconds": NAN}, "max_hold_seconds is nan"),
    ],
)
def test_a_codec_of_no_meaning_is_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CodecLayout(**values)  # type: ignore[arg-type]


def test_the_setpoints_have_names_and_a_wrong_one_lists_the_valid_ones() -> None:
    layout = CodecLayout()
    assert [layout.setpoint(*pair) for pair in layout.setpoints] == list(range(len(layout.setpoints)))
    with pytest.raises(ValueError, match=r"idle time-out 601\.0 s and headroom 0\.0; time-outs are \(0\.0, 60\.0"):
        layout.setpoint(601.0, 0.0)


@pytest.mark.parametrize(
    ("jobs", "nodes"),
    [
        ([(0.0, 10.0, 0.5)], 1),
        ([(0.0, 10.0, 8.0)], 1),
        ([(0.0, 10.0, 8.0), (5.0, 10.0, 0.1)], 2),
        ([(0.0, 10.0, 8.0), (10.0, 10.0, 8.0)], 1),  # the second begins when the first one ends
        ([(0.0, 10.0, 20.0), (5.0, 10.0, 30.0)], 7),
    ],
)
def test_the_automatic_cluster_is_as_large_as_the_peak_with_nobody_waiting(jobs: list, nodes: int) -> None:
    cluster = auto_cluster(make_trace(jobs))
    assert [(pool.max_nodes, pool.min_nodes, pool.gpus_per_node) for pool in cluster.pools] == [(nodes, 0, 8)]
    assert cluster.pools[0].boot_seconds == 300.0
    assert auto_cluster(make_trace(jobs), gpus_per_node=4).pools[0].max_nodes >= nodes


def test_the_automatic_cluster_can_run_its_trace() -> None:
    jobs = [(0.0, 500.0, 20.0), (5.0, 500.0, 30.0), (5.0, 500.0, 0.5)]
    pools = auto_cluster(make_trace(jobs)).pools
    assert None not in Play(small_problem(jobs, pools)).run().starts()


def test_a_file_describes_a_cluster(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "pools:\n  - {name: a, max_nodes: 3, gpu_model: T4, power: {pue: 1.2}}\n  - {name: b, max_nodes: 1}\n"
    )
    cluster = load_cluster(str(path), make_trace([(0.0, 1.0, 1.0)]))
    assert [pool.name for pool in cluster.pools] == ["a", "b"]
    assert cluster.pools[0].power.pue == 1.2
    assert load_cluster("auto", make_trace([(0.0, 1.0, 1.0)])).pools[0].max_nodes == 1


def test_a_wrong_value_in_a_file_is_the_users_mistake(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    for text in ("pools: []\n", "pools:\n  - {name: a, max_nodes: -1}\n", "pools:\n  - {name: a, max_nodes: 2.5}\n"):
        path.write_text(text)
        with pytest.raises(UserError):
            load_cluster(str(path), make_trace([(0.0, 1.0, 1.0)]))
    with pytest.raises(ConfigError):
        load_cluster(str(tmp_path / "nowhere.yaml"), make_trace([(0.0, 1.0, 1.0)]))


def test_a_list_of_nodes_becomes_a_pool_per_model_and_size(data_dir: Path) -> None:
    import traces

    found = sorted(data_dir.glob("traces/**/*node*.csv*"))
    if not found:
        pytest.skip(f"no list of nodes in {data_dir}")
    nodes = traces.load_nodes(f"openb-nodes:{found[0]}")
    cluster = cluster_from_nodes(nodes)
    assert sum(pool.max_nodes * pool.gpus_per_node for pool in cluster.pools) == nodes.gpus.sum()
    sizes = [pool.max_nodes * pool.gpus_per_node for pool in cluster.pools]
    assert sizes == sorted(sizes, reverse=True)
    assert {pool.gpu_model for pool in cluster.pools} == set(nodes.table["gpu_model"].to_pylist())
