"""Two kinds of kernels: without any of the physics, and with all of it. Both give the same numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

import traces
from envs.compiled.compiler import OPTIONS
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.problem import make_problem

TRACE = traces.load("synthetic:quickstart?days=3&seed=4")
CLUSTER = ClusterConfig((PoolConfig("gpu", max_nodes=20, gpus_per_node=8, boot_seconds=300.0),))


class Inner(NamedTuple):
    """A switch, as in `QueueSettings`."""

    is_on: bool | None


class Outer(NamedTuple):
    """Settings with an inner part, as in `Settings`."""

    inner: Inner
    factor: int


def test_a_branch_on_a_field_that_is_none_is_not_compiled() -> None:
    def double(settings: Outer, value: int) -> int:
        if settings.inner.is_on and value > 0:
            return value.no_such_thing  # type: ignore[attr-defined, no-any-return]
        return settings.factor * value

    compiled: Any = numba.njit(**OPTIONS)(double)
    assert compiled(Outer(Inner(None), 2), 21) == 42
    with pytest.raises(numba.TypingError, match="no_such_thing"):
        compiled(Outer(Inner(False), 2), 21)


def test_flags_are_none_only_where_none_is_on() -> None:
    settings = make_problem(TRACE, CLUSTER, EnvironmentConfig()).settings
    plain = st.without_flags(settings)
    assert plain is not None
    assert plain.tracks_work is None
    assert plain.queue.defers is None
    assert plain.decision_ms == settings.decision_ms
    assert plain.queue.max_victims == settings.queue.max_victims
    for physics in (PhysicsConfig(tracks_work=True), PhysicsConfig(queue=EnvironmentConfig().physics.queue)):
        problem = make_problem(TRACE, CLUSTER, EnvironmentConfig(physics=physics))
        assert (st.without_flags(problem.settings) is None) == physics.tracks_work


def play(monkeypatch: pytest.MonkeyPatch, kind: str, log_rows: int | None) -> dict[str, Any]:
    """All memory after a batch of steps, of kernels of one kind."""
    with monkeypatch.context() as patch:
        if kind == "general":
            patch.setattr(st, "without_flags", lambda _: None)
        config = EnvironmentConfig()
        simulator = Simulator(TRACE, CLUSTER, config, num_clusters=2, log_rows=log_rows)
        assert (simulator.world.settings.moves_jobs is None) == (kind == "plain")
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


@pytest.mark.parametrize("log_rows", [0, None])
def test_both_kinds_of_kernels_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch, log_rows: int | None) -> None:
    plain, general = (play(monkeypatch, kind, log_rows) for kind in ("plain", "general"))
    plain.pop("Cluster.log", None)
    general.pop("Cluster.log")
    assert plain.keys() == general.keys()
    for name, array in plain.items():
        np.testing.assert_array_equal(array, general[name], err_msg=name)
