"""The arguments of an environment: objects, plain values and files mean the same, and mistakes are one typed line."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from configs.errors import ConfigError, UserError
from configs.loader import dump_yaml
from envs.errors import ClusterError, EnvironmentConfigError
from envs.gpu_cluster.arguments import environment_config
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.env import GpuClusterEnv
from envs.registry import ENVIRONMENTS, register_envs

TRACE = "synthetic:quickstart?days=2&seed=0"
CONFIG = {"episode_seconds": 7200.0, "objective": {"usd_per_kwh": 0.4}, "physics": {"queue": {"order": "submission"}}}
CLUSTER = {"pools": [{"name": "gpu", "max_nodes": 30, "boot_seconds": 60.0, "power": {"host_watts": 100.0}}]}
ENV_IDS = sorted(name for name in ENVIRONMENTS if "GpuCluster" in name)


@pytest.fixture(autouse=True)
def registered() -> None:
    register_envs()


def make(env_id: str = ENV_IDS[0], **kwargs: Any) -> Any:
    return gymnasium.make(env_id, **{"trace": TRACE, **kwargs}).unwrapped


def played(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """The numbers of an episode's first hours, until it is truncated."""
    observation, _ = env.reset(seed=5)
    env.action_space.seed(0)
    numbers: list[Any] = [observation.tolist()]
    for _ in range(200):
        observation, *rest = env.step(env.action_space.sample())
        numbers.append((observation.tolist(), *rest))
        if rest[1] or rest[2]:
            break
    return numbers


@pytest.mark.parametrize("env_id", ENV_IDS)
@pytest.mark.parametrize("as_objects", [False, True])
def test_a_spec_written_as_json_makes_the_same_environment(env_id: str, as_objects: bool) -> None:
    config: Any = environment_config(CONFIG) if as_objects else CONFIG
    pool = PoolConfig("gpu", max_nodes=30, boot_seconds=60.0)
    cluster: Any = ClusterConfig((pool,)) if as_objects else CLUSTER
    env = gymnasium.make(env_id, trace=TRACE, cluster=cluster, config=config, codec={"max_hold_seconds": 60.0})
    assert env.spec is not None
    expected = played(env)
    assert len(expected) > 10
    for spec in (env.spec, EnvSpec.from_json(env.spec.to_json())):
        again = gymnasium.make(spec)
        assert again.unwrapped.config == env.unwrapped.config  # type: ignore[attr-defined]
        assert again.action_space == env.action_space
        assert played(again) == expected


def test_mappings_files_and_objects_mean_the_same(tmp_path: Path) -> None:
    wanted = environment_config(CONFIG)
    assert (wanted.episode_seconds, wanted.objective) == (7200.0, ObjectiveConfig(usd_per_kwh=0.4))
    dump_yaml(wanted, tmp_path / "env.yaml")
    (tmp_path / "cluster.yaml").write_text("pools: [{name: gpu, max_nodes: 30}]\n")
    cluster = {"pools": [{"name": "gpu", "max_nodes": 30}]}
    envs = [
        make(config=CONFIG, cluster=cluster),
        make(config=tmp_path / "env.yaml", cluster=tmp_path / "cluster.yaml"),
        make(config=str(tmp_path / "env.yaml"), cluster=str(tmp_path / "cluster.yaml")),
        make(config=wanted, cluster=ClusterConfig((PoolConfig("gpu", max_nodes=30),))),
    ]
    assert all(env.config == wanted for env in envs)
    assert all(played(env) == played(envs[0]) for env in envs[1:])


def test_values_of_other_libraries_are_plain_values() -> None:
    """As Hydra, NumPy and code that mixes mappings with our objects give them."""
    config = collections.UserDict(
        {
            "episode_seconds": np.float64(7200.0),
            "codec": collections.UserDict({"window_slots": np.int64(3)}),
            "objective": ObjectiveConfig(usd_per_kwh=0.4),
        }
    )
    wanted = EnvironmentConfig(
        episode_seconds=7200.0, codec=CodecLayout(window_slots=3), objective=ObjectiveConfig(usd_per_kwh=0.4)
    )
    assert make(config=config, cluster={"pools": (PoolConfig("gpu", max_nodes=40),)}).config == wanted


def test_the_codec_of_an_id_stays_where_only_other_fields_are_given() -> None:
    for kwargs in ({"codec": {"max_hold_seconds": 60.0}}, {"config": {"codec": {"max_hold_seconds": 60.0}}}):
        env = make("autoscaler/GpuClusterScaling-v0", **kwargs)
        assert env.action_space == gymnasium.spaces.Discrete(61)
        assert env.config.codec == CodecLayout(max_pools=1, window_slots=0, max_hold_seconds=60.0)
    plain = make("autoscaler/GpuClusterScaling-v0", config=EnvironmentConfig(episode_seconds=7200.0))
    assert plain.action_space == gymnasium.spaces.Discrete(61)


@pytest.mark.parametrize("kwargs", [{"codec": {"window_slots": 2}}, {"config": {"codec": {"window_slots": 2}}}])
def test_what_a_user_gives_comes_before_the_codec_of_an_id(kwargs: dict[str, Any]) -> None:
    env = make("autoscaler/GpuClusterScaling-v0", **kwargs)
    assert env.config.codec == CodecLayout(max_pools=1, window_slots=2)


def test_codec_comes_before_config() -> None:
    config = EnvironmentConfig(codec=CodecLayout(max_pools=3, window_slots=5))
    assert make(config=config, codec={"window_slots": 2}).config.codec == CodecLayout(max_pools=3, window_slots=2)
    assert make(config=config, codec=CodecLayout()).config.codec == CodecLayout()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"config": {"episode_second": 7200.0}}, "'episode_second'; did you mean 'episode_seconds'"),
        ({"config": {"objective": {"usd_per_kw": 1.0}}}, "'objective.usd_per_kw'; did you mean 'usd_per_kwh'"),
        ({"config": {"episode_seconds": "a week"}}, 'episode_seconds is "a week"'),
        ({"config": {"episode_seconds": -1.0}}, "episode_seconds is -1.0; it must be"),
        ({"config": {"objective": {"usd_per_kwh": float("nan")}}}, "usd_per_kwh is NaN|usd_per_kwh is nan"),
        ({"config": {"packer": object()}}, "neither text, number, list nor mapping"),
        ({"config": "experiment/quickstrat"}, "did you mean 'experiment/quickstart'"),
        ({"codec": {"pools": 3}}, "codec: unknown key 'pools'; did you mean 'max_pools'"),
        ({"codec": {"max_pools": 0}}, "max_pools is 0; it must be 1 to 64"),
        ({"codec": {"max_pools": 2.5}}, "max_pools is 2.5"),
        ({"cluster": {"pool": []}}, "unknown key 'pool'; did you mean 'pools'"),
        ({"cluster": {"pools": [{"name": "a"}]}}, "the key 'pools.0.max_nodes' is required"),
        ({"cluster": {"pools": []}}, "cluster.pools is empty"),
        ({"trace": "synthetic:quickstar"}, "quickstart"),
    ],
)
def test_a_mistake_in_a_value_is_one_line_that_names_it(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, ClusterError, UserError), match=message) as caught:
        make(**kwargs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"trace": 5}, r"trace is 5 \(int\); it must be a Trace or the URI"),
        ({"trace": None}, r"trace is None \(NoneType\)"),
        ({"cluster": 8}, r"cluster is 8 \(int\); it must be a ClusterConfig"),
        ({"config": 8}, r"config is 8 \(int\); it must be an EnvironmentConfig"),
        ({"config": ["packer"]}, r"config is \['packer'\] \(list\)"),
        ({"codec": 3}, r"codec is 3 \(int\); it must be a CodecLayout or a mapping of max_pools, window_slots"),
    ],
)
def test_an_argument_of_the_wrong_type_says_which_types_there_are(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvironmentConfigError, match=message):
        GpuClusterEnv(**{"trace": TRACE, **kwargs})
