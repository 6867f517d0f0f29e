"""Kinds of kernels: without any of the physics, and with all of it. All give the same numbers."""

from __future__ import annotations

import pickle
from typing import Any, ClassVar, NamedTuple

import numba
import numpy as np
import pytest

import traces
from envs.compiled.compiler import OPTIONS, REMOVES_DISABLED
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import simulator as module
from envs.gpu_cluster.simulator.problem import make_problem
from envs.gpu_cluster.simulator.settings import PlainSettings, specialized

TRACE = traces.load("synthetic:quickstart?days=3&seed=4")
CLUSTER = ClusterConfig((PoolConfig("gpu", max_nodes=20, gpus_per_node=8, boot_seconds=300.0),))


only_fast = pytest.mark.skipif(not REMOVES_DISABLED, reason="stock numba removes nothing")


class Inner(NamedTuple):
    """A switch, as in `QueueSettings`."""

    is_on: bool


class InnerOff(Inner):
    """The same, and it is off."""

    FIXED: ClassVar = {"is_on": False}


class InnerOn(Inner):
    """The same, and it is on."""

    FIXED: ClassVar = {"is_on": True}


class Outer(NamedTuple):
    """Settings with an inner part, as in `Settings`."""

    inner: Inner
    factor: int


def double(settings: Outer, value: int) -> int:
    if settings.inner.is_on and value > 0:
        return value.no_such_thing  # type: ignore[attr-defined, no-any-return]
    return settings.factor * value


def double_where_on(settings: Outer, value: int) -> int:
    if not settings.inner.is_on:
        return value.no_such_thing  # type: ignore[attr-defined, no-any-return]
    return settings.factor * value


@only_fast
def test_a_branch_that_the_class_of_the_settings_rules_out_is_not_compiled() -> None:
    compiled: Any = numba.njit(**OPTIONS)(double)
    assert compiled(Outer(InnerOff(False), 2), 21) == 42
    with pytest.raises(numba.TypingError, match="no_such_thing"):
        compiled(Outer(Inner(False), 2), 21)
    compiled = numba.njit(**OPTIONS)(double_where_on)
    assert compiled(Outer(InnerOn(True), 2), 21) == 42


def fixed(settings: Any) -> dict[str, bool]:
    """All that the classes of settings fix, by name."""
    found = dict(getattr(settings, "FIXED", {}))
    for field in settings:
        if isinstance(field, tuple) and hasattr(field, "_fields"):
            found |= fixed(field)
    return found


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (EnvironmentConfig(), {"tracks_work", "is_detailed", "defers"}),
        (EnvironmentConfig(physics=PhysicsConfig(tracks_work=True)), {"is_detailed"}),
        (EnvironmentConfig(packer="fgd"), {"has_custom"}),
    ],
)
def test_what_a_class_of_settings_fixes_is_what_they_say(config: EnvironmentConfig, expected: set[str]) -> None:
    """A class that fixed a flag as off which is on would leave out what was asked for."""
    settings = make_problem(TRACE, CLUSTER, config).settings
    special = specialized(settings)
    assert special == settings
    assert fixed(settings) == {}
    values = special._asdict() | special.queue._asdict() | special.detail._asdict()
    assert {name: values[name] for name in fixed(special)} == fixed(special)
    assert set(fixed(special)) >= expected
    assert type(pickle.loads(pickle.dumps(special))) is type(special)


def play(monkeypatch: pytest.MonkeyPatch, kind: str, log_rows: int | None) -> dict[str, Any]:
    """All memory after a batch of steps, of kernels of one kind."""
    with monkeypatch.context() as patch:
        if kind == "general":
            patch.setattr(module, "specialized", lambda settings: settings)
        config = EnvironmentConfig()
        simulator = Simulator(TRACE, CLUSTER, config, num_clusters=2, log_rows=log_rows)
        assert isinstance(simulator._world.settings, PlainSettings) == (kind == "plain")
        simulator.reset_all()
        generator = np.random.default_rng(0)
        sizes = np.array(config.codec.action_sizes)
        for _ in range(300):
            actions = generator.integers(0, sizes, (2, len(sizes)))
            actions[:, config.codec.max_pools :] = 1
            simulator.step(actions)
        simulator.replay(np.array([3, 17]))
        assert simulator.finished_jobs.tolist() == [TRACE.num_jobs] * 2
        arrays = simulator.state_arrays()
        if log_rows is None:
            arrays["events"] = np.array([simulator.event_log(index).num_rows for index in range(2)])
        return arrays


@pytest.mark.slow
@only_fast
@pytest.mark.parametrize("log_rows", [0, None])
def test_both_kinds_of_kernels_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch, log_rows: int | None) -> None:
    plain, general = (play(monkeypatch, kind, log_rows) for kind in ("plain", "general"))
    assert plain.keys() == general.keys()
    for name, array in plain.items():
        np.testing.assert_array_equal(array, general[name], err_msg=name)
